//! Many clients at once, and a server that is killed under them.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome_e2e::tree::{contents, names, noise};
use sshome_e2e::{Client, Host, HostBuilder, Outcome, until};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

const MIB: usize = 1 << 20;

/// The number of simultaneous users.
const USERS: usize = 50;

/// Starts a script in a client, without waiting for its end.
fn spawn(client: &Client, script: &str) -> Child {
    let file = client.home().join("script");
    fs::write(&file, script).unwrap();
    let mut command = client.command().unwrap();
    // A killed server does not return in time, so reconnecting would only wait.
    command
        .args(["--retries", "0"])
        .arg(client.destination())
        .stdin(Stdio::from(fs::File::open(file).unwrap()))
        .spawn()
        .unwrap()
}

fn outcome(child: Child) -> Outcome {
    child.wait_with_output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_users_at_once_see_their_own_files_and_no_others() {
    let mut builder = HostBuilder::new().unwrap();
    for user in 0..USERS {
        builder = builder.user(&format!("user{user}"), "").unwrap();
    }
    let host = builder.start().await.unwrap();
    let clients: Vec<Client> =
        (0..USERS).map(|user| Client::new(&host, &format!("user{user}")).unwrap()).collect();
    let content =
        |user: usize, file: usize| noise((1 + (user + file) % 3) * MIB + user, format!("{user} {file}"));
    let mut running = Vec::new();
    for (user, client) in clients.iter().enumerate() {
        fs::create_dir(client.work().join("tree")).unwrap();
        for file in 0..2 {
            let name = format!("tree/of user{user}, number {file}");
            fs::write(client.work().join(name), content(user, file)).unwrap();
        }
        running.push(spawn(client, "put -r tree\nget -r tree back\nls -R\n"));
    }
    for (user, child) in running.into_iter().enumerate() {
        let outcome = outcome(child);
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "user{user}: {outcome}");
        let out = outcome.out();
        let listed: Vec<&str> = out.lines().filter(|line| line.starts_with("of ")).collect();
        let own: Vec<String> = (0..2).map(|file| format!("of user{user}, number {file}")).collect();
        assert_eq!(listed, own);
        let back = contents(&clients[user].work().join("back")).unwrap();
        let sent = (0..2).map(|file| (own[file].clone().into(), Some(blake3::hash(&content(user, file)))));
        assert_eq!(back, sent.collect());
    }
    for (user, client) in clients.iter().enumerate().step_by(10) {
        let other = (user + 1) % USERS;
        for path in ["..", "../..", "/..", "/../home"] {
            let theirs = format!("{path}/user{other}/tree/of user{other}, number 0");
            let outcome = client.run(["get", &theirs]).unwrap();
            assert_eq!(outcome.code, Some(1), "{outcome}");
            assert!(outcome.err().contains("(402)") || outcome.err().contains("(403)"), "{outcome}");
        }
        assert_eq!(names(&client.work()).unwrap(), [b"back", b"tree"]);
    }
}

/// The number of simultaneous writers, of files of each, and of rounds in which the server is killed.
const WRITERS: usize = 4;
const FILES: usize = 150;
const ROUNDS: usize = 5;

/// The content of a file of this name in a version. Its length identifies the version.
fn version(name: &str, version: usize) -> Vec<u8> {
    let digest = blake3::hash(name.as_bytes());
    // Most are small, and some take a while.
    let length = match digest.as_bytes()[0] {
        first @ 0..8 => usize::from(first) * MIB / 2,
        first => usize::from(first) * 64,
    };
    noise(length + version, format!("{name} {version}"))
}

/// Creates a version of a user's tree.
fn plant(top: &Path, user: usize, number: usize) {
    fs::create_dir_all(top).unwrap();
    for file in 0..FILES {
        let name = format!("u{user}-f{file}");
        fs::write(top.join(&name), version(&name, number)).unwrap();
    }
}

/// Every visible file is one of its versions, and the accounting matches the disk.
fn assert_whole(host: &Host, client: &Client) -> usize {
    let home = host.home("ann");
    let found = contents(&home).unwrap();
    let mut bytes = 0;
    for (path, digest) in &found {
        let Some(digest) = digest else { continue };
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = (1..=ROUNDS).map(|number| version(name, number)).find(|it| blake3::hash(it) == *digest);
        let whole = whole.unwrap_or_else(|| panic!("{} is a part of a file", path.display()));
        bytes += whole.len();
    }
    assert!(names(&home.join(".sshome-staging")).unwrap().is_empty(), "staged files are left");
    let df = client.succeed(["df"]).unwrap();
    let value = |row: &str| {
        let line = df.lines().find(|line| line.starts_with(row)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!((value("used"), value("reserved")), (bytes.to_string(), "0".to_owned()), "{df}");
    assert_eq!(value("files"), found.len().to_string(), "{df}");
    found.values().flatten().count()
}

#[test]
fn a_server_that_is_killed_leaves_whole_files_only() {
    let mut host =
        HostBuilder::new().unwrap().user("ann", "quota = \"unlimited\"").unwrap().prepare().unwrap();
    let mut random = StdRng::seed_from_u64(20_260_729);
    let mut program = host.start_apart().unwrap();
    let mut interrupted = 0;
    for round in 1..=ROUNDS {
        let clients: Vec<Client> = (0..WRITERS).map(|_| Client::new(&host, "ann").unwrap()).collect();
        for (user, client) in clients.iter().enumerate() {
            plant(&client.work().join("tree"), user, round);
        }
        let running: Vec<Child> = clients
            .iter()
            .enumerate()
            .map(|(user, client)| spawn(client, &format!("mkdir -p u{user}\nput -r tree u{user}\n")))
            .collect();
        // Acts when this many files of the round exist.
        let moment = random.random_range(1..WRITERS * FILES / 2);
        until("enough files arrive", || {
            let arrived =
                (0..WRITERS).map(|user| arrived(&host.home("ann").join(format!("u{user}/tree")), round));
            arrived.sum::<usize>() >= moment
        });
        program.kill().unwrap();
        let outcomes: Vec<Outcome> = running.into_iter().map(outcome).collect();
        for outcome in &outcomes {
            assert!(matches!(outcome.code, Some(0 | 3)), "{outcome}");
        }
        interrupted += outcomes.iter().filter(|outcome| outcome.code == Some(3)).count();
        program = host.start_apart().unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let seen = assert_whole(&host, &client);
        assert!(seen >= moment, "{seen} files, and {moment} were there");
    }
    assert!(interrupted > 0, "every round was over before the server was killed");
    // And it works as before.
    let client = Client::new(&host, "ann").unwrap();
    plant(&client.work().join("tree"), 0, 1);
    client.succeed(["put", "-r", "tree", "again"]).unwrap();
    assert_whole(&host, &client);
    assert!(
        contents(&client.work().join("tree")).unwrap() == contents(&host.home("ann").join("again")).unwrap()
    );
}

/// The number of files in a folder that have this version, by their lengths.
fn arrived(folder: &Path, number: usize) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let is_new = |entry: std::io::Result<fs::DirEntry>| {
        let length = entry.and_then(|entry| entry.metadata()).map_or(0, |metadata| metadata.len());
        length % 32 == number as u64
    };
    entries.map(is_new).filter(|is_new| *is_new).count()
}
