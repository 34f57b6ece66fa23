//! Connections over a path that goes dead silently, so that both sides have to notice, and connections to a server that
//! ends.

use crate::client::{InProcessClient, PLAIN, noise, until};
use crate::proxy::Proxy;
use crate::{BIG as LARGE, MIB, host_with};
use sshome::conversation::ConversationError;
use sshome_e2e::HostBuilder;
use sshome_wire::BLOCK_BYTES;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// More than the kernels buffer.
const BIG: usize = 40 * MIB;

/// The client gives up on a server that sends or accepts nothing for two seconds.
const CONFIG: &str = "ServerAliveInterval 1\nServerAliveCountMax 1\nConnectTimeout 1\n";

/// Runs a transfer whose path goes dead, and works again once the server has noticed.
async fn vanish(put: bool) {
    let host = host_with("keepalive-interval = 1\nkeepalive-count = 1").await;
    let content = noise(BIG, 7);
    let (restored, mut connections) = (Arc::new(AtomicBool::new(false)), 0);
    let is_restored = Arc::clone(&restored);
    let proxy = Proxy::vanishing(host.address(), move || {
        connections += 1;
        match connections {
            1 => 14 * MIB as u64,
            _ if is_restored.load(Ordering::SeqCst) => u64::MAX,
            _ => 0,
        }
    })
    .await;
    let mut client = InProcessClient::login_with(&host, proxy.port(), CONFIG).await;
    client.retries = 100;
    let noticing = async {
        until(async || proxy.connections() > 1).await;
        let administrator = host.administrator();
        until(async || administrator.json(&["status"])["sessions"].as_array().unwrap().is_empty()).await;
        restored.store(true, Ordering::SeqCst);
    };
    let transfer = async {
        match put {
            true => {
                client.write("big", &content);
                client.put(&["big"], "/", PLAIN).await
            }
            false => {
                std::fs::write(host.home("ann").join("big"), &content).unwrap();
                client.get(&["/big"], "", PLAIN).await
            }
        }
    };
    let (summary, ()) = tokio::join!(transfer, noticing);
    let summary = summary.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 0), "{summary:?}");
    assert!(summary.resumed.iter().any(|resumed| resumed.offset >= BLOCK_BYTES), "{summary:?}");
    match put {
        true => assert!(std::fs::read(host.home("ann").join("big")).unwrap() == content),
        false => assert!(client.read("big") == content),
    }
    let why = client.reasons();
    let noticed = ["the server has taken nothing for 2 s", "the server has not answered the keepalives"];
    assert!(noticed.contains(&why[0].as_str()), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_detect_a_dead_path_during_a_put_and_it_resumes() {
    vanish(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_detect_a_dead_path_during_a_get_and_it_resumes() {
    vanish(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_cut_by_a_shutdown_says_so() {
    let builder = HostBuilder::new().unwrap().user("ann", "upload-rate = \"1 MiB/s\"").unwrap();
    let mut host = builder.start().await.unwrap();
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    client.retries = 0;
    client.write("big", &noise(LARGE, 3));
    let administrator = host.administrator();
    let ending = async {
        until(async || {
            let status = administrator.json(&["status"]);
            status["sessions"][0]["transfers"][0]["done"].as_u64() > Some(0)
        })
        .await;
        host.stop().await.unwrap();
    };
    let (ended, ()) = tokio::join!(client.put(&["big"], "/", PLAIN), ending);
    let Err(ConversationError::Lost(why)) = ended else { panic!("{ended:?}") };
    assert_eq!(why, "the server ended it: the server is shutting down");
}
