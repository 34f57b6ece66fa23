//! In all protocols, requests wait until the home is counted, for at most thirty seconds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how tests fail")]

use bytes::{Bytes, BytesMut};
use russh::keys::parse_public_key_base64;
use sshome_store::HomeStore;
use sshome_store::conformance::CountHold;
use sshome_store_posix::{CountPhase, PosixStore};
use sshome_wire::sftp::{
    ClientPacket, Response, ServerPacket, SftpAttributes, SftpDecoder, SftpRequest, StatusCode,
};
use sshome_wire::{
    BlockHasher, Decoder, End, Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Put, Reply, Request,
    Status,
};
use sshomed::accounts::{TomlAccounts, homes_of};
use sshomed::auth::{Authenticator, Login};
use sshomed::protocol::sftp::SymlinkOrder;
use sshomed::protocol::{
    Arrival, BlockingPool, ChannelEnd, ChannelInput, ChannelOutput, Gone, exec, native, sftp,
};
use sshomed::service::{User, UserPermits};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const PUBLIC_KEY_BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";

/// How long a request waits, and a little more.
const REQUEST_WAIT: std::ops::Range<Duration> = Duration::from_secs(30)..Duration::from_secs(32);

/// A home with a file `f`, whose count is held.
struct World {
    dir: TempDir,
    hold: CountHold<CountPhase>,
    homes: PosixStore,
    login: Login,
    pool: Arc<BlockingPool>,
}

impl World {
    async fn new() -> World {
        let dir = TempDir::with_prefix("sshomed-counting-").unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::create_dir_all(dir.path().join("home/ann")).unwrap();
        std::fs::write(dir.path().join("home/ann/f"), "f").unwrap();
        let text = format!("[users.ann]\nauthorized-keys = [\"ssh-ed25519 {PUBLIC_KEY_BASE64}\"]\n");
        std::fs::write(dir.path().join("etc/users.toml"), text).unwrap();
        let config = sshomed::config::load(dir.path(), None, &[]).unwrap();
        let hold = CountHold::held();
        let observer = hold.clone();
        let homes = PosixStore::observed(move |user, phase| observer.pass(user, phase));
        (&homes as &dyn HomeStore).serve(&homes_of(&config.accounts)).unwrap();
        let authenticator = Authenticator::new(Arc::new(TomlAccounts::new(&config.dir, &config.accounts)));
        let key = parse_public_key_base64(PUBLIC_KEY_BASE64).unwrap();
        let login = authenticator.public_key("ann", &key, [127, 0, 0, 1].into()).await.unwrap();
        World { dir, hold, homes, login, pool: Arc::new(BlockingPool::of_this_runtime().unwrap()) }
    }

    fn user(&self) -> User {
        User::enter(self.login.clone(), &self.homes, &UserPermits::default()).unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        self.dir.path().join("home/ann").join(name).exists()
    }

    /// A conversation in the native protocol.
    fn native(&self) -> Conversation {
        let (to_server, input) = mpsc::unbounded_channel();
        let (sent, from_server) = mpsc::unbounded_channel();
        let (stopping, user, pool) = (CancellationToken::new(), self.user(), Arc::clone(&self.pool));
        let (output, stop) = (Output::to(sent), stopping.clone());
        let moves = Arc::clone(&output.moves);
        let served =
            tokio::spawn(async move { native::serve(Input(input), output, user, stop, &pool).await });
        let mut conversation =
            Conversation { to_server, from_server, decoder: Decoder::new(), moves, stopping, served };
        conversation.send(Frame::Hello(hello()));
        conversation
    }

    /// Runs a command without input. Returns its standard error and its end.
    async fn run(&self, line: &str) -> (String, ChannelEnd) {
        let (to_server, input) = mpsc::unbounded_channel();
        let (sent, mut from_server) = mpsc::unbounded_channel();
        to_server.send(Arrival::Eof).unwrap();
        let (output, stopping) = (Output::to(sent), CancellationToken::new());
        let line = line.as_bytes().to_vec();
        let ended = exec::run(Input(input), output, self.user(), line, false, stopping, &self.pool).await;
        let mut text = Vec::new();
        while let Ok(bytes) = from_server.try_recv() {
            text.extend_from_slice(&bytes);
        }
        (String::from_utf8(text).unwrap(), ended)
    }
}

struct Conversation {
    to_server: mpsc::UnboundedSender<Arrival>,
    from_server: mpsc::UnboundedReceiver<Bytes>,
    decoder: Decoder,
    moves: Arc<AtomicUsize>,
    stopping: CancellationToken,
    served: JoinHandle<ChannelEnd>,
}

impl Conversation {
    fn send(&mut self, frame: Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes).unwrap();
        self.to_server.send(Arrival::Data(bytes.freeze())).unwrap();
    }

    fn ask(&mut self, request: Request) {
        self.send(Frame::Request(request));
    }

    /// Sends a file of one byte.
    fn put(&mut self, name: &str) {
        let path = name.as_bytes().to_vec();
        self.ask(Request::Put(Put { path, size: Some(1), mtime: None, source: None, mode: None, resume: 0 }));
        self.send(Frame::Data(Bytes::from_static(b"x")));
        let mut hasher = BlockHasher::new();
        hasher.update(b"x");
        let (digest, size) = (hasher.finish(), 1);
        self.send(Frame::End(End { status: Status::Done, message: String::new(), digest, size }));
    }

    /// Returns once the last request waits. It has no reply yet.
    async fn wait(&mut self) {
        let moves = Arc::clone(&self.moves);
        moves.store(0, SeqCst);
        let waits = async {
            while moves.load(SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            reply = self.reply() => panic!("{reply}"),
            () = waits => {}
        }
    }

    async fn reply(&mut self) -> Reply {
        loop {
            match self.decoder.next().unwrap() {
                Some(Frame::Reply(reply)) => return reply,
                Some(_) => {}
                None => self.decoder.push(self.from_server.recv().await.unwrap()),
            }
        }
    }
}

fn hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        features: Features::default(),
        max_frame: MAX_FRAME,
        max_outstanding: 0,
        status: Status::Authenticated,
        message: String::new(),
    }
}

struct Input(mpsc::UnboundedReceiver<Arrival>);

impl ChannelInput for Input {
    async fn next(&mut self) -> Arrival {
        self.0.recv().await.unwrap_or(Arrival::Gone)
    }
}

#[derive(Clone)]
struct Output {
    sent: mpsc::UnboundedSender<Bytes>,
    gone: CancellationToken,
    /// The number of times that the channel reported activity.
    moves: Arc<AtomicUsize>,
}

impl Output {
    fn to(sent: mpsc::UnboundedSender<Bytes>) -> Output {
        Output { sent, gone: CancellationToken::new(), moves: Arc::default() }
    }
}

impl ChannelOutput for Output {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.sent.send(bytes).map_err(|_| Gone)
    }

    async fn send_error(&self, bytes: Bytes) -> Result<(), Gone> {
        self.send(bytes).await
    }

    fn closed(&self) -> CancellationToken {
        self.gone.clone()
    }

    fn moved(&self) {
        self.moves.fetch_add(1, SeqCst);
    }
}

fn path(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_put_waits_half_a_minute_and_then_reports_the_number_of_entries() {
    let world = World::new().await;
    let mut native = world.native();
    let begun = Instant::now();
    native.ask(Request::Stat { path: path("f"), follow: true });
    native.ask(Request::Rm { path: path("f"), recursive: false });
    assert!(!native.reply().await.status.is_error());
    assert_eq!(native.reply().await.status, Status::Done);
    assert!(begun.elapsed() < REQUEST_WAIT.start && !world.exists("f"));
    for name in ["one", "other"] {
        native.put(name);
    }
    native.ask(Request::Mkdir { path: path("d"), parents: false, mode: None });
    // All of them have waited, and none waits again.
    for _ in 0..3 {
        let reply = native.reply().await;
        assert_eq!(reply.status, Status::Busy, "{reply}");
        assert!(reply.message.contains("being counted, 0 entries so far"), "{reply}");
    }
    assert!(REQUEST_WAIT.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    // The connection was not idle meanwhile.
    assert!(native.moves.load(SeqCst) >= 100);
    // The next one does.
    native.put("third");
    assert_eq!(native.reply().await.status, Status::Busy);
    assert!(begun.elapsed() >= 2 * REQUEST_WAIT.start, "{:?}", begun.elapsed());
    world.hold.release();
}

#[tokio::test(start_paused = true)]
async fn a_command_waits_as_long_as_a_put_and_fails() {
    let world = World::new().await;
    let begun = Instant::now();
    assert_eq!(world.run("ls").await.1, ChannelEnd::Well);
    let (note, ended) = world.run("df").await;
    assert!(ended == ChannelEnd::Well && note.contains("df: the home is being counted, 0 entries"), "{note}");
    assert!(begun.elapsed() < REQUEST_WAIT.start);
    let (error, ended) = world.run("put new").await;
    assert_eq!(ended, ChannelEnd::Failed(1));
    assert!(error.starts_with("put: busy: your home is being counted, 0 entries so far"), "{error}");
    assert!(REQUEST_WAIT.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(world.run("rm f").await.1, ChannelEnd::Well);
    assert!(!world.exists("new") && !world.exists("f"));
    world.hold.release();
}

#[tokio::test(start_paused = true)]
async fn sftp_waits_as_long_as_a_put_and_serves_reads_meanwhile() {
    let world = World::new().await;
    let (to_server, input) = mpsc::unbounded_channel();
    let (sent, mut from_server) = mpsc::unbounded_channel();
    let path = |name: &'static str| Bytes::from_static(name.as_bytes());
    let attributes = SftpAttributes::default();
    let size = SftpAttributes { size: Some(0), ..SftpAttributes::default() };
    let requests = [
        SftpRequest::Stat { path: path("f") },
        SftpRequest::Setstat { path: path("f"), attributes: size },
        SftpRequest::Mkdir { path: path("d"), attributes },
        SftpRequest::Rename { from: path("f"), to: path("g") },
        SftpRequest::Remove { path: path("f") },
    ];
    let packets = (0..).zip(requests).map(|(id, request)| ClientPacket::Request { id, request });
    let mut bytes = Vec::new();
    for packet in [ClientPacket::Init { version: 3, extensions: Vec::new() }].into_iter().chain(packets) {
        packet.encode(&mut bytes).unwrap();
    }
    to_server.send(Arrival::Data(bytes.into())).unwrap();
    let (output, stopping) = (Output::to(sent), CancellationToken::new());
    let (user, pool, begun) = (world.user(), Arc::clone(&world.pool), Instant::now());
    let order = SymlinkOrder::of(b"");
    tokio::spawn(async move { sftp::serve(Input(input), output, user, order, stopping, &pool).await });
    let (mut decoder, mut answers) = (SftpDecoder::new(), Vec::new());
    while answers.len() < 5 {
        match decoder.next().unwrap().map(|packet| ServerPacket::decode(packet).unwrap()) {
            Some(ServerPacket::Response { response, .. }) => {
                assert_eq!(answers.is_empty(), begun.elapsed() < REQUEST_WAIT.start, "{response:?}");
                answers.push(response);
            }
            Some(_) => {}
            None => decoder.push(from_server.recv().await.unwrap()),
        }
    }
    assert!(REQUEST_WAIT.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(matches!(answers.remove(0), Response::Attrs(_)));
    assert!(matches!(answers.pop(), Some(Response::Status { code: StatusCode::Ok, .. })));
    for answer in answers {
        let Response::Status { code: StatusCode::Failure, message } = answer else { panic!("{answer:?}") };
        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(text.contains("busy: your home is being counted, 0 entries so far"), "{text}");
    }
    assert!(!world.exists("f") && !world.exists("d"));
    world.hold.release();
}

#[tokio::test]
async fn waiting_requests_are_executed_when_the_count_ends() {
    let world = World::new().await;
    let mut native = world.native();
    native.put("new");
    native.ask(Request::Mv { from: path("f"), to: path("g") });
    native.ask(Request::Pwd);
    native.wait().await;
    assert!(!world.exists("new"));
    world.hold.release();
    for _ in 0..3 {
        let reply = native.reply().await;
        assert!(!reply.status.is_error(), "{reply}");
    }
    assert!(world.exists("new") && world.exists("g"));
    assert_eq!(world.run("put other").await.1, ChannelEnd::Well);
    let usage = world.homes.usages().pop().unwrap().1;
    assert_eq!((usage.usage.used.bytes, usage.usage.used.entries, usage.is_counting), (2, 3, false));
}

#[tokio::test]
async fn a_cancel_and_a_shutdown_end_the_wait() {
    let world = World::new().await;
    let mut native = world.native();
    native.put("new");
    native.wait().await;
    native.send(Frame::Cancel);
    assert_eq!(native.reply().await.status, Status::Cancelled);
    assert_eq!(native.reply().await.status, Status::Done);
    native.put("new");
    native.wait().await;
    native.stopping.cancel();
    assert_eq!(native.served.await.unwrap(), ChannelEnd::Well);
    assert!(!world.exists("new"));
    world.hold.release();
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_wait() {
    let world = World::new().await;
    let mut native = world.native();
    native.put("new");
    native.wait().await;
    native.to_server.send(Arrival::Gone).unwrap();
    assert_eq!(native.served.await.unwrap(), ChannelEnd::Gone);
    world.hold.release();
}
