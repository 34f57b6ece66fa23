//! Batch files and jobs: no terminal, nobody to answer questions, and an exit code for each kind of failure.

mod cron;
mod sftp_batches;

use cron::{Cron, ended};
use rustix::process::{Pid, Signal, kill_process};
use sshome_e2e::{Host, Peer};
use sshome_wire::{BLOCK_BYTES, Frame, Put, Request, Time};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

const ANN: &str = "ann@127.0.0.1";

async fn host() -> Host {
    Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap()
}

/// Lines as in people's batch files for sftp.
const HABITS: &str = "\
# nightly upload
-mkdir incoming
-mkdir incoming
cd incoming
lcd outbox
pwd
lpwd
put -P report.csv
put -f report.csv report-2.csv   # it's the second copy
PUT *.log
put -pR site
reput big.bin
rename report-2.csv old.csv
symlink report.csv latest
ln -s old.csv oldest
ls -1
ls -la
ls -ltr
ls -lhS
ls -n
ls -f
-rm nothing-here.*
!touch made-by-the-shell
lmkdir inbox
lcd inbox
get report.csv
get -Pr site
mget *.log
get -a big.bin
reget big.bin
get old.csv \"a name with blanks\"
lls -l
rm *.log
df
df -hi
df -h .
@-rm nothing-here-either
progress
version
bye
put never-reached
";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_sftp_user_runs_unchanged() {
    let host = host().await;
    let cron = Cron::new(&host);
    std::fs::create_dir_all(cron.path("outbox/site/css")).unwrap();
    for (name, content) in [
        ("report.csv", "1;2"),
        ("a.log", "a"),
        ("b.log", "b"),
        ("big.bin", "0123456789"),
        ("site/index.html", "<p>"),
        ("site/css/main.css", "p{}"),
    ] {
        cron.write(&format!("outbox/{name}"), content);
    }
    let ran = cron.batch(&[], HABITS);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let home = host.home("ann").join("incoming");
    let stored = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    assert_eq!(
        (stored("report.csv"), stored("old.csv"), stored("latest")),
        ("1;2".into(), "1;2".into(), "1;2".into())
    );
    assert_eq!(std::fs::read_link(home.join("oldest")).unwrap().to_str(), Some("old.csv"));
    assert_eq!(stored("site/css/main.css"), "p{}");
    assert!(!home.join("report-2.csv").exists() && !home.join("a.log").exists());
    for (name, content) in [
        ("report.csv", "1;2"),
        ("site/css/main.css", "p{}"),
        ("b.log", "b"),
        ("big.bin", "0123456789"),
        ("a name with blanks", "1;2"),
    ] {
        assert_eq!(cron.read(&format!("outbox/inbox/{name}")), content);
    }
    assert!(cron.path("outbox/made-by-the-shell").exists());
    // Each command is shown before it runs, and no other line of the file.
    let shown: Vec<&str> = ran.out.lines().filter_map(|line| line.strip_prefix("sshome> ")).collect();
    assert_eq!(shown[..3], ["mkdir incoming", "mkdir incoming", "cd incoming"]);
    assert_eq!(shown.last(), Some(&"bye"));
    assert!(!shown.iter().any(|line| line.starts_with('#') || line.contains("either")), "{shown:?}");
    assert!(ran.out.contains("\nsshome> pwd\n/incoming\n"), "{}", ran.out);
    assert_eq!(ran.err.lines().count(), 3, "three lines may fail: {}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_ends_a_batch_with_its_exit_code() {
    let host = host().await;
    let cron = Cron::new(&host);
    cron.write("large", vec![b'x'; 2 << 20]);
    for (lines, code, said) in [
        ("get nothing\n", 1, "402"),
        ("put large\n", 1, "quota exceeded: "),
        ("put nothing\n", 1, "nothing"),
        ("cd nowhere\n", 1, "403"),
        ("rm *.none\n", 1, "no match"),
        ("ln a b\n", 1, "symbolic"),
        ("!exit 3\n", 1, "ended with"),
        ("frobnicate\n", 2, "unknown command"),
        ("chgrp 1 a\n", 2, "chgrp is not supported"),
        ("get\n", 2, "missing argument"),
        ("get 'a\n", 2, "close the quote"),
    ] {
        let ran = cron.batch(&[], &format!("{lines}mkdir after\n"));
        assert_eq!(ran.code, Some(code), "{lines}: {ran:?}");
        assert!(ran.err.contains(said), "{lines}: {ran:?}");
        assert!(!host.home("ann").join("after").exists(), "{lines}");
        let ran = cron.batch(&[], &format!("-{lines}@mkdir after\n@rmdir after\n"));
        assert_eq!(ran.code, Some(0), "-{lines}: {ran:?}");
        assert!(ran.err.contains(said), "it is reported as well: {ran:?}");
    }
    // Every failure names its line, even that of a single file.
    let ran = cron.batch(&[], "# comment\n\n-rm nothing\n-put batch large nothing .\nget nothing\n");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines[0].starts_with("sshome: batch, line 3: no such file: "), "{lines:?}");
    assert!(
        lines[1..lines.len() - 1].iter().all(|line| line.starts_with("sshome: batch, line 4: ")),
        "{lines:?}"
    );
    assert!(lines.len() == 4 && lines[3].starts_with("sshome: batch, line 5: "), "{lines:?}");
    let quiet = cron.batch(&["-q"], "mkdir d\nput batch\npwd\n-frobnicate\n");
    assert_eq!((quiet.code, quiet.out.as_str()), (Some(0), "/\n"), "{quiet:?}");
    assert!(quiet.err.contains("unknown command"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_in_a_batch_replaces_files() {
    let host = host().await;
    let cron = Cron::new(&host);
    std::fs::write(host.home("ann").join("f"), "theirs").unwrap();
    cron.write("f", "ours");
    assert_eq!(cron.run(&[], ANN, &["get", "f"]).code, Some(0));
    assert_eq!((cron.read("f"), cron.read("f.new")), ("ours".into(), "theirs".into()));
    assert_eq!(cron.batch(&[], "get f\n").code, Some(0));
    assert_eq!(cron.read("f"), "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_read_from_standard_input() {
    let host = host().await;
    let cron = Cron::new(&host);
    cron.write("lines", "@-rm nothing\nmkdir d\n@pwd\n");
    let mut command = Command::new(sshome_e2e::binary("sshome").unwrap());
    command.args(cron.arguments(&["-b", "-"], ANN)).stdin(std::fs::File::open(cron.path("lines")).unwrap());
    let ran = ended(&mut command);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "sshome> mkdir d\n/\n"), "{ran:?}");
    // An empty input succeeds.
    assert_eq!(cron.run(&["-b", "-"], ANN, &[]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_prints_the_reason_and_never_asks() {
    let host = host().await;
    let cron = Cron::new(&host);
    let usage = ended(&mut cron.bare(&["--frobnicate"]));
    assert_eq!(usage.code, Some(2), "{usage:?}");
    let missing = cron.run(&["-b", "no-such-file"], ANN, &[]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.err.contains("no-such-file cannot be read"), "{missing:?}");
    let directory = cron.run(&["-b", "."], ANN, &[]);
    assert_eq!(directory.code, Some(2), "{directory:?}");
    let failed = cron.run(&[], ANN, &["get", "nothing"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let port = {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap();
        unused.local_addr().unwrap().port().to_string()
    };
    let gone = ended(&mut cron.bare(&["-F", "none", "-P", &port, ANN, "pwd"]));
    assert_eq!(gone.code, Some(3), "{gone:?}");
    let port = host.address().port().to_string();
    let key = host.key_file();
    let unknown =
        ended(&mut cron.bare(&["-F", "none", "-P", &port, "-i", key.to_str().unwrap(), ANN, "pwd"]));
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    assert!(unknown.err.contains("no terminal"), "{unknown:?}");
    let refused = cron.run(&[], "nobody@127.0.0.1", &["pwd"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.err.contains("there is no terminal to ask on"), "{refused:?}");
    cron.write("no-questions", "pwd\n");
    let refused = cron.run(&["-b", "no-questions"], "nobody@127.0.0.1", &[]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.err.contains("BatchMode"), "{refused:?}");
    let none = cron.run(&[], ANN, &[]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""), "nothing to do is no failure: {none:?}");
}

/// Sends the beginning of a file that can be resumed, and vanishes.
async fn cut_upload(host: &Host, path: &str) {
    let mut peer = Peer::login(host, "ann").await.unwrap();
    let source = Some(Time { seconds: 1_700_000_000, nanoseconds: 0 });
    let put =
        Put { path: path.into(), size: Some(3 * BLOCK_BYTES), mtime: None, source, mode: None, resume: 0 };
    peer.send(&Frame::Request(Request::Put(put))).await.unwrap();
    peer.send_data(&vec![7; BLOCK_BYTES as usize + 1]).await.unwrap();
    let arrived = || {
        let staged = std::fs::read_dir(host.home("ann").join(".sshome-staging")).into_iter().flatten();
        staged.map(|file| file.unwrap().metadata().map_or(0, |seen| seen.len())).max().unwrap_or(0)
    };
    while arrived() <= BLOCK_BYTES {
        tokio::task::yield_now().await;
    }
    peer.vanish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_uploads_are_listed_and_removed() {
    let host = Host::with_user("ann", "").await.unwrap();
    let cron = Cron::new(&host);
    let listed = || cron.run(&[], ANN, &["df", "-v"]).out;
    assert!(!listed().contains("cut"));
    cut_upload(&host, "disk.iso").await;
    // The server needs a moment to notice.
    while !listed().contains("/disk.iso") {}
    let human = cron.run(&[], ANN, &["df", "-hv"]).out;
    assert!(human.contains("4.0 MiB of 12.0 MiB  ") && human.contains(" s ago  /disk.iso\n"), "{human}");
    let other = cron.run(&[], ANN, &["rm", "--partial", "other.iso"]);
    assert_eq!((other.code, other.out.as_str()), (Some(0), "0 removed\n"), "{other:?}");
    let removed = cron.run(&[], ANN, &["rm", "--partial"]);
    assert_eq!((removed.code, removed.out.as_str()), (Some(0), "1 removed\n"), "{removed:?}");
    assert!(!listed().contains("disk.iso"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_times_out() {
    let host = host().await;
    let cron = Cron::new(&host);
    // It accepts the connection, and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let left = ended(&mut cron.bare(&["-F", "none", "--timeout", "1", "-P", &port, ANN, "pwd"]));
    assert_eq!(left.code, Some(3), "{left:?}");
    assert!(left.err.contains("did not answer within 1 s"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_transfer_is_not_cut() {
    let host = host().await;
    let cron = Cron::new(&host);
    cron.write("f", vec![b'x'; 150_000]);
    for command in [&["put", "f"][..], &["get", "f", "g"]] {
        let begun = Instant::now();
        // 50,000 bytes a second: the file takes three seconds, and up to one second may pass without data.
        let slow = cron.run(&["-l", "400", "--timeout", "1"], ANN, command);
        assert_eq!(slow.code, Some(0), "{slow:?}");
        assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    assert_eq!(cron.read("g"), cron.read("f"));
}

/// A batch that has printed its directory, and waits for its next line.
fn waiting(cron: &Cron) -> (Child, ChildStdin) {
    let mut command = Command::new(sshome_e2e::binary("sshome").unwrap());
    command.args(cron.arguments(&["-q", "-b", "-"], ANN)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"pwd\n").unwrap();
    let mut answer = [0; 2];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"/\n");
    (child, stdin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_loses_its_server_ends_with_3() {
    let mut host = host().await;
    let cron = Cron::new(&host);
    let (mut child, mut stdin) = waiting(&cron);
    host.stop().await.unwrap();
    // A line that may fail makes no difference.
    stdin.write_all(b"-ls\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_batch_ends_with_6() {
    let host = host().await;
    let cron = Cron::new(&host);
    let (mut child, _stdin) = waiting(&cron);
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let ended = loop {
        // A signal that arrives at the same time as the answer may be ignored.
        kill_process(process, Signal::INT).unwrap();
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ended.code(), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_commands_is_refused() {
    let host = host().await;
    let cron = Cron::new(&host);
    // Some editors begin a file with a byte order mark, and end its lines as on Windows.
    let marked = cron.batch(&[], "\u{feff}mkdir a\r\nmkdir b\r\n");
    assert_eq!(marked.code, Some(0), "{marked:?}");
    assert!(host.home("ann").join("a").is_dir() && host.home("ann").join("b").is_dir());
    let endless = cron.run(&["-b", "/dev/zero"], ANN, &[]);
    assert_eq!(endless.code, Some(2), "{endless:?}");
    assert!(endless.err.contains("is it a list of commands?"), "{endless:?}");
}
