//! `check`: each difference is reported, and nothing is changed.

use sshome_e2e::tree::{age, described, noise, set_mode};
use sshome_e2e::{Client, Host, Liar, Outcome};
use sshome_wire::{Entries, Entry, FileKind, Frame, Payload, Reply, Request, Status, Time};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A server and a client with the same tree `t`.
struct World {
    host: Host,
    client: Client,
}

impl World {
    async fn new() -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let world = World { host, client };
        for name in ["a", "b", "d/c", "d/e/f"] {
            let path = world.local(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        fs::create_dir(world.local("empty")).unwrap();
        symlink("a", world.local("link")).unwrap();
        world.client.succeed(["push", "t", "t"]).unwrap();
        world
    }

    fn local(&self, name: &str) -> PathBuf {
        self.client.work().join("t").join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join("t").join(name)
    }

    /// Compares the trees. Returns the exit code, the lines about differences, and the whole outcome.
    fn check(&self, options: &[&str]) -> (i32, Vec<String>, Outcome) {
        let outcome = self.client.run([&["check"][..], options, &["t", "t"]].concat()).unwrap();
        let mut lines: Vec<String> = outcome.out().lines().map(str::to_owned).collect();
        lines.pop();
        (outcome.code.unwrap(), lines, outcome)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_that_are_the_same_have_no_difference() {
    let world = World::new().await;
    for options in [&[][..], &["--fast"]] {
        let (code, lines, outcome) = world.check(options);
        assert_eq!((code, lines.len()), (0, 0), "{outcome}");
        assert!(outcome.out().ends_with("5 files are the same, 0 differences\n"), "{outcome}");
    }
    // Times do not matter, unless they are trusted.
    age(&world.local("a"), 5);
    assert_eq!(world.check(&[]).0, 0);
    let (code, lines, outcome) = world.check(&["--fast"]);
    assert_eq!((code, lines), (1, vec!["differs a".to_owned()]), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_difference_is_a_line_and_nothing_is_changed() {
    let world = World::new().await;
    let time = fs::metadata(world.remote("b")).unwrap().modified().unwrap();
    // The same size, and the same time.
    fs::write(world.remote("b"), "B").unwrap();
    fs::File::open(world.remote("b")).unwrap().set_modified(time).unwrap();
    fs::write(world.local("d/c"), "longer").unwrap();
    fs::create_dir_all(world.local("new/deep")).unwrap();
    fs::write(world.local("d/e/x"), "").unwrap();
    fs::create_dir(world.remote("old")).unwrap();
    fs::write(world.remote("d/e/y"), "").unwrap();
    symlink("a", world.remote("d/e/z")).unwrap();
    fs::remove_file(world.local("link")).unwrap();
    symlink("b", world.local("link")).unwrap();
    fs::remove_dir(world.local("empty")).unwrap();
    fs::write(world.local("empty"), "").unwrap();
    let before = [described(&world.local("")), described(&world.remote(""))];
    let (code, lines, outcome) = world.check(&[]);
    let expected = [
        "differs b",
        "differs empty",
        "differs link",
        "only-local new/",
        "only-remote old/",
        "differs d/c",
        "only-local d/e/x",
        "only-remote d/e/y",
        "only-remote d/e/z",
    ];
    assert_eq!((code, lines), (1, expected.map(str::to_owned).to_vec()), "{outcome}");
    assert!(outcome.out().ends_with("2 files are the same, 9 differences\n"), "{outcome}");
    assert_eq!([described(&world.local("")), described(&world.remote(""))], before);
    // What only its content tells apart is not found by a fast check.
    let (_, fast, outcome) = world.check(&["--fast"]);
    assert!(!fast.contains(&"differs b".to_owned()) && fast.len() == 8, "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_digests_are_trusted_on_request_only() {
    let world = World::new().await;
    let time = fs::metadata(world.remote("a")).unwrap().modified().unwrap();
    fs::write(world.remote("a"), "A").unwrap();
    fs::File::open(world.remote("a")).unwrap().set_modified(time).unwrap();
    fs::write(world.remote("b"), "B").unwrap();
    age(&world.remote("b"), 9);
    age(&world.local("d/c"), 5);
    let (code, lines, outcome) = world.check(&["--fast", "-c"]);
    assert_eq!((code, lines), (1, vec!["differs b".to_owned()]), "{outcome}");
    let trusted = "4 files are the same, 1 difference, 3 compared by the server's stored digests\n";
    assert!(outcome.out().ends_with(trusted), "{outcome}");
    for options in [&[][..], &["-c"]] {
        let (_, lines, outcome) = world.check(options);
        assert_eq!(lines, ["differs a", "differs b"], "{outcome}");
        assert!(!outcome.out().contains("stored digests"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_not_compared_on_either_side() {
    let world = World::new().await;
    for (path, content) in [("x.o", "12345"), ("cache/y", "1"), ("d/small", "1")] {
        for top in [world.local(""), world.remote("")] {
            fs::create_dir_all(top.join(path).parent().unwrap()).unwrap();
        }
        fs::write(world.local(path), content).unwrap();
    }
    fs::write(world.remote("z.o"), "").unwrap();
    fs::write(world.remote("d/large"), noise(3000, "large")).unwrap();
    let options = ["--exclude", "*.o", "--exclude", "/cache/", "--min-size", "2", "--max-size", "2K"];
    let (code, lines, outcome) = world.check(&options);
    assert_eq!((code, lines.len()), (0, 0), "{outcome}");
    assert_eq!(world.check(&[]).1.len(), 5);
    // Names of unfinished files are not compared, and a warning says so.
    fs::write(world.local(".a.sshome-part"), "").unwrap();
    let (code, _, outcome) = world.check(&options);
    assert!(code == 1 && outcome.err().contains("it was not compared"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_compared_by_their_names() {
    let world = World::new().await;
    let check = |local: &str, remote: &str| world.client.run(["check", local, remote]).unwrap();
    for (local, remote) in [("t/a", "t/a"), ("t/a", "t"), ("t", "t/a")] {
        let outcome = check(local, remote);
        assert!(
            outcome.code == Some(0) && outcome.out() == "1 file is the same, 0 differences\n",
            "{outcome}"
        );
    }
    let outcome = check("t/a", "t/b");
    assert!(outcome.code == Some(1) && outcome.out().starts_with("differs a\n"), "{outcome}");
    for (local, remote, why) in
        [("missing", "t", "cannot read it"), ("t", "missing", "/missing does not exist on the server")]
    {
        let outcome = check(local, remote);
        assert!(outcome.code == Some(1) && outcome.err().contains(why), "{outcome}");
        assert_eq!(outcome.out(), "");
    }
    assert_eq!(world.client.run(["check", "t"]).unwrap().code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_failure() {
    let world = World::new().await;
    for path in [world.local("b"), world.remote("b"), world.local("d/e"), world.remote("d/e")] {
        let permissions = fs::metadata(&path).unwrap().permissions();
        set_mode(&path, 0).unwrap();
        let (code, lines, outcome) = world.check(&[]);
        fs::set_permissions(&path, permissions).unwrap();
        assert_eq!((code, lines.len()), (1, 0), "{outcome}");
        assert!(outcome.out().contains("4 files are the same, 0 differences"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_an_event_for_each_difference() {
    let world = World::new().await;
    fs::write(world.local("d/c"), "longer").unwrap();
    fs::create_dir(world.remote("old")).unwrap();
    let outcome = world.client.run(["--json", "check", "t", "t"]).unwrap();
    let events: Vec<serde_json::Value> =
        outcome.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<String> = events
        .iter()
        .filter(|event| event["event"] == "difference")
        .map(|event| format!("{} {} {}", event["difference"], event["name"], event["kind"]))
        .collect();
    assert_eq!(found, [r#""only-remote" "old" "directory""#, r#""differs" "d/c" "file""#], "{outcome}");
    let summary = events.last().unwrap();
    assert_eq!((&summary["unchanged"], &summary["exit_code"]), (&4.into(), &1.into()), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_ends_early_is_a_failure() {
    let entry = |name: &[u8], kind| Entry {
        name: name.to_vec(),
        kind,
        size: 0,
        mtime: Time::default(),
        mode: 0o755,
        links: 1,
        target: Vec::new(),
    };
    let directory = move || Frame::Reply(Reply::with(Payload::Stat(entry(b"", FileKind::Directory))));
    let liar = Liar::start("", move |frame| match frame {
        Frame::Request(Request::Ls { .. }) => {
            let entries = vec![entry(b"f", FileKind::File)];
            let failed = Frame::Reply(Reply::new(Status::Failed, "the disk failed"));
            vec![Frame::Entries(Entries { directory: Vec::new(), entries }), failed]
        }
        _ => vec![directory()],
    })
    .await
    .unwrap();
    let client = liar.client().unwrap();
    fs::create_dir(client.work().join("t")).unwrap();
    let outcome = client.run(["check", "--fast", "t", "/t"]).unwrap();
    assert!(outcome.code == Some(1) && outcome.err().contains("the disk failed"), "{outcome}");
    assert_eq!(outcome.out(), "0 files are the same, 0 differences\n");
}
