//! Our client, in this process.

use clap::Parser;
use sshome::cli::Cli;
use sshome::conversation::{Conversation, ConversationError};
use sshome::interrupt::Interrupt;
use sshome::ssh::{self, Connection, Environment, LoginError, Settings};
use sshome::transfer::{self, Context, Options, Progress, Reconnect, Reconnecting, Summary};
use sshome_e2e::Host;
use sshome_wire::{Part, Payload, RemotePath, Request, Usage};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const PLAIN: Options = Options { recursive: false, preserve: false, follow: false, force: false };
pub const RECURSIVE: Options = Options { recursive: true, ..PLAIN };

/// A client that is logged in, with a folder of its own.
pub struct Client {
    pub conversation: Conversation,
    pub interrupt: Interrupt,
    pub retries: u32,
    pub pause: Duration,
    connection: Connection,
    folder: tempfile::TempDir,
}

/// A connection that is tried again as a test wants it.
struct Way<'a>(&'a mut Connection, u32, Duration);

impl Reconnect for Way<'_> {
    fn retries(&self) -> u32 {
        self.1
    }

    fn pause(&self, _: u32) -> Duration {
        self.2
    }

    fn reconnect(&mut self) -> Reconnecting<'_> {
        self.0.reconnect()
    }
}

impl Client {
    /// Logs in at a port of this machine.
    pub async fn login(host: &Host, port: u16) -> Client {
        Client::try_login(host, port).await.unwrap()
    }

    /// The same, over a way that may break.
    pub async fn try_login(host: &Host, port: u16) -> Result<Client, LoginError> {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "sshome".into(),
            "-F".into(),
            "none".into(),
            "--accept-new".into(),
            "-q".into(),
            "--known-hosts".into(),
            folder.path().join(".known_hosts").into_os_string(),
            "-i".into(),
            host.key_file().into_os_string(),
            "-P".into(),
            port.to_string().into(),
            "ann@127.0.0.1".into(),
        ];
        let cli = Cli::try_parse_from(arguments).unwrap();
        let settings = Settings::resolve(&cli, &Environment::default()).unwrap();
        let (connection, conversation) = ssh::connect(&settings).await?;
        let pause = Duration::from_millis(200);
        Ok(Client { conversation, connection, interrupt: Interrupt::new(), retries: 5, pause, folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The names in the client's folder; unfinished files are among them.
    pub fn names(&self) -> Vec<String> {
        names(&self.path(""))
    }

    pub async fn put(
        &mut self,
        sources: &[&str],
        target: &str,
        options: Options,
    ) -> Result<Summary, ConversationError> {
        let sources: Vec<PathBuf> = sources.iter().map(|source| self.path(source)).collect();
        let (progress, mut way) = (progress(), Way(&mut self.connection, self.retries, self.pause));
        let ctx = Context {
            conversation: &mut self.conversation,
            interrupt: &self.interrupt,
            progress: &progress,
            reconnect: Some(&mut way),
        };
        transfer::put(ctx, &sources, &remote(target), options).await
    }

    pub async fn get(
        &mut self,
        sources: &[&str],
        target: &str,
        options: Options,
    ) -> Result<Summary, ConversationError> {
        std::fs::create_dir_all(self.path("")).unwrap();
        let (sources, target): (Vec<RemotePath>, PathBuf) =
            (sources.iter().map(|source| remote(source)).collect(), self.path(target));
        let (progress, mut way) = (progress(), Way(&mut self.connection, self.retries, self.pause));
        let ctx = Context {
            conversation: &mut self.conversation,
            interrupt: &self.interrupt,
            progress: &progress,
            reconnect: Some(&mut way),
        };
        transfer::get(ctx, &sources, &target, options).await
    }
}

/// What is left of uploads that were cut, and what the server counts.
pub async fn books(host: &Host) -> (Vec<Part>, Usage) {
    use sshome_e2e::Peer;
    use sshome_wire::Frame;
    let mut peer = Peer::login(host, "ann").await.unwrap();
    peer.send(&Frame::Request(Request::Parts)).await.unwrap();
    let mut parts = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Parts(more) => parts.extend(more),
            Frame::Reply(_) => break,
            other => panic!("{other:?}"),
        }
    }
    match peer.ask(Request::Df).await.unwrap().payload {
        Payload::Usage(usage) => (parts, usage),
        other => panic!("{other:?}"),
    }
}

/// The names in a directory.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Bytes that are nowhere the same.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn progress() -> Progress {
    Progress::new(false).quiet(true)
}

fn remote(path: &str) -> RemotePath {
    RemotePath::root().join(path.as_bytes()).unwrap()
}
