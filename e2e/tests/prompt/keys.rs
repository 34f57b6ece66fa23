//! Ctrl-C, Ctrl-D and Ctrl-\ in every state.

use crate::{CTRL_BACKSLASH, CTRL_C, CTRL_D, CTRL_Z, PROMPT, host, host_with_password, say};
use rustix::process::Signal;
use sshome_e2e::{Client, Host, HostBuilder, Program, Terminal, until};
use std::fs;
use std::os::unix::process::ExitStatusExt;

/// A server that can be stopped, so that whoever asks it waits.
pub fn pausable() -> (Host, Program) {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    (host, program)
}

/// A client at its prompt.
fn at_prompt(host: &Host) -> (Client, Terminal) {
    let client = Client::new(host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    (client, terminal)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_the_prompt() {
    let host = host().await;
    fs::create_dir(host.home("ann").join("data")).unwrap();
    let (_client, mut terminal) = at_prompt(&host);
    for key in [CTRL_C, CTRL_BACKSLASH] {
        // On an empty line, and on half of one.
        terminal.send(key).unwrap();
        terminal.expect(PROMPT).unwrap();
        terminal.send("rm -r data").unwrap();
        terminal.expect("rm -r data").unwrap();
        terminal.send(key).unwrap();
        terminal.expect(PROMPT).unwrap();
    }
    // Ctrl-D leaves on an empty line only; nobody could continue the program, so that Ctrl-Z does not stop it.
    terminal.send(&format!("pw{CTRL_D}{CTRL_Z}d\r")).unwrap();
    terminal.expect("/\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert!(host.home("ann").join("data").exists());
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_tab_that_waits_for_the_server() {
    let (host, server) = pausable();
    fs::create_dir(host.home("ann").join("data")).unwrap();
    let (_client, mut terminal) = at_prompt(&host);
    server.pause().unwrap();
    terminal.send("rm -r da\t").unwrap();
    until("Tab waits", || terminal.is_interruptible().unwrap());
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    // The line is forgotten, and the next one waits for the server, if nobody interrupts it.
    terminal.send("pwd\r").unwrap();
    terminal.expect("pwd\n").unwrap();
    server.go_on().unwrap();
    terminal.expect("/\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert!(host.home("ann").join("data").exists());
    terminal.send("ls da\t").unwrap();
    terminal.expect("ls data/").unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_tab_does_not_hold_up_local_commands_or_the_way_out() {
    let (host, server) = pausable();
    fs::create_dir(host.home("ann").join("data")).unwrap();
    let (client, mut terminal) = at_prompt(&host);
    let folder = format!("{}\n", client.work().canonicalize().unwrap().display());
    server.pause().unwrap();
    terminal.send("ls da\t").unwrap();
    until("Tab waits", || terminal.is_interruptible().unwrap());
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "lpwd", PROMPT), folder);
    // A command for the server waits, and Ctrl-C ends that at once.
    terminal.send("pwd\r").unwrap();
    terminal.expect("pwd\n").unwrap();
    until("the command works", || terminal.is_as_found().unwrap());
    terminal.send(CTRL_C).unwrap();
    terminal.expect("cancelled").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "lpwd", PROMPT), folder);
    // When the server is back, so is everything.
    server.go_on().unwrap();
    assert_eq!(say(&mut terminal, "pwd", PROMPT), "/\n");
    terminal.send("ls da\t").unwrap();
    terminal.expect("ls data/").unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    // Leaving does not wait either.
    server.pause().unwrap();
    terminal.send("ls da\t").unwrap();
    until("Tab waits", || terminal.is_interruptible().unwrap());
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("exit\r").unwrap();
    let (code, said) = terminal.end().unwrap();
    assert_eq!(code, Some(0), "{said}");
    server.go_on().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_backslash_ends_the_program_while_tab_waits_for_the_server() {
    let (host, server) = pausable();
    fs::create_dir(host.home("ann").join("data")).unwrap();
    let (_client, mut terminal) = at_prompt(&host);
    server.pause().unwrap();
    terminal.send("ls da\t").unwrap();
    until("Tab waits", || terminal.is_interruptible().unwrap());
    terminal.send(CTRL_BACKSLASH).unwrap();
    // `ended` compares the terminal's modes with those before the program.
    let ended = terminal.ended().unwrap();
    assert_eq!(ended.status.signal(), Some(Signal::QUIT.as_raw()), "{}", ended.said);
    server.go_on().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_listing_that_waits_for_the_server() {
    let (host, server) = pausable();
    let (_client, mut terminal) = at_prompt(&host);
    server.pause().unwrap();
    terminal.send("ls -R\r").unwrap();
    terminal.expect("ls -R\n").unwrap();
    until("the command works", || terminal.is_as_found().unwrap());
    terminal.send(CTRL_C).unwrap();
    // The key that the terminal shows has a line of its own.
    terminal.expect("^C\n").unwrap();
    terminal.expect("press Ctrl-C again to quit immediately").unwrap();
    server.go_on().unwrap();
    terminal.expect("cancelled").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "pwd", PROMPT), "/\n");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_has_the_keys_for_itself() {
    let host = host().await;
    let (client, mut terminal) = at_prompt(&host);
    for key in [CTRL_C, CTRL_BACKSLASH] {
        terminal.send("!touch at-work; exec cat\r").unwrap();
        until("it works", || client.work().join("at-work").exists());
        terminal.send("echoed\r").unwrap();
        terminal.expect("echoed\nechoed\n").unwrap();
        terminal.send(key).unwrap();
        terminal.expect("the command ended with signal").unwrap();
        terminal.expect(PROMPT).unwrap();
        fs::remove_file(client.work().join("at-work")).unwrap();
    }
    terminal.send("!cat\r").unwrap();
    terminal.expect("!cat\n").unwrap();
    terminal.send(CTRL_D).unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_a_question() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::remove_file(client.known_hosts()).unwrap();
    for (keys, code) in [(CTRL_C, 6), (CTRL_D, 4)] {
        let mut terminal = client.terminal().unwrap();
        terminal.expect("paste the expected fingerprint) ").unwrap();
        terminal.send(keys).unwrap();
        let (ended, said) = terminal.end().unwrap();
        assert_eq!(ended, Some(code), "{keys:?}: {said}");
        // The question, and the key that the terminal shows, have a line of their own.
        assert!(said.contains("\nsshome: "), "{keys:?}: {said}");
    }
    assert!(!client.known_hosts().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_after_ctrl_c_begins_a_line_without_a_prompt_as_well() {
    let host = host().await;
    fs::File::create(host.home("ann").join("big")).unwrap().set_len(16 << 30).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let mut command = client.command().unwrap();
    command.args(["--json", &client.destination(), "hash", "big"]);
    let mut terminal = Terminal::start(&command).unwrap();
    terminal.expect("\"started\"").unwrap();
    terminal.send(CTRL_C).unwrap();
    let (code, said) = terminal.end().unwrap();
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("\nsshome: cancelled"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_a_password() {
    let host = host_with_password().await;
    let client = Client::new(&host, "ann").unwrap();
    let ask = || {
        let mut terminal = Terminal::start(client.keyless().unwrap().arg(client.destination())).unwrap();
        terminal.expect("Password of ann@127.0.0.1: ").unwrap();
        until("the terminal stops to echo", || !terminal.echoes().unwrap());
        terminal
    };
    for (keys, code) in [(CTRL_C, 6), ("half\x03", 6), (CTRL_D, 5)] {
        let mut terminal = ask();
        terminal.send(keys).unwrap();
        let (ended, said) = terminal.end().unwrap();
        assert_eq!(ended, Some(code), "{keys:?}: {said}");
    }
    let mut terminal = ask();
    terminal.send(CTRL_BACKSLASH).unwrap();
    assert!(terminal.ended().unwrap().status.code().is_none());
    // Keys that edit it, and a command that is typed behind it.
    let mut terminal = ask();
    terminal.send("wrong\x15alex-demu\x7fo\rpwd\r").unwrap();
    terminal.expect("/\n").unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_wait_for_a_server_that_is_gone() {
    let mut host = host().await;
    fs::File::create(host.home("ann").join("big")).unwrap().set_len(16 << 30).unwrap();
    let (_client, mut terminal) = at_prompt(&host);
    terminal.send("get big\r").unwrap();
    terminal.expect(" of  16.00 GiB").unwrap();
    host.stop().await.unwrap();
    terminal.expect("trying again in").unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.expect("cancelled").unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}
