//! The prompt, in a terminal.

mod background;
mod editing;
mod exits;
mod full_disk;
mod hour;
mod input;
mod job_control;
mod keys;
mod names;
mod pipes;
mod width;

use sshome_e2e::tree::names;
use sshome_e2e::{Client, Host, HostBuilder, Terminal, until};
use sshome_wire::BLOCK_BYTES;
use std::fs;
use std::os::unix::fs::MetadataExt;

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";
const PROMPT: &str = "ann@127.0.0.1:/> ";
const UP: &str = "\x1b[A";

async fn host() -> Host {
    Host::with_user("ann", "quota = \"100 MiB\"").await.unwrap()
}

/// Types a line, and returns the output up to the next prompt.
fn say(terminal: &mut Terminal, line: &str, prompt: &str) -> String {
    terminal.send(&format!("{line}\r")).unwrap();
    // The end of the typed line, then the answer.
    terminal.expect("\n").unwrap();
    terminal.expect(prompt).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_shows_a_greeting_and_a_prompt_and_can_be_left() {
    let host = host().await;
    fs::create_dir_all(host.home("ann").join("sub/deep folder")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    let greeting = terminal.expect("ann@127.0.0.1:/> ").unwrap();
    assert!(greeting.contains("ann: 0 B of 100.0 MiB used\n"), "{greeting:?}");
    assert_eq!(say(&mut terminal, "cd sub", "ann@127.0.0.1:/sub> "), "");
    assert_eq!(say(&mut terminal, "cd 'deep folder'", "ann@127.0.0.1:/sub/deep folder> "), "");
    assert_eq!(say(&mut terminal, "pwd", "ann@127.0.0.1:/sub/deep folder> "), "/sub/deep folder\n");
    let wrong = say(&mut terminal, "cd nowhere", "ann@127.0.0.1:/sub/deep folder> ");
    assert!(wrong == "sshome: no such directory: /sub/deep folder/nowhere (403)\n", "{wrong:?}");
    let wrong = say(&mut terminal, "frob", "ann@127.0.0.1:/sub/deep folder> ");
    assert!(wrong.starts_with("sshome: unknown command frob"), "{wrong:?}");
    assert_eq!(say(&mut terminal, "cd", "ann@127.0.0.1:/> "), "");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn tab_completes_commands_and_names_on_both_sides() {
    let host = host().await;
    fs::write(host.home("ann").join("a long name"), "there").unwrap();
    fs::create_dir(host.home("ann").join("folder")).unwrap();
    fs::write(host.home("ann").join("folder/in it"), "there").unwrap();
    let client = Client::new(&host, "ann").unwrap();
    fs::write(client.work().join("to be 'put'"), "here").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    for (typed, completed) in [
        ("has\t", "hash "),
        ("get a\t", r"get a\ long\ name "),
        ("get fol\t", "get folder/"),
        ("get folder/\t", r"get folder/in\ it "),
        ("get 'folder/in\t", r"get folder/in\ it "),
        ("put to\t", r"put to\ be\ \'put\' "),
    ] {
        terminal.send(typed).unwrap();
        terminal.expect(completed).unwrap_or_else(|error| panic!("{typed:?}: {error}"));
        terminal.send(CTRL_C).unwrap();
        terminal.expect("ann@127.0.0.1:/> ").unwrap();
    }
    terminal.send("get a\t\r").unwrap();
    terminal.expect("1 file, 5 B").unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    terminal.send("put to\t\r").unwrap();
    terminal.expect("1 file, 4 B").unwrap();
    assert_eq!(fs::read(client.work().join("a long name")).unwrap(), b"there");
    assert_eq!(fs::read(host.home("ann").join("to be 'put'")).unwrap(), b"here");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_clears_the_line() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    terminal.send("mkdir never").unwrap();
    terminal.expect("never").unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    assert_eq!(say(&mut terminal, "pwd", "ann@127.0.0.1:/> "), "/\n");
    assert_eq!(names(&host.home("ann")).unwrap(), [b".sshome-staging"]);
    terminal.send("exit\r").unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_a_get_and_keeps_the_session() {
    let host = host().await;
    // A sparse file, whose transfer takes much longer than pressing a key.
    let big = fs::File::create(host.home("ann").join("big")).unwrap();
    big.set_len(16 << 30).unwrap();
    fs::create_dir(host.home("ann").join("sub")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    say(&mut terminal, "cd sub", "ann@127.0.0.1:/sub> ");
    terminal.send("get ../big\r").unwrap();
    // The progress: bytes done, total, and remaining time.
    terminal.expect(" of  16.00 GiB").unwrap();
    let part = client.work().join(".big.sshome-part");
    // Four connections share the file. Once they have written more than a block each, one of them has verified a block.
    let written = || fs::metadata(&part).map_or(0, |part| part.blocks() * 512);
    until("a block was verified", || written() > 16 * BLOCK_BYTES);
    terminal.send(CTRL_C).unwrap();
    let said = terminal.expect("ann@127.0.0.1:/sub> ").unwrap();
    assert!(said.contains("cancelled"), "{said:?}");
    assert_eq!(say(&mut terminal, "pwd", "ann@127.0.0.1:/sub> "), "/sub\n");
    assert_eq!(names(&client.work()).unwrap(), [b".big.sshome-part"], "the next get resumes it");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

/// Types `pwd` until it is answered. Returns all output.
fn until_answered(terminal: &mut Terminal, directory: &str) -> String {
    let mut said = String::new();
    until("the directory is reported", || {
        said += &say(terminal, "pwd", &format!("ann@127.0.0.1:{directory}> "));
        said.ends_with(&format!("{directory}\n"))
    });
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_connection_the_next_command_reconnects_in_the_same_directories() {
    let builder = HostBuilder::new().unwrap().limits("idle-timeout = 2");
    let mut host = builder.user("ann", "").unwrap().start().await.unwrap();
    fs::create_dir_all(host.home("ann").join("sub")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    fs::create_dir(client.work().join("here")).unwrap();
    fs::write(client.work().join("here/f"), "put").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    say(&mut terminal, "cd sub", "ann@127.0.0.1:/sub> ");
    say(&mut terminal, "lcd here", "ann@127.0.0.1:/sub> ");
    let administrator = host.administrator();
    assert_eq!(administrator.run(&["kick", "ann"]).code, Some(0));
    let said = until_answered(&mut terminal, "/sub");
    assert!(
        said.contains("the connection is lost: the server ended it: kicked by the administrator"),
        "{said}"
    );
    assert!(said.contains("reconnected, in /sub"), "{said}");
    say(&mut terminal, "put f", "ann@127.0.0.1:/sub> ");
    assert_eq!(fs::read(host.home("ann").join("sub/f")).unwrap(), b"put");
    // Nobody types for a while.
    until("the session is ended", || {
        administrator.json(&["status"])["sessions"].as_array().unwrap().is_empty()
    });
    let said = until_answered(&mut terminal, "/sub");
    assert!(said.contains("the server ended it: idle for 2 s"), "{said}");
    // Local commands work without a server.
    host.stop().await.unwrap();
    let said = say(&mut terminal, "lpwd", "ann@127.0.0.1:/sub> ");
    assert!(said.ends_with("/here\n"), "{said}");
    let mut said = String::new();
    until("nobody answers", || {
        said += &say(&mut terminal, "pwd", "ann@127.0.0.1:/sub> ");
        said.contains("the next command tries again")
    });
    assert!(said.contains("the server ended it: the server is shutting down"), "{said}");
    terminal.send("exit\r").unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_needs_confirmation() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let known = fs::read_to_string(client.known_hosts()).unwrap();
    fs::remove_file(client.known_hosts()).unwrap();
    let question = "yes / no / paste the expected fingerprint) ";

    let mut refusing = client.terminal().unwrap();
    refusing.expect(question).unwrap();
    refusing.send("maybe\r").unwrap();
    refusing.expect("Please type yes, no or the fingerprint: ").unwrap();
    refusing.send("no\r").unwrap();
    let (code, said) = refusing.end().unwrap();
    assert_eq!(code, Some(4), "{said}");
    assert!(!client.known_hosts().exists());

    let mut accepting = client.terminal().unwrap();
    let asked = accepting.expect(question).unwrap();
    assert!(asked.contains(&format!("The host [127.0.0.1]:{} is not known", client.port())), "{asked}");
    accepting.send("yes\r").unwrap();
    accepting.expect("ann@127.0.0.1:/> ").unwrap();
    assert_eq!(fs::read_to_string(client.known_hosts()).unwrap(), known);
    let mut knowing = client.terminal().unwrap();
    let before = knowing.expect("ann@127.0.0.1:/> ").unwrap();
    assert!(!before.contains("known"), "{before}");

    // The fingerprint itself is an answer, and a wrong one is a refusal.
    let fingerprint =
        asked.lines().find_map(|line| line.trim().starts_with("SHA256:").then_some(line.trim()));
    let fingerprint = fingerprint.unwrap_or_else(|| panic!("{asked}"));
    for (answer, code) in [(fingerprint.to_owned(), 0), (format!("{fingerprint}x"), 4)] {
        fs::remove_file(client.known_hosts()).unwrap();
        let mut told = client.terminal().unwrap();
        told.expect(question).unwrap();
        told.send(&format!("{answer}\r")).unwrap();
        if code == 0 {
            told.expect("ann@127.0.0.1:/> ").unwrap();
            told.send(CTRL_D).unwrap();
        }
        assert_eq!(told.end().unwrap().0, Some(code), "{answer}");
        fs::write(client.known_hosts(), &known).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_outlives_the_program() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut first = client.terminal().unwrap();
    first.expect("ann@127.0.0.1:/> ").unwrap();
    say(&mut first, "mkdir once", "ann@127.0.0.1:/> ");
    say(&mut first, "rmdir once", "ann@127.0.0.1:/> ");
    say(&mut first, " mkdir unseen", "ann@127.0.0.1:/> ");
    first.send(CTRL_D).unwrap();
    assert_eq!(first.end().unwrap().0, Some(0));
    let mut second = client.terminal().unwrap();
    second.expect("ann@127.0.0.1:/> ").unwrap();
    second.send(UP).unwrap();
    second.expect("rmdir once").unwrap();
    second.send(UP).unwrap();
    second.expect("mkdir once").unwrap();
    second.send("\r").unwrap();
    second.expect("ann@127.0.0.1:/> ").unwrap();
    second.send(CTRL_D).unwrap();
    assert_eq!(second.end().unwrap().0, Some(0));
    assert_eq!(names(&host.home("ann")).unwrap(), [&b".sshome-staging"[..], b"once", b"unseen"]);
    let history = client.home().join(".local/state/sshome/history");
    assert_eq!(sshome_e2e::tree::mode(&history).unwrap(), 0o600);
    assert!(!fs::read_to_string(history).unwrap().contains("unseen"));
}

/// A host where ann has the password of alex in the shipped settings.
async fn host_with_password() -> Host {
    let shipped = include_str!("../../../etc/users.toml");
    let password = shipped.lines().find(|line| line.starts_with("password = ")).unwrap();
    HostBuilder::new().unwrap().user("ann", password).unwrap().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_not_shown() {
    let host = host_with_password().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = Terminal::start(client.keyless().unwrap().arg(client.destination())).unwrap();
    let mut shown = String::new();
    for (answer, next) in [("barley", "the password was not accepted"), ("alex-demo", "ann@127.0.0.1:/> ")] {
        shown += &terminal.expect("Password of ann@127.0.0.1: ").unwrap();
        until("the terminal stops to echo", || !terminal.echoes().unwrap());
        terminal.send(&format!("{answer}\r")).unwrap();
        shown += &terminal.expect(next).unwrap();
    }
    assert!(!shown.contains("barley") && !shown.contains("alex-demo"), "{shown}");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}
