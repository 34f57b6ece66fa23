//! `sshome` with a server that tries to make it write elsewhere, control the terminal, or keep half a file.

use bytes::Bytes;
use sshome_e2e::tree::names;
use sshome_e2e::{Client, Liar, Outcome, end_of, hello};
use sshome_wire::{
    Digest, End, Entries, Entry, Features, FileKind, Frame, Header, Hello, Payload, Reply, Request, Session,
    Status, Time,
};
use std::collections::BTreeSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Invalid names, and why a client refuses them.
const LIES: [(&[u8], &str); 12] = [
    (b"../evil", "slash or a NUL"),
    (b"../../../../../../../../tmp/sshome-evil", "slash or a NUL"),
    (b"/etc/sshome-evil", "slash or a NUL"),
    (b"a/b", "slash or a NUL"),
    (b"sub/../../evil", "slash or a NUL"),
    (b"evil/", "slash or a NUL"),
    (b".", "means a directory"),
    (b"..", "means a directory"),
    (b"", "empty name"),
    (b"nul\0", "slash or a NUL"),
    (b"\0", "slash or a NUL"),
    (b".good.sshome-part", "reserved for unfinished files"),
];

/// Bytes that would clear a screen, set a title, or reverse a line.
const DRIVING: &[u8] = "\x1b[2J\x1b]0;pwned\x07\r\u{9b}31m\u{202e}\x7f".as_bytes();

fn entry(name: &[u8], kind: FileKind) -> Entry {
    let target = if kind == FileKind::Symlink { DRIVING.to_vec() } else { Vec::new() };
    let mtime = Time { seconds: i64::MAX, nanoseconds: 0 };
    Entry { name: name.to_vec(), kind, size: 4, mtime, mode: 0o7777, links: u64::MAX, target }
}

fn directory() -> Reply {
    Reply::with(Payload::Stat(entry(b"", FileKind::Directory)))
}

fn entries(directory: &[u8], entries: Vec<Entry>) -> Frame {
    Frame::Entries(Entries { directory: directory.to_vec(), entries })
}

/// A file in the answer to a get.
fn file(content: &'static [u8]) -> Vec<Frame> {
    let header = Header { size: content.len() as u64, offset: 0, mtime: Time::default(), mode: 0o7777 };
    vec![Frame::Header(header), Frame::Data(Bytes::from_static(content)), Frame::End(end_of(content))]
}

/// A server where every directory has this listing.
async fn lister(list: impl Fn() -> Vec<Frame> + Send + Sync + 'static) -> Liar {
    let answer = move |frame| match frame {
        Frame::Request(Request::Ls { .. }) => [list(), vec![Frame::Reply(directory())]].concat(),
        Frame::Request(Request::Stat { .. }) => vec![Frame::Reply(directory())],
        Frame::Request(Request::Get { .. }) => file(b"evil"),
        _ => vec![Frame::Reply(Reply::new(Status::Done, ""))],
    };
    Liar::start("", answer).await.unwrap()
}

fn assert_tame(outcome: &Outcome) {
    for said in [&outcome.stdout, &outcome.stderr] {
        let text = std::str::from_utf8(said).expect("not UTF-8");
        let control = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(control), "a control character in {text:?}");
    }
}

/// Everything below the client's own folder, which includes files outside its working folder.
fn all(client: &Client) -> BTreeSet<Vec<u8>> {
    let top = client.work();
    let paths = sshome_e2e::tree::contents(top.parent().unwrap()).unwrap();
    paths.into_keys().map(|path| path.into_os_string().into_encoded_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_writes_nothing_outside_its_folder() {
    for kind in [FileKind::File, FileKind::Directory] {
        let liar = lister(move || {
            let mut lies: Vec<Entry> = LIES.iter().map(|(name, _)| entry(name, kind)).collect();
            lies.push(entry(b"good", FileKind::File));
            let inside = || vec![entry(b"evil", FileKind::File)];
            let mut frames = vec![entries(b"", lies)];
            for directory in [&b".."[..], b"../up", b"/etc", b"good", b"a/b", b".", b"nul\0", b"evil/"] {
                frames.push(entries(directory, inside()));
            }
            frames
        })
        .await;
        let client = liar.client().unwrap();
        let mut want = all(&client);
        let outcome = client.run(["get", "-r", "/tree"]).unwrap();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        for (name, why) in LIES {
            let name = sshome_wire::display::Escaped(name);
            // Many failures of one cause are one line, which names the first.
            let named = |line: &str| {
                line.starts_with(&format!("sshome: /tree/{name}: "))
                    || line.ends_with("more for the same reason")
            };
            let said = outcome.err().lines().any(|line| line.contains(why) && named(line));
            assert!(said, "{name}: {why} is not in\n{outcome}");
        }
        want.extend([b"work/tree".to_vec(), b"work/tree/good".to_vec()]);
        assert_eq!(all(&client), want);
        assert_tame(&outcome);
        assert!(!fs::exists("/etc/sshome-evil").unwrap() && !fs::exists("/tmp/sshome-evil").unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glob_over_malicious_names_stays_inside() {
    let liar =
        lister(|| vec![entries(b"", LIES.iter().map(|(name, _)| entry(name, FileKind::File)).collect())])
            .await;
    let client = liar.client().unwrap();
    let before = all(&client);
    let outcome = client.run(["get", "*"]).unwrap();
    assert_tame(&outcome);
    for path in all(&client).difference(&before) {
        assert!(path.starts_with(b"work/"), "{}", path.escape_ascii());
    }
    let outcome = client.run(["get", "-r", "*", "."]).unwrap();
    assert_tame(&outcome);
    for path in all(&client).difference(&before) {
        assert!(path.starts_with(b"work/"), "{}", path.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_from_a_server_controls_the_terminal() {
    let words = String::from_utf8(DRIVING.to_vec()).unwrap();
    let message = words.clone();
    let answer = move |frame| match frame {
        Frame::Request(Request::Ls { .. }) => {
            let kinds = [FileKind::File, FileKind::Directory, FileKind::Symlink, FileKind::Special];
            let list = kinds.map(|kind| entry(DRIVING, kind)).to_vec();
            let below = entries(DRIVING, vec![entry(DRIVING, FileKind::File)]);
            vec![entries(b"", list), below, Frame::Reply(directory())]
        }
        Frame::Request(Request::Stat { path, .. }) if path == b"f" => {
            vec![Frame::Reply(Reply::with(Payload::Stat(entry(DRIVING, FileKind::Symlink))))]
        }
        Frame::Request(Request::Pwd) => vec![Frame::Reply(Reply::with(Payload::Path(DRIVING.to_vec())))],
        _ => vec![Frame::Reply(Reply::new(Status::Failed, message.clone()))],
    };
    let liar = Liar::start(&words, answer).await.unwrap();
    let client = liar.client().unwrap();
    for command in
        ["ls", "ls -l", "ls -R", "ls -laR", "ls *", "stat f", "pwd", "rm f", "mkdir d", "df", "cd d"]
    {
        let outcome = client.script(command).unwrap();
        assert_tame(&outcome);
        let said = outcome.out() + &outcome.err();
        assert!(said.contains(r"\x1b[2J\x1b]0;pwned\x07\x0d"), "{command}: {outcome}");
    }
    for arguments in [&["get", "f"][..], &["get", "-r", "f"]] {
        let outcome = client.run(arguments).unwrap();
        assert_tame(&outcome);
        assert_eq!(outcome.code, Some(1), "{outcome}");
    }
    // The greeting is shown at a prompt only.
    let mut terminal = client.terminal().unwrap();
    terminal.expect(r"\x1b[2J\x1b]0;pwned\x07").unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inconsistent_answers_are_not_stored() {
    let header = |size, offset| Frame::Header(Header { size, offset, mtime: Time::default(), mode: 0o644 });
    let data = || Frame::Data(Bytes::from_static(b"evil"));
    let wrong = End { digest: Digest([7; 32]), ..end_of(b"evil") };
    let changed = End { status: Status::Changed, message: "it changed".to_owned(), ..end_of(b"evil") };
    let stories: [(Vec<Frame>, &str, i32); 7] = [
        (vec![header(4, 0), data(), Frame::End(wrong)], "digest", 1),
        (vec![header(4, 0), data(), Frame::End(changed)], "it changed", 1),
        (vec![header(3, 0), data(), Frame::End(end_of(b"evil"))], "more than it announced", 1),
        (vec![header(5, 0), data(), Frame::End(end_of(b"evil"))], "", 1),
        (vec![header(4, 2), data(), Frame::End(end_of(b"evil"))], "in the middle", 1),
        (vec![data(), Frame::End(end_of(b"evil"))], "Data", 3),
        (vec![header(4, 0), data(), Frame::Reply(Reply::new(Status::Done, ""))], "Reply", 3),
    ];
    for (story, why, code) in stories {
        let liar = Liar::start("", move |frame| match frame {
            Frame::Request(Request::Get { .. }) => story.clone(),
            _ => vec![Frame::Reply(Reply::new(Status::NoSuchFile, ""))],
        })
        .await
        .unwrap();
        let client = liar.client().unwrap();
        let outcome = client.run(["get", "f"]).unwrap();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.err().contains(why), "{why} is not in\n{outcome}");
        assert_eq!(names(&client.work()).unwrap(), Vec::<Vec<u8>>::new(), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn update_warns_if_the_clocks_differ() {
    for (time, warns) in [(1_000_000, true), (now(), false)] {
        let time = Time { seconds: time, nanoseconds: 0 };
        let session = Session { reads: true, adds: true, changes: true, time };
        let hello = Hello { features: Features::SESSION, ..hello() };
        let answer = move |frame| match frame {
            Frame::Hello(_) => vec![Frame::Session(session)],
            _ => vec![Frame::Reply(Reply::new(Status::PermissionDenied, ""))],
        };
        let liar = Liar::start_with(hello, answer).await.unwrap();
        let client = liar.client().unwrap();
        fs::create_dir(client.work().join("t")).unwrap();
        for command in ["push", "pull"] {
            let updated = client.run([command, "-u", "t", "t"]).unwrap();
            assert_eq!(updated.err().contains("differ by"), warns, "{updated}");
            assert!(!client.run([command, "t", "t"]).unwrap().err().contains("differ by"));
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}
