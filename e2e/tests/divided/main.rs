//! One large file over several connections.

mod by_hand;
#[path = "../cut/client.rs"]
mod client;
mod get;
mod killed;
mod lies;
#[path = "../cut/proxy.rs"]
mod proxy;
mod put;
mod put_by_hand;
mod put_lies;
mod revoked;
mod sync;

use client::{InProcessClient, PLAIN};
use proxy::Proxy;
use sshome::transfer::{TransferOptions, TransferSummary};
use sshome_e2e::Host;

const MIB: usize = 1 << 20;

/// The length of the file in most tests: six shares, and a short last block.
const BIG: usize = 49 * MIB + 12_345;

/// A server that takes two seconds for the file, and a client behind a proxy.
struct World {
    host: Host,
    proxy: Proxy,
    client: InProcessClient,
}

impl World {
    /// One whose first connections may carry these numbers of bytes.
    async fn new(cuts: &[u64]) -> World {
        let rates = "upload-rate = \"24 MiB/s\"\ndownload-rate = \"24 MiB/s\"";
        let host = Host::with_user("ann", &format!("quota = \"200 MiB\"\n{rates}")).await.unwrap();
        let proxy = Proxy::cutting(host.address(), cuts).await;
        let client = InProcessClient::login(&host, proxy.port()).await;
        World { host, proxy, client }
    }
}

/// Over `jobs` connections; a file of 16 MiB is divided.
fn over(jobs: &str) -> TransferOptions {
    TransferOptions { jobs: jobs.parse().unwrap(), split_bytes: 16 << 20, ..PLAIN }
}

fn assert_one(summary: &TransferSummary) {
    let (files, failures) = (summary.files, summary.failures.len());
    assert_eq!((files, summary.bytes, failures), (1, BIG as u64, 0), "{summary:?}");
}

/// The bytes at which the file was resumed.
fn resumed(summary: &TransferSummary) -> u64 {
    assert!(summary.resumed.len() <= 1, "{summary:?}");
    summary.resumed.first().map_or(0, |resumed| resumed.offset)
}
