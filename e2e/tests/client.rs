//! `sshome` as a script sees it: exit codes, standard input and standard output.

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use sshome_e2e::tree::{names, noise};
use sshome_e2e::{Client, Host, Liar, Outcome, end_of, until};
use sshome_wire::{End, Frame, Header, Reply, Request, Status, Time};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::mpsc;

async fn host() -> Host {
    Host::with_user("ann", "").await.unwrap()
}

/// The meaning of an exit code, by `--help`.
fn documented(help: &str, code: i32) -> &str {
    let line = help.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{code}  ")));
    line.unwrap_or_else(|| panic!("{code} is not in\n{help}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_those_in_the_help() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let help: Outcome = client.bare().unwrap().arg("--help").output().unwrap().into();
    assert_eq!(help.code, Some(0), "{help}");
    let help = help.out();
    assert_eq!(documented(&help, 0), "success");
    assert_eq!(client.run(["pwd"]).unwrap().code, Some(0));
    assert_eq!(documented(&help, 1), "a command failed");
    for arguments in [&["ls", "nowhere"][..], &["cd", "nowhere"], &["get", "nowhere"], &["put", "nowhere"]] {
        let failed = client.run(arguments).unwrap();
        assert_eq!(failed.code, Some(1), "{failed}");
        assert!(failed.err().contains("nowhere"), "{failed}");
    }
    assert!(documented(&help, 2).starts_with("usage error: the arguments, a command line or ~/.ssh/config"));
    for arguments in [&["frob"][..], &["ls", "-Z"], &["get"], &["cd", "a", "b"]] {
        let wrong = client.run(arguments).unwrap();
        assert_eq!((wrong.code, wrong.stdout.len()), (Some(2), 0), "{wrong}");
    }
    let wrong: Outcome = client.bare().unwrap().arg("--frob").output().unwrap().into();
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert_eq!(documented(&help, 4), "the host's key is unknown, changed or revoked");
    fs::remove_file(client.known_hosts()).unwrap();
    assert_eq!(client.run(["pwd"]).unwrap().code, Some(4));
    assert_eq!(documented(&help, 5), "the login was refused");
    let nobody = Client::new(&host, "nobody").unwrap().run(["pwd"]).unwrap();
    assert_eq!(nobody.code, Some(5), "{nobody}");
}

/// A script that passes a name means exactly that file, not others that it matches as a pattern.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_looks_like_a_pattern_matches_itself() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for name in ["report1.txt", "report[1].txt", "*"] {
        fs::write(host.home("ann").join(name), name).unwrap();
    }
    client.succeed(["get", "report[1].txt"]).unwrap();
    assert_eq!(fs::read_to_string(client.work().join("report[1].txt")).unwrap(), "report[1].txt");
    client.succeed(["rm", "*"]).unwrap();
    client.succeed(["rm", "report[1].txt"]).unwrap();
    assert_eq!(client.succeed(["ls"]).unwrap(), "report1.txt\n");
    // If there is no such name, it is a pattern.
    client.succeed(["rm", "report[1].txt"]).unwrap();
    assert_eq!(client.succeed(["ls"]).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_place_of_an_unfinished_file_is_no_obstacle() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::write(host.home("ann").join("f"), "content").unwrap();
    fs::create_dir(client.work().join(".f.sshome-part")).unwrap();
    client.succeed(["get", "f"]).unwrap();
    assert_eq!(fs::read_to_string(client.work().join("f")).unwrap(), "content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_made_ends_with_3() {
    let host = host().await;
    // Bound, but not listening: nobody else gets the port, and nobody answers.
    let unheard =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&unheard, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&unheard).unwrap()).unwrap();
    let refused = Client::of(host.dir(), address, "ann").unwrap().run(["pwd"]).unwrap();
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.err().contains("connection refused. Is sshomed running"), "{refused}");
    // A server that hangs up, and one that is not an SSH server.
    for says in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut stream, says).unwrap();
        });
        let lost = Client::of(host.dir(), address, "ann").unwrap().run(["pwd"]).unwrap();
        assert_eq!(lost.code, Some(3), "{lost}");
        assert!(!lost.err().is_empty());
        answering.join().unwrap();
    }
}

/// A server whose file never ends. It reports when a get of it has begun.
async fn endless() -> (Liar, mpsc::Receiver<()>) {
    let (begun, wait) = mpsc::channel();
    let header = Header { size: 1 << 40, offset: 0, mtime: Time::default(), mode: 0o644 };
    let liar = Liar::start("", move |frame| match frame {
        Frame::Request(Request::Get { .. }) => {
            begun.send(()).unwrap();
            vec![Frame::Header(header.clone()), Frame::Data(Bytes::from(vec![7; 100_000]))]
        }
        Frame::Cancel => {
            let end = End { status: Status::Cancelled, ..end_of(b"") };
            vec![Frame::End(end), Frame::Reply(Reply::new(Status::Done, ""))]
        }
        _ => vec![Frame::Reply(Reply::new(Status::NoSuchFile, ""))],
    });
    (liar.await.unwrap(), wait)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_transfer_differs_from_a_failed_one() {
    let (liar, begun) = endless().await;
    let client = liar.client().unwrap();
    let mut command = client.command().unwrap();
    let child = command.arg(client.destination()).args(["get", "endless"]).spawn().unwrap();
    begun.recv().unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert!(outcome.err().contains("cancel"), "{outcome}");
    assert!(names(&client.work()).unwrap().is_empty(), "half a file stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_is_a_lost_connection() {
    let (liar, begun) = endless().await;
    let client = liar.client().unwrap();
    let mut command = client.command().unwrap();
    command.args(["--retries", "1"]);
    let child = command.arg(client.destination()).args(["get", "endless"]).spawn().unwrap();
    begun.recv().unwrap();
    liar.hang_up();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert_eq!(outcome.err().matches("trying again").count(), 1, "{outcome}");
    assert!(names(&client.work()).unwrap().is_empty(), "half a file stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_reader_is_not_a_failure() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    // More than a pipe holds.
    for i in 0..3000 {
        fs::create_dir(host.home("ann").join(format!("{i:060}"))).unwrap();
    }
    for arguments in [&["ls"][..], &["ls", "-R"], &["ls", "-l"]] {
        let mut command = client.command().unwrap();
        let mut child = command.arg(client.destination()).args(arguments).spawn().unwrap();
        let mut lines = BufReader::with_capacity(64, child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        drop(lines);
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_stops_at_the_first_failure() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let script = "# folders\n\n  mkdir 'a b'\ncd a\\ b\nmkdir -p c/d\ncd nowhere\nmkdir e\n";
    let outcome = client.script(script).unwrap();
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(1), 0), "{outcome}");
    assert!(outcome.err().starts_with("sshome: no such directory: "), "{outcome}");
    assert_eq!(names(&host.home("ann").join("a b")).unwrap(), [b"c"]);
    for (script, code) in [
        ("pwd\nfrob\npwd\n", 2),
        ("pwd\nls 'open\npwd\n", 2),
        ("pwd\nexit\nfrob\n", 0),
        ("pwd\n!exit 3\npwd\n", 1),
        ("pwd", 0),
    ] {
        let outcome = client.script(script).unwrap();
        assert_eq!((outcome.code, outcome.out()), (Some(code), "/\n".to_owned()), "{script:?}: {outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_go_to_standard_output_and_the_rest_does_not() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::write(client.work().join("f"), "f").unwrap();
    let mut command = client.command().unwrap();
    let quiet: Outcome = command.args(["-q", &client.destination(), "put", "f"]).output().unwrap().into();
    assert_eq!((quiet.code, quiet.out(), quiet.err()), (Some(0), String::new(), String::new()));
    assert_eq!(client.succeed(["ls"]).unwrap(), "f\n");
    // Without a terminal, nothing is drawn and nothing is read.
    let mut command = client.command().unwrap();
    let mut child = command.arg(client.destination()).stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.err(), said), (Some(0), String::new(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_tree_are_counted_once() {
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    // Deeper than the longest path.
    let deep =
        "d=$(printf %0250d 0); mkdir top && cd top && for i in $(seq 18); do mkdir $d && cd -P $d; done";
    let made = std::process::Command::new("sh").args(["-c", deep]).current_dir(host.home("ann")).status();
    assert!(made.unwrap().success());
    for arguments in [&["ls", "-R", "top"][..], &["cp", "-r", "top", "copy"]] {
        let failed = client.run(arguments).unwrap();
        assert_eq!(failed.code, Some(1), "{failed}");
        let said = failed.err();
        assert!(said.contains(" failed, the first with: ") && said.contains("too long"), "{said}");
        assert!(said.matches("(404)").count() == 1 && said.matches("failed").count() == 2, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gets_of_one_file_leave_one_file() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let content = noise(1_000_000, "both");
    fs::write(host.home("ann").join("f"), &content).unwrap();
    let mut slow = client.command().unwrap();
    let slow = slow.args(["-l", "8000"]).arg(client.destination()).args(["get", "f"]);
    let mut slow = slow.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it has begun", || !names(&client.work()).unwrap().is_empty());
    fs::write(client.work().join("f"), &content).unwrap();
    assert_eq!(slow.wait().unwrap().code(), Some(0));
    assert_eq!(names(&client.work()).unwrap(), [b"f"]);
}
