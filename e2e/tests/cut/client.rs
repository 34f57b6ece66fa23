//! Our client, in this process.

#![allow(dead_code)] // each test file uses what it needs

use clap::Parser;
use sshome::cli::ClientCli;
use sshome::conversation::{Conversation, ConversationError};
use sshome::ssh::{self, Connection, Environment, LoginError, Settings};
use sshome::transfer::{
    self, CheckSummary, Closing, Delta, ExpectedContent, FinishedFile, FinishedLink, Jobs, Observer,
    ProgressDisplay, Reconnect, Reconnecting, Retry, SecondConversation, StreamedFile, SyncChange,
    SyncOptions, TransferContext, TransferOptions, TransferSummary,
};
use sshome_e2e::Host;
use sshome_wire::{Part, Payload, RemotePath, Request, Status, Usage};
use std::io::{Read, Write};
use std::ops::DerefMut;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

pub const PLAIN: TransferOptions = TransferOptions {
    all: false,
    delta: Delta::Auto,
    recursive: false,
    preserve: false,
    follow: false,
    force: false,
    jobs: Jobs::ONE,
    batch_entries: TransferOptions::DEFAULT_BATCH_ENTRIES,
    split_bytes: TransferOptions::DEFAULT_SPLIT_BYTES,
};
pub const RECURSIVE: TransferOptions = TransferOptions { recursive: true, ..PLAIN };

/// A logged-in client with its own folder.
pub struct InProcessClient {
    pub conversation: Conversation,
    pub cancel: CancellationToken,
    pub retries: u32,
    pub pause: Duration,
    heard: Arc<Heard>,
    connection: Connection,
    folder: tempfile::TempDir,
}

/// Runs a transfer of a client.
macro_rules! run {
    ($client:ident, $transfer:ident, $($argument:expr),*) => {{
        let (progress, mut way) =
            ($client.progress(), Way::of(&mut $client.connection, $client.retries, $client.pause));
        let ctx = TransferContext {
            conversation: &mut $client.conversation,
            cancel: &$client.cancel,
            progress: &progress,
            reconnect: Some(&mut way),
        };
        transfer::$transfer(ctx, $($argument),*).await
    }};
}

/// The reports of the last transfer.
#[derive(Debug, Default)]
struct Heard {
    /// The number of announced files, and of batches.
    announced: AtomicU64,
    portions: AtomicU64,
    /// Changes that a synchronisation has reported.
    changes: AtomicU64,
    /// Bytes that were transferred.
    through: AtomicU64,
    /// For each finished file, its length and the offset at which it was resumed.
    done: Mutex<Vec<(u64, u64)>>,
    /// Reasons of lost connections and of failed reconnects.
    reasons: Mutex<Vec<String>>,
    /// Local paths that have to exist before a finished file is reported.
    awaited: Mutex<Vec<PathBuf>>,
}

impl Observer for Heard {
    fn begin(&self, files: u64, _: Option<u64>) {
        self.announced.store(files, Ordering::SeqCst);
        self.portions.store(1, Ordering::SeqCst);
        self.through.store(0, Ordering::SeqCst);
        self.done.lock().unwrap().clear();
    }

    fn grow(&self, files: u64, _: Option<u64>) {
        self.portions.fetch_add(1, Ordering::SeqCst);
        self.announced.fetch_add(files, Ordering::SeqCst);
    }

    fn advance(&self, bytes: u64) {
        self.through.fetch_add(bytes, Ordering::SeqCst);
    }

    fn resume_at(&self, _: &[u8], offset: u64) {
        self.through.fetch_add(offset, Ordering::SeqCst);
    }

    fn rewind(&self, bytes: u64) {
        let before = self.through.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "{bytes} have to go again, and only {before} were through");
    }

    fn done(&self, file: &FinishedFile<'_>) {
        assert_eq!(file.digest.is_some(), file.status == Status::Done, "{file:?}");
        let begun = Instant::now();
        while !self.awaited.lock().unwrap().iter().all(|path| path.exists()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "they never came to be");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.done.lock().unwrap().push((file.size, file.resumed_at));
    }

    fn linked(&self, _: &FinishedLink<'_>) {}

    fn changes(&self, _: &SyncChange<'_>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn retry(&self, retry: &Retry<'_>) {
        self.reasons.lock().unwrap().push(retry.why.to_owned());
    }
}

/// A connection, the client's own or a further one, that reconnects as the test wants.
struct Way<R> {
    inner: R,
    retries: u32,
    pause: Duration,
    /// A client keeps its own connection.
    close: fn(R) -> Closing,
}

impl<R> Reconnect for Way<R>
where
    R: DerefMut + Send,
    R::Target: Reconnect,
{
    fn retries(&self) -> u32 {
        self.retries
    }

    fn pause(&self, _: u32) -> Duration {
        self.pause
    }

    fn reconnect(&mut self) -> Reconnecting<'_> {
        self.inner.reconnect()
    }

    fn second_conversation(&self) -> SecondConversation {
        self.inner.second_conversation()
    }

    fn beside(&self) -> Box<dyn Reconnect> {
        let (retries, pause) = (self.retries, self.pause);
        Box::new(Way { inner: self.inner.beside(), retries, pause, close: |inner| inner.close() })
    }

    fn close(self: Box<Self>) -> Closing {
        (self.close)(self.inner)
    }
}

impl<'a> Way<&'a mut Connection> {
    fn of(connection: &'a mut Connection, retries: u32, pause: Duration) -> Self {
        Way { inner: connection, retries, pause, close: |_| Box::pin(std::future::ready(())) }
    }
}

impl InProcessClient {
    /// Logs in at a port of this machine.
    pub async fn login(host: &Host, port: u16) -> InProcessClient {
        InProcessClient::try_login(host, port).await.unwrap()
    }

    /// The same, over a connection that may break.
    pub async fn try_login(host: &Host, port: u16) -> Result<InProcessClient, LoginError> {
        InProcessClient::try_login_with(host, port, "").await
    }

    /// The same as [`login`](InProcessClient::login), with this text as ssh_config.
    pub async fn login_with(host: &Host, port: u16, config: &str) -> InProcessClient {
        InProcessClient::try_login_with(host, port, config).await.unwrap()
    }

    async fn try_login_with(host: &Host, port: u16, config: &str) -> Result<InProcessClient, LoginError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".config"), config).unwrap();
        let arguments = [
            "sshome".into(),
            "-F".into(),
            folder.path().join(".config").into_os_string(),
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
        let cli = ClientCli::try_parse_from(arguments).unwrap();
        let settings = Settings::resolve(&cli, &Environment::default()).unwrap();
        let (connection, conversation) = ssh::connect(&settings).await?;
        let pause = Duration::from_millis(200);
        let (cancel, heard) = (CancellationToken::new(), Arc::default());
        Ok(InProcessClient { conversation, connection, cancel, retries: 5, pause, heard, folder })
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

    /// The reports of the last transfer: the transferred bytes; and for each finished file, its length and the offset
    /// at which it was resumed.
    pub fn heard(&self) -> (u64, Vec<(u64, u64)>) {
        (self.heard.through.load(Ordering::SeqCst), self.heard.done.lock().unwrap().clone())
    }

    /// Reasons of lost connections and of failed reconnects in all transfers.
    pub fn reasons(&self) -> Vec<String> {
        self.heard.reasons.lock().unwrap().clone()
    }

    /// The number of files that the last transfer announced, and of batches.
    pub fn announced(&self) -> (u64, u64) {
        (self.heard.announced.load(Ordering::SeqCst), self.heard.portions.load(Ordering::SeqCst))
    }

    /// Every finished file is held back until these local paths exist.
    pub fn hold_files_until(&self, names: &[&str]) {
        *self.heard.awaited.lock().unwrap() = names.iter().map(|name| self.path(name)).collect();
    }

    /// How many changes synchronisations have reported since the last call.
    pub fn changes(&self) -> u64 {
        self.heard.changes.swap(0, Ordering::SeqCst)
    }

    fn progress(&self) -> ProgressDisplay {
        ProgressDisplay::new(false).quiet(true).observed_by(Arc::clone(&self.heard) as _)
    }

    /// The names in the client's folder, including unfinished files.
    pub fn names(&self) -> Vec<String> {
        names(&self.path(""))
    }

    /// The names in a directory of its folder.
    pub fn names_in(&self, directory: &str) -> Vec<String> {
        names(&self.path(directory))
    }

    pub async fn put(
        &mut self,
        sources: &[&str],
        target: &str,
        options: TransferOptions,
    ) -> Result<TransferSummary, ConversationError> {
        let sources: Vec<PathBuf> = sources.iter().map(|source| self.path(source)).collect();
        run!(self, put, &sources, &remote(target), options)
    }

    pub async fn get(
        &mut self,
        sources: &[&str],
        target: &str,
        options: TransferOptions,
    ) -> Result<TransferSummary, ConversationError> {
        std::fs::create_dir_all(self.path("")).unwrap();
        let (sources, target): (Vec<RemotePath>, PathBuf) =
            (sources.iter().map(|source| remote(source)).collect(), self.path(target));
        run!(self, get, &sources, &target, options)
    }
}

impl InProcessClient {
    /// Makes `target` on the server like the local `source`.
    pub async fn push(
        &mut self,
        source: &str,
        target: &str,
        options: &SyncOptions,
    ) -> Result<TransferSummary, ConversationError> {
        let source = [self.path(source)];
        run!(self, push, &source, &remote(target), false, options)
    }

    /// Makes the local `target` like `source` on the server.
    pub async fn pull(
        &mut self,
        source: &str,
        target: &str,
        options: &SyncOptions,
    ) -> Result<TransferSummary, ConversationError> {
        let target = self.path(target);
        run!(self, pull, &[remote(source)], &target, false, options)
    }

    /// Compares the local tree with the one on the server.
    pub async fn check(
        &mut self,
        local: &str,
        remote_path: &str,
        options: &SyncOptions,
    ) -> Result<CheckSummary, ConversationError> {
        let local = self.path(local);
        run!(self, check, &local, &remote(remote_path), options)
    }

    pub async fn put_stream(
        &mut self,
        input: impl Read + Send + 'static,
        target: &str,
    ) -> Result<TransferSummary, ConversationError> {
        run!(self, put_stream, input, &remote(target), ExpectedContent::default())
    }

    pub async fn get_stream(
        &mut self,
        source: &str,
        output: impl Write + Send + 'static,
    ) -> Result<StreamedFile, ConversationError> {
        run!(self, get_stream, &remote(source), Box::new(output))
    }
}

/// The partial uploads and the usage on the server.
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

/// Pseudorandom bytes.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn remote(path: &str) -> RemotePath {
    RemotePath::root().join(path.as_bytes()).unwrap()
}

/// Waits for a condition that other tasks will meet.
pub async fn until(mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it never came to pass");
}
