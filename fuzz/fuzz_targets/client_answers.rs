//! A server that sends any bytes to a client that runs a command. The client must end without a panic, and must change
//! nothing outside its working directory.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use russh::client::Handle;
use russh::keys::{Algorithm, PrivateKey, PublicKeyOrCertificate};
use russh::server::{Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId};
use sshome::conversation::{self, Conversation};
use sshome::shell::{Shell, ShellOutput};
use sshome_fuzz::Pieces;
use sshome_ssh::{CompressionMode, LinkMeter};
use sshome_wire::{Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Status};
use sshomed::protocol::{Arrival, ChannelInput};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// The client's commands; the first byte of the input selects one.
const COMMANDS: [&str; 16] = [
    "get -r /t here",
    "get -r -L -p /t /u",
    "get --force -p /f here",
    "get /f",
    "get /f -",
    "get *",
    "put -r local up",
    "put -r -p -L local",
    "put local/large /f",
    "ls -laR",
    "cp -r /a /b",
    "hash --verify /f",
    "stat * /x",
    "df -v",
    "key list",
    "rm -r /x*",
];

/// A client that is logged in to such a server.
struct World {
    dir: TempDir,
    runtime: Runtime,
    client: Handle<Trusting>,
    channels: Mutex<mpsc::UnboundedReceiver<Channel<Msg>>>,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let command = COMMANDS[usize::from(*first) % COMMANDS.len()];
    let world = &*WORLD;
    let work = world.dir.path().join("work");
    begin_anew(&work);
    world.runtime.block_on(async {
        let mut channels = world.channels.lock().expect("nobody panics with it");
        let near = world.client.channel_open_session().await.expect("a channel");
        let far = channels.recv().await.expect("its other end");
        let talking = talk(far, Pieces::packets(hello(), rest));
        let obeying = async {
            let Ok(conversation) =
                Conversation::start(near, CompressionMode::Always, LinkMeter::default()).await
            else {
                return;
            };
            let mut shell =
                Shell::new(conversation, ShellOutput::new(first & 0x80 != 0, false)).expect("a folder");
            drop(shell.line(command.as_bytes()).await);
            shell.close().await;
        };
        tokio::join!(talking, obeying);
    });
    assert_eq!(fs::read_dir(world.dir.path()).expect("a folder").count(), 2, "the work and the secret");
    assert_eq!(fs::read(world.dir.path().join("secret")).expect("what is outside"), b"outside");
});

/// Sends all pieces, reads meanwhile, and closes.
async fn talk(channel: Channel<Msg>, mut pieces: Pieces) {
    let (mut read, write) = channel.split();
    let saying = async {
        while let Arrival::Data(piece) = pieces.next().await {
            drop(write.data_bytes(piece).await);
        }
        drop(write.eof().await);
        drop(write.close().await);
    };
    let hearing = async { while read.wait().await.is_some() {} };
    tokio::select! {
        () = saying => {}
        () = hearing => {}
    }
}

fn hello() -> Bytes {
    let mut bytes = bytes::BytesMut::new();
    let hello = Frame::Hello(Hello {
        version: PROTOCOL_VERSION,
        // The fuzzer's data are answers.
        features: Features::ALL.without(Features::SESSION),
        max_frame: MAX_FRAME,
        max_outstanding: 4096,
        status: Status::Authenticated,
        message: String::new(),
    });
    hello.encode(&mut bytes).expect("a hello fits");
    bytes.freeze()
}

/// The working directory: some files to send, and a link that leads out of it.
fn begin_anew(work: &Path) {
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.expect("the folder of the run before"),
    }
    fs::create_dir_all(work.join("local/d")).expect("a folder");
    fs::write(work.join("local/d/small"), "small").expect("a file");
    fs::write(work.join("local/large"), vec![7; 5 << 20]).expect("a file");
    fs::create_dir(work.join("here")).expect("a folder");
    std::os::unix::fs::symlink("..", work.join("here/out")).expect("a link");
    std::env::set_current_dir(work).expect("a folder");
}

impl World {
    fn new() -> World {
        let dir = TempDir::new().expect("a temporary folder");
        fs::write(dir.path().join("secret"), "outside").expect("a file");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (opened, channels) = mpsc::unbounded_channel();
        let client = runtime.block_on(login(opened));
        World { dir, runtime, client, channels: Mutex::new(channels) }
    }
}

async fn login(opened: mpsc::UnboundedSender<Channel<Msg>>) -> Handle<Trusting> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let server = russh::server::Config {
        keys: vec![PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).expect("a key")],
        ..Default::default()
    };
    tokio::spawn(async move {
        let session = russh::server::run_stream(Arc::new(server), far, Door(opened)).await;
        drop(session.expect("a client").await);
    });
    let config = Arc::new(conversation::config());
    let mut client = russh::client::connect_stream(config, near, Trusting).await.expect("a server");
    assert!(client.authenticate_none("ann").await.expect("an answer").success());
    client
}

/// A client that trusts every server.
struct Trusting;

impl russh::client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A server that lets everybody in, and hands over the channels.
struct Door(mpsc::UnboundedSender<Channel<Msg>>);

impl russh::server::Handler for Door {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        drop(self.0.send(channel));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }
}
