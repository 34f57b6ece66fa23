//! Input of anybody who can reach the port: bytes before the login, up to the point where they would be encrypted. The
//! server must not panic. It greets, answers little, ends with the client, and lets nobody in.
#![no_main]

use arc_swap::{ArcSwap, ArcSwapOption};
use libfuzzer_sys::fuzz_target;
use sshome_store_posix::PosixStore;
use sshomed::accounts::TomlAccounts;
use sshomed::auth::Authenticator;
use sshomed::config;
use sshomed::limits::AdmissionControl;
use sshomed::metrics::Metrics;
use sshomed::protocol::BlockingPool;
use sshomed::service::UserPermits;
use sshomed::session::{
    AbandonedWork, BulkGate, MemoryBudgets, RateLimits, ServerState, SessionRegistry, Transport,
};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// The largest output to a stranger, in bytes: identification, KEXINIT, the host key and its signature.
const MAX_SENT_BYTES: usize = 8 << 10;

/// A server without users.
struct World {
    _dir: TempDir,
    transport: Transport,
    shared: Arc<ServerState>,
    runtime: Runtime,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

// The first byte selects the client's identification, unless the input has one. The rest is packets, whose lengths and
// padding are corrected.
fuzz_target!(|input: &[u8]| {
    let world = &*WORLD;
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let permit = world.shared.admission.admit(peer.ip(), Instant::now(), 0).expect("exempt from penalties");
    let sent = sent(input);
    let answer = world.runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let serving = world.transport.serve(server, peer, Arc::clone(&world.shared), permit);
        let talking = async move {
            // The server may have closed the connection.
            drop(client.write_all(&sent).await);
            drop(client.shutdown().await);
            let mut answer = Vec::new();
            drop(client.read_to_end(&mut answer).await);
            answer
        };
        tokio::join!(serving, talking).1
    });
    assert!(answer.starts_with(b"SSH-2.0-"), "{}", answer.escape_ascii());
    assert!(answer.len() <= MAX_SENT_BYTES, "{} bytes", answer.len());
    assert!(world.shared.sessions.logged_in().is_empty());
});

/// The stream that an input stands for: random bytes are hardly ever a packet of SSH.
fn sent(input: &[u8]) -> Vec<u8> {
    let Some((0, mut rest)) = input.split_first().map(|(first, rest)| (first & 1, rest)) else {
        return input.get(1..).unwrap_or_default().to_vec();
    };
    let mut stream = b"SSH-2.0-fuzz\r\n".to_vec();
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (payload, behind) = after.split_at(length);
        // RFC 4253, section 6: the total is a multiple of eight, with at least four bytes of padding.
        let padding = 4 + (8 - (5 + payload.len() + 4) % 8) % 8;
        stream.extend((1 + payload.len() as u32 + padding as u32).to_be_bytes());
        stream.push(padding as u8);
        stream.extend(payload);
        stream.extend(vec![0; padding]);
        rest = behind;
    }
    stream
}

impl World {
    fn new() -> World {
        let dir = TempDir::new().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("etc")).expect("a folder");
        std::fs::write(dir.path().join("etc/users.toml"), "[server]\n").expect("a file");
        let config = config::load(dir.path(), None, &[]).expect("a configuration");
        let transport = Transport::new(&config).expect("a key");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let metrics = Arc::new(Metrics::default());
        let shared = ServerState {
            authenticator: Authenticator::new(Arc::new(TomlAccounts::new(&config.dir, &config.accounts))),
            homes: Arc::new(PosixStore::default()),
            permits: UserPermits::default(),
            abandoned: AbandonedWork::default(),
            admission: AdmissionControl::new(config.limits.clone()),
            rates: RateLimits::default(),
            memory: MemoryBudgets::default(),
            bulk_gate: BulkGate::for_this_machine(),
            sessions: Arc::new(SessionRegistry::new(Arc::clone(&metrics))),
            metrics,
            pool: runtime.block_on(async { BlockingPool::of_this_runtime() }).expect("threads"),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            config: ArcSwap::from_pointee(config),
            listen: Vec::new(),
            refused: ArcSwapOption::empty(),
        };
        World { _dir: dir, transport, shared: Arc::new(shared), runtime }
    }
}
