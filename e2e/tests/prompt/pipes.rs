//! `COMMAND | LOCAL COMMAND`, `cat` and `less`: each end of a pipe may end first, and the session stays usable.

use crate::{CTRL_C, CTRL_D, CTRL_Z, PROMPT, host, say};
use sshome_e2e::{Client, Host, Terminal};
use std::fs;

/// A client at its prompt, with this pager.
fn with_pager(host: &Host, pager: &str) -> (Client, Terminal) {
    let client = Client::new(host, "ann").unwrap();
    let mut command = client.command().unwrap();
    command.arg(client.destination()).env("PAGER", pager).env("SHELL", "/bin/sh");
    let mut terminal = Terminal::start(&command).unwrap();
    terminal.expect(PROMPT).unwrap();
    (client, terminal)
}

/// A file that takes much longer than pressing a key.
fn endless(host: &Host) {
    let big = fs::File::create(host.home("ann").join("big")).unwrap();
    big.set_len(16 << 30).unwrap();
}

fn leave(mut terminal: Terminal) {
    assert_eq!(say(&mut terminal, "pwd", PROMPT), "/\n");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_command_that_ends_first_ends_the_pipe_quietly() {
    let host = host().await;
    endless(&host);
    let (_client, mut terminal) = with_pager(&host, "less");
    assert_eq!(say(&mut terminal, "cat big | head -c 3 | tr '\\0' x", PROMPT), "xxx");
    assert_eq!(say(&mut terminal, "cat big | true", PROMPT), "");
    // The exit code of a filter is not a failure.
    assert_eq!(say(&mut terminal, "pwd | grep nothing", PROMPT), "");
    let missing = say(&mut terminal, "pwd | no-such-program", PROMPT);
    assert!(missing.contains("no-such-program"), "{missing}");
    let killed = say(&mut terminal, "pwd | kill -9 $$", PROMPT);
    assert_eq!(killed, "sshome: signal 9 ended the local command\n");
    let half = say(&mut terminal, "pwd |", PROMPT);
    assert!(half.contains("needs a command on both sides"), "{half}");
    leave(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_both_sides_of_a_pipe() {
    let host = host().await;
    endless(&host);
    let (_client, mut terminal) = with_pager(&host, "less");
    // The second one has a trap: between fork and exec of a command, a shell loses the signal.
    for line in [
        "cat big | sh -c 'echo run''ning; exec cat >/dev/null'",
        "pwd | sh -c 'trap \"exit 130\" INT; echo run''ning; while :; do sleep 0.1; done'",
    ] {
        terminal.send(&format!("{line}\r")).unwrap();
        terminal.expect("running").unwrap();
        terminal.send(CTRL_C).unwrap();
        terminal.expect(PROMPT).unwrap();
    }
    // A local command may ignore it, as a pager does; then the prompt waits for it.
    terminal.send("cat big | sh -c 'trap \"\" INT; echo run''ning; cat >/dev/null; echo en''ded'\r").unwrap();
    terminal.expect("running").unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.expect("ended").unwrap();
    let said = terminal.expect(PROMPT).unwrap();
    assert!(said.contains("sshome: cancelled"), "{said:?}");
    leave(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pager_has_the_keys_until_it_ends() {
    let host = host().await;
    fs::write(host.home("ann").join("text"), "one line\n").unwrap();
    let (_client, mut terminal) = with_pager(&host, "sed s/^/page:/; read key </dev/tty; echo key $key");
    terminal.send("less text\r").unwrap();
    terminal.expect("page:one line").unwrap();
    terminal.send("q\r").unwrap();
    terminal.expect("key q\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    // What cannot be fetched starts no pager.
    assert_eq!(say(&mut terminal, "less missing", PROMPT), "sshome: no such file: /missing (402)\n");
    leave(terminal);
    let (_client, mut terminal) = with_pager(&host, "no-such-pager");
    let said = say(&mut terminal, "less text", PROMPT);
    assert!(said.contains("no-such-pager"), "{said:?}");
    leave(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_of_a_file_does_not_control_the_terminal() {
    let host = host().await;
    fs::write(host.home("ann").join("evil"), b"\x1b]0;title\x07\x1b[2Jtext\xff").unwrap();
    let (_client, mut terminal) = with_pager(&host, "cat");
    let escaped = "\\x1b]0;title\\x07\\x1b[2Jtext\\xff\n";
    assert_eq!(say(&mut terminal, "cat evil", PROMPT), escaped);
    assert_eq!(say(&mut terminal, "less evil", PROMPT), escaped);
    // Another program gets the bytes.
    assert_eq!(say(&mut terminal, "cat evil | wc -c", PROMPT), "19\n");
    leave(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_scripts_a_pipe_belongs_to_a_name() {
    let host = host().await;
    fs::write(host.home("ann").join("a|b"), "content\n").unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let ran = client.script("cat a|b\n").unwrap();
    assert_eq!((ran.code, ran.out()), (Some(0), "content\n".to_owned()), "{ran}");
    let printed = client.run(["cat", "a|b", "missing"]).unwrap();
    assert_eq!((printed.code, printed.out()), (Some(1), "content\n".to_owned()), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_stops_both_sides_of_a_pipe() {
    let host = host().await;
    let (_client, mut terminal) = crate::job_control::at_prompt_in_shell(&host);
    terminal.send("pwd | sh -c 'echo run''ning; read line; exec cat'\r").unwrap();
    terminal.expect("running").unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("ls | sh -c 'echo run''ning; read key </dev/tty; echo en''ded'\r").unwrap();
    terminal.expect("running").unwrap();
    terminal.send(CTRL_Z).unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send("fg\r").unwrap();
    terminal.expect("\n").unwrap();
    terminal.send("x\r").unwrap();
    terminal.expect("ended").unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("exit\r").unwrap();
    terminal.expect("shell% ").unwrap();
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}
