//! Ctrl-C, Ctrl-D, Ctrl-Z and Ctrl-\ in every state.

use crate::{CTRL_BACKSLASH, CTRL_C, CTRL_D, CTRL_Z, PROMPT, host, host_with_password, say};
use rustix::process::Signal;
use sshome_e2e::{Client, Host, HostBuilder, Program, Terminal, until};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// A server that can be stopped, so that whoever asks it waits.
fn pausable() -> (Host, Program) {
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

/// A shell with jobs in a terminal, which leaves the terminal's modes to its programs.
fn shell(client: &Client) -> Terminal {
    let mut shell = client.foreign("/bin/sh");
    Terminal::start(shell.arg("-i").env("PS1", "shell% ").env("ENV", "")).unwrap()
}

/// What a shell reads as that command.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}' ", word.to_str().unwrap())).collect()
}

/// A client at its prompt, in a shell with jobs.
fn at_prompt_in_shell(host: &Host) -> (Client, Terminal) {
    let client = Client::new(host, "ann").unwrap();
    let mut terminal = shell(&client);
    terminal.expect("shell% ").unwrap();
    terminal.send(&(line(client.command().unwrap().arg(client.destination())) + "\r")).unwrap();
    terminal.expect(PROMPT).unwrap();
    (client, terminal)
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_at_the_prompt_stops_and_resumes() {
    let host = host().await;
    let (_client, mut terminal) = at_prompt_in_shell(&host);
    for half in ["", "mkdir ha"] {
        terminal.send(half).unwrap();
        terminal.expect(half).unwrap();
        terminal.send(CTRL_Z).unwrap();
        terminal.expect("shell% ").unwrap();
        assert!(terminal.is_as_found().unwrap());
        terminal.send("fg\r").unwrap();
        terminal.expect(&format!("{PROMPT}{half}")).unwrap();
        until("the prompt has the terminal", || !terminal.is_as_found().unwrap());
    }
    terminal.send("lf\rpwd\r").unwrap();
    terminal.expect("/\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert!(host.home("ann").join("half").exists());
    terminal.send("exit\r").unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_stops_a_tab_that_waits_for_the_server() {
    let (host, server) = pausable();
    fs::create_dir(host.home("ann").join("data")).unwrap();
    let (_client, mut terminal) = at_prompt_in_shell(&host);
    server.pause().unwrap();
    terminal.send("ls da\t").unwrap();
    terminal.expect("ls da").unwrap();
    until("Tab waits", || terminal.is_interruptible().unwrap());
    terminal.send(CTRL_Z).unwrap();
    // The server has not answered, and the terminal is the shell's.
    terminal.expect("shell% ").unwrap();
    assert!(terminal.is_as_found().unwrap());
    terminal.send("fg\r").unwrap();
    terminal.expect(&format!("{PROMPT}ls da")).unwrap();
    until("the prompt has the terminal", || !terminal.is_as_found().unwrap());
    // The line can be edited and waits for the server. Tab completes again once that has answered.
    terminal.send("ta\r").unwrap();
    terminal.expect("ta\n").unwrap();
    server.go_on().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("rmdir da\t\r").unwrap();
    terminal.expect("rmdir data/").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert!(!host.home("ann").join("data").exists());
    terminal.send("exit\r").unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_from_outside_gives_the_terminal_back_as_well() {
    let host = host().await;
    let (client, mut terminal) = at_prompt_in_shell(&host);
    terminal.send("!(until test -e go; do sleep 0.01; done; kill -TSTP $PPID) &\r").unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("mkdir ha").unwrap();
    terminal.expect("mkdir ha").unwrap();
    fs::write(client.work().join("go"), "").unwrap();
    terminal.expect("shell% ").unwrap();
    assert!(terminal.is_as_found().unwrap());
    terminal.send("fg\r").unwrap();
    terminal.expect(&format!("{PROMPT}mkdir ha")).unwrap();
    until("the prompt has the terminal", || !terminal.is_as_found().unwrap());
    terminal.send("lf\r").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert!(host.home("ann").join("half").exists());
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

/// It is in the background then, where to change the terminal's modes would stop it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_prompt_that_is_stopped() {
    let host = host().await;
    let (_client, mut terminal) = at_prompt_in_shell(&host);
    terminal.send(CTRL_Z).unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send("kill %1; kill -CONT %1\r").unwrap();
    until("it has ended", || {
        terminal.send("jobs; echo as\"\"ked\r").unwrap();
        terminal.expect("asked\n").unwrap().contains("Terminated")
    });
    assert!(terminal.is_as_found().unwrap());
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_at_a_password_asks_again() {
    let host = host_with_password().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = shell(&client);
    terminal.expect("shell% ").unwrap();
    terminal.send(&(line(client.keyless().unwrap().arg(client.destination())) + "\r")).unwrap();
    terminal.expect("Password of ann@127.0.0.1: ").unwrap();
    until("the terminal stops to echo", || !terminal.echoes().unwrap());
    terminal.send(&format!("forgotten{CTRL_Z}")).unwrap();
    terminal.expect("shell% ").unwrap();
    assert!(terminal.is_as_found().unwrap());
    terminal.send("fg\r").unwrap();
    terminal.expect("Password of ann@127.0.0.1: ").unwrap();
    until("the terminal stops to echo", || !terminal.echoes().unwrap());
    terminal.send("alex-demo\r").unwrap();
    let shown = terminal.expect(PROMPT).unwrap();
    assert!(!shown.contains("alex-demo") && !shown.contains("Password"), "{shown}");
    terminal.send("exit\r").unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_stops_a_transfer_which_resumes_afterwards() {
    let host = host().await;
    let big = fs::File::create(host.home("ann").join("big")).unwrap();
    big.set_len(16 << 30).unwrap();
    let (client, mut terminal) = at_prompt_in_shell(&host);
    terminal.send("get big\r").unwrap();
    terminal.expect(" of  16.00 GiB").unwrap();
    terminal.send(CTRL_Z).unwrap();
    terminal.expect("shell% ").unwrap();
    assert!(terminal.is_as_found().unwrap());
    let part = || fs::metadata(client.work().join(".big.sshome-part")).map_or(0, |part| part.len());
    let before = part();
    terminal.send("fg\r").unwrap();
    until("more arrives", || part() > before);
    terminal.send(CTRL_C).unwrap();
    terminal.expect("cancelled").unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("exit\r").unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}
