//! Ctrl-Z and other stops, in a shell with jobs.

use crate::keys::pausable;
use crate::{CTRL_C, CTRL_D, CTRL_Z, PROMPT, host, host_with_password};
use sshome_e2e::{Client, Host, Terminal, until};
use std::fs;
use std::process::Command;

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
pub fn at_prompt_in_shell(host: &Host) -> (Client, Terminal) {
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
