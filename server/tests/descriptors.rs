//! The number of descriptors that a conversation takes from its user's budget. The budget depends on the limit of the
//! process, so this is a separate program.
#![allow(clippy::unwrap_used, reason = "in tests an unwrap that fails is the test failing")]

use bytes::{Bytes, BytesMut};
use russh::keys::parse_public_key_base64;
use rustix::process::{Resource, getrlimit, setrlimit};
use sshome_store::HomeStore;
use sshome_store_posix::PosixStore;
use sshome_wire::{Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, RemotePath, Request, Status, Time};
use sshomed::accounts::{TomlAccounts, homes_of};
use sshomed::auth::{Authenticator, Login};
use sshomed::protocol::{Arrival, BlockingPool, ChannelInput, ChannelOutput, Gone, native};
use sshomed::service::{User, UserPermits, open_directory};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const PUBLIC_KEY_BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";

/// The limit of descriptors of this process.
const MAX_DESCRIPTORS: u64 = 1024;

struct World {
    homes: PosixStore,
    login: Login,
    pool: BlockingPool,
}

impl World {
    async fn new(dir: &Path) -> World {
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        std::fs::create_dir_all(dir.join("home/ann/d")).unwrap();
        let text = format!("[users.ann]\nauthorized-keys = [\"ssh-ed25519 {PUBLIC_KEY_BASE64}\"]\n");
        std::fs::write(dir.join("etc/users.toml"), text).unwrap();
        let config = sshomed::config::load(dir, None, &[]).unwrap();
        let homes = PosixStore::default();
        (&homes as &dyn HomeStore).serve(&homes_of(&config.accounts)).unwrap();
        // Waits until the home is counted.
        homes.count("ann").unwrap();
        let authenticator = Authenticator::new(Arc::new(TomlAccounts::new(&config.dir, &config.accounts)));
        let key = parse_public_key_base64(PUBLIC_KEY_BASE64).unwrap();
        let login = authenticator.public_key("ann", &key, [127, 0, 0, 1].into()).await.unwrap();
        World { homes, login, pool: BlockingPool::of_this_runtime().unwrap() }
    }

    fn user(&self) -> User {
        User::enter(self.login.clone(), &self.homes, &UserPermits::default()).unwrap()
    }

    /// The number of directories that ann can still open while `waiting` others wait to be finalized in one of her
    /// conversations.
    async fn room_beside(&self, waiting: usize) -> usize {
        let (room, found) = oneshot::channel();
        let input =
            Input { to_send: Some(requests(waiting)), unprocessed: 0, beside: self.user(), room: Some(room) };
        let (conversation, stopping) = (self.user(), CancellationToken::new());
        native::serve(input, Output::default(), conversation, stopping, &self.pool).await;
        found.await.unwrap()
    }
}

/// A hello, and requests to finalize a directory.
fn requests(count: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    let hello = Hello {
        version: PROTOCOL_VERSION,
        features: Features::default(),
        max_frame: MAX_FRAME,
        max_outstanding: 0,
        status: Status::Authenticated,
        message: String::new(),
    };
    Frame::Hello(hello).encode(&mut bytes).unwrap();
    for _ in 0..count {
        let mtime = Time { seconds: 1, nanoseconds: 0 };
        let request = Request::FinishDirectory { path: b"d".to_vec(), mtime };
        Frame::Request(request).encode(&mut bytes).unwrap();
    }
    bytes.freeze()
}

/// Sends the requests. Before it ends the input, which publishes their group, it opens directories until one is
/// refused.
struct Input {
    to_send: Option<Bytes>,
    /// Bytes that the conversation has not processed.
    unprocessed: usize,
    beside: User,
    room: Option<oneshot::Sender<usize>>,
}

impl ChannelInput for Input {
    async fn next(&mut self) -> Arrival {
        if let Some(bytes) = self.to_send.take() {
            return Arrival::Data(bytes);
        }
        if self.unprocessed > 0 {
            // It is called again after the slice that processes them.
            return std::future::pending().await;
        }
        if let Some(room) = self.room.take() {
            let open = || open_directory(&self.beside, &RemotePath::root()).ok();
            let opened: Vec<_> = std::iter::from_fn(open).collect();
            room.send(opened.len()).unwrap();
        }
        Arrival::Gone
    }

    fn hold(&mut self, bytes: usize) {
        self.unprocessed = bytes;
    }
}

#[derive(Default)]
struct Output(CancellationToken);

impl ChannelOutput for Output {
    async fn send(&self, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn send_error(&self, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    fn closed(&self) -> CancellationToken {
        self.0.clone()
    }
}

#[tokio::test]
async fn a_directory_that_waits_to_be_finalized_counts_both_of_its_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(MAX_DESCRIPTORS), ..limits })
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let (one, six) = (world.room_beside(1).await, world.room_beside(6).await);
    assert_eq!(one - six, 2 * 5);
}
