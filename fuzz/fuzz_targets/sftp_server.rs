//! Whole streams of requests into the server's side of SFTP, with a home of its own each. Whatever comes,
//! it must not panic; each request has one answer, in its order, and the answers are packets; afterwards
//! the books are what a fresh count of the disk finds, within the quota, and nothing outside has changed.
#![no_main]

use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use sshome_wire::sftp::{Decoder, ServerPacket};
use sshomed::accounts::{Account, TomlAccounts};
use sshomed::auth::{Authenticator, Login, Password, hash_password};
use sshomed::config;
use sshomed::home::Homes;
use sshomed::operations::User;
use sshomed::quota::Use;
use sshomed::subsystem::{Arrival, Ended, Gone, Incoming, Outgoing, Workers, sftp};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const QUOTA: u64 = 1 << 20;

/// What all runs share: a folder outside of the home with the home in it, and who has logged in.
struct World {
    dir: TempDir,
    accounts: Vec<Arc<Account>>,
    login: Login,
    runtime: Runtime,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary folder");
    let password = || Password::new("only here");
    fs::create_dir(dir.path().join("etc")).expect("a folder");
    let text = format!("[server]\n[users.ann]\nquota = {QUOTA}\nmax-files = 30\n");
    fs::write(dir.path().join("etc/users.toml"), text).expect("a file");
    fs::write(dir.path().join("secret"), "outside").expect("a file");
    let mut config = config::load(dir.path(), None, &[]).expect("a configuration");
    for account in &mut config.accounts {
        Arc::make_mut(account).password = Some(hash_password(&password()).expect("a hash"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let authenticator = Authenticator::new(Arc::new(TomlAccounts::new(&config)));
    let login = runtime.block_on(authenticator.password("ann", password())).expect("a login");
    World { dir, accounts: config.accounts, login, runtime }
});

fuzz_target!(|input: &[u8]| {
    let world = &*WORLD;
    let home: PathBuf = world.dir.path().join("home/ann");
    fs::remove_dir_all(&home).or_else(missing).expect("the home of the run before");
    let (homes, ledgers) = Homes::prepare(&world.accounts).expect("a home");
    fs::write(home.join("there"), [7; 5000]).expect("a file");
    fs::create_dir(home.join("d")).expect("a folder");
    std::os::unix::fs::symlink("/../../secret", home.join("out")).expect("a link");
    drop((homes, ledgers));
    // Counted again with what is there now.
    let (homes, ledgers) = Homes::prepare(&world.accounts).expect("a home");
    let user = User::enter(world.login.clone(), &homes, &ledgers).expect("the user's home");
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (incoming, outgoing) = (Pieces::of(input), Answers(Arc::clone(&sent)));
    let (order, stopping) = (sftp::SymlinkOrder::OpenSsh, CancellationToken::new());
    let ended = world.runtime.block_on(async {
        let workers = Workers::of_this_runtime();
        sftp::converse(incoming, outgoing, user, order, stopping, &workers).await
    });
    assert!(matches!(ended, Ended::Well | Ended::Violation), "{ended:?}");
    check_answers(&sent.lock().expect("nobody else has it"));
    let booked = ledgers.of("ann").expect("books").usage();
    drop((homes, ledgers));
    let (homes, ledgers) = Homes::prepare(&world.accounts).expect("a home");
    let found = ledgers.of("ann").expect("books").usage();
    assert_eq!(booked, found);
    assert_eq!(found.1, Use::default());
    assert!(found.0.bytes <= QUOTA && found.0.entries <= 30, "{found:?}");
    assert_eq!(fs::read(world.dir.path().join("secret")).expect("what is outside"), b"outside");
    drop(homes);
});

fn missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn check_answers(sent: &[Bytes]) {
    let mut decoder = Decoder::new();
    sent.iter().for_each(|piece| decoder.push(piece.clone()));
    while let Some(packet) = decoder.next().expect("packets") {
        ServerPacket::decode(packet).expect("an answer");
    }
    assert!(decoder.at_boundary());
}

/// The stream: INIT, then the input's packets. Their lengths are made to fit, unless the first byte says
/// that they are to be left as they are. They come one at a time.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Pieces {
    fn of(input: &[u8]) -> Pieces {
        let mut pieces = vec![Bytes::from_static(&[0, 0, 0, 5, 1, 0, 0, 0, 3])];
        let mut rest = Bytes::copy_from_slice(input);
        if rest.try_get_u8().is_ok_and(|first| first == 0) {
            pieces.push(rest);
            return Pieces(pieces.into_iter());
        }
        while let Ok(length) = rest.try_get_u32() {
            let body = rest.split_to((length as usize % 4096).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(&(body.len() as u32).to_be_bytes()));
            pieces.push(body);
        }
        Pieces(pieces.into_iter())
    }
}

impl Incoming for Pieces {
    async fn next(&mut self) -> Arrival {
        self.0.next().map_or(Arrival::Eof, Arrival::Data)
    }
}

struct Answers(Arc<Mutex<Vec<Bytes>>>);

impl Outgoing for Answers {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.0.lock().expect("nobody panics with it").push(bytes);
        Ok(())
    }

    /// The subsystem has no standard error.
    async fn send_error(&self, bytes: Bytes) -> Result<(), Gone> {
        unreachable!("{bytes:?} is none of SFTP's")
    }

    fn is_closed(&self) -> bool {
        false
    }
}
