//! However the program ends, the terminal is restored: `Terminal::ended` compares its modes.

use crate::{PROMPT, host, host_with_password};
use rustix::process::Signal;
use sshome_e2e::{Client, HostBuilder, Terminal, until};
use std::fs;
use std::os::unix::process::ExitStatusExt;

const ENDING: [Signal; 3] = [Signal::TERM, Signal::HUP, Signal::QUIT];

fn signalled(terminal: Terminal, signal: Signal) {
    terminal.signal(signal).unwrap();
    let ended = terminal.ended().unwrap();
    assert_eq!(ended.status.signal(), Some(signal.as_raw()), "{}", ended.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_the_prompt_restores_the_terminal() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for signal in ENDING {
        let mut terminal = client.terminal().unwrap();
        terminal.expect(PROMPT).unwrap();
        terminal.send("half a li").unwrap();
        terminal.expect("half a li").unwrap();
        assert!(!terminal.is_as_found().unwrap());
        signalled(terminal, signal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_a_password_restores_the_terminal() {
    let host = host_with_password().await;
    let client = Client::new(&host, "ann").unwrap();
    for signal in ENDING {
        let mut terminal = Terminal::start(client.keyless().unwrap().arg(client.destination())).unwrap();
        terminal.expect("Password of ann@127.0.0.1: ").unwrap();
        until("the terminal stops to echo", || !terminal.echoes().unwrap());
        signalled(terminal, signal);
    }
    // A signal that no key caused.
    let mut terminal = Terminal::start(client.keyless().unwrap().arg(client.destination())).unwrap();
    terminal.expect("Password of ann@127.0.0.1: ").unwrap();
    until("the terminal stops to echo", || !terminal.echoes().unwrap());
    terminal.signal(Signal::INT).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_tab_or_a_command_waits_restores_the_terminal() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let server = host.start_apart().unwrap();
    let client = Client::new(&host, "ann").unwrap();
    for keys in ["ls x\t", "ls x\r"] {
        let mut terminal = client.terminal().unwrap();
        terminal.expect(PROMPT).unwrap();
        server.pause().unwrap();
        terminal.send(keys).unwrap();
        until("it waits", || terminal.is_interruptible().unwrap());
        signalled(terminal, Signal::TERM);
        server.go_on().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_a_transfer_restores_the_terminal() {
    let host = host().await;
    let big = fs::File::create(host.home("ann").join("big")).unwrap();
    big.set_len(16 << 30).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("get big\r").unwrap();
    terminal.expect(" of  16.00 GiB").unwrap();
    signalled(terminal, Signal::TERM);
}
