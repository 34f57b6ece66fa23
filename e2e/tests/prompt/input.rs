//! Typed and pasted input is neither lost nor mixed up, however fast it arrives.

use crate::{CTRL_C, CTRL_D, PROMPT, UP, host, say};
use sshome_e2e::{Client, Terminal, tree, until};
use std::fs;
use std::path::Path;

const PASTE: (&str, &str) = ("\x1b[200~", "\x1b[201~");

fn entries(dir: &Path) -> Vec<String> {
    let all = tree::names(dir).unwrap().into_iter().map(|name| String::from_utf8(name).unwrap());
    all.filter(|name| !name.starts_with(".sshome")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pasted_line_is_a_command_of_its_own() {
    for (begin, end) in [PASTE, ("", "")] {
        let host = host().await;
        let home = host.home("ann");
        fs::create_dir(home.join("old")).unwrap();
        fs::create_dir(home.join("data")).unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let mut terminal = client.terminal().unwrap();
        terminal.expect(PROMPT).unwrap();
        // A Tab in pasted text completes nothing; the last line waits for Enter.
        let tab = if begin.is_empty() { ' ' } else { '\t' };
        terminal.send(&format!("{begin}rm -r old\rls{tab}data\rcd data\rpwd\rmkdir new{end}")).unwrap();
        for shown in ["rm -r old\n", "ls data\n", "cd data\n", "data> pwd\n", "/data\n", "data> mkdir new"] {
            terminal.expect(shown).unwrap();
        }
        assert_eq!(entries(&home), ["data"]);
        terminal.send("\r").unwrap();
        terminal.expect("data> ").unwrap();
        terminal.send(CTRL_D).unwrap();
        assert_eq!(terminal.end().unwrap().0, Some(0));
        assert_eq!(entries(&home.join("data")), ["new"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_paste_loses_nothing() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for (round, (begin, end)) in [PASTE, ("", "")].into_iter().enumerate() {
        let mut terminal = client.terminal().unwrap();
        terminal.expect(PROMPT).unwrap();
        // Far more than the line editor reads at a time, and more than the kernel buffers.
        let name = |number: usize| format!("paste-{round}-with-quite-a-long-name-{number:03}");
        let lines: String = (0..250).map(|number| format!("mkdir {}\r", name(number))).collect();
        terminal.send(&format!("{begin}{lines}{end}")).unwrap();
        for number in 0..250 {
            terminal.expect(&name(number)).unwrap();
        }
        terminal.expect(PROMPT).unwrap();
        let wanted: Vec<String> = (0..250).map(name).collect();
        let made = entries(&host.home("ann"));
        assert_eq!(made.into_iter().filter(|name| wanted.contains(name)).collect::<Vec<_>>(), wanted);
        terminal.send("exit\r").unwrap();
        assert_eq!(terminal.end().unwrap().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_typed_during_a_command_runs_after_it() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    // The first command is typed at the prompt, the others while it runs.
    terminal.send("!touch at-work; while ! test -e go; do sleep 0.01; done\rmkdir first\r").unwrap();
    until("the command works", || client.work().join("at-work").exists());
    terminal.send("mkdir second\rmkdir third\r").unwrap();
    fs::write(client.work().join("go"), "").unwrap();
    for name in ["mkdir first\n", "mkdir second\n", "mkdir third\n", PROMPT] {
        terminal.expect(name).unwrap();
    }
    assert_eq!(entries(&host.home("ann")), ["first", "second", "third"]);
    // A Ctrl-D that is typed ahead ends the program afterwards.
    fs::remove_file(client.work().join("go")).unwrap();
    fs::remove_file(client.work().join("at-work")).unwrap();
    terminal.send("!touch at-work; while ! test -e go; do sleep 0.01; done\r").unwrap();
    until("the command works", || client.work().join("at-work").exists());
    terminal.send(CTRL_D).unwrap();
    fs::write(client.work().join("go"), "").unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_discards_the_line_and_keeps_later_input() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send(&format!("mkdir never{CTRL_C}mkdir after\rmkdir too\r")).unwrap();
    for shown in ["mkdir after\n", "mkdir too\n", PROMPT] {
        terminal.expect(shown).unwrap();
    }
    assert_eq!(entries(&host.home("ann")), ["after", "too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_not_a_name() {
    let host = host().await;
    let home = host.home("ann");
    for name in ["old", "leave", "data", "a#b"] {
        fs::create_dir(home.join(name)).unwrap();
    }
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "rm -r old # leave data", PROMPT), "");
    assert_eq!(say(&mut terminal, "# rm -r data", PROMPT), "");
    assert_eq!(say(&mut terminal, "rmdir a#b", PROMPT), "");
    assert_eq!(entries(&home), ["data", "leave"]);
    let outcome = client.script("rmdir leave # data\n").unwrap();
    assert_eq!((outcome.code, entries(&home)), (Some(0), vec!["data".to_owned()]), "{outcome}");
    // An argument was already parsed by the calling shell.
    client.succeed(["mkdir", "#"]).unwrap();
    assert_eq!(entries(&home), ["#", "data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_in_an_old_history_separates_commands() {
    let host = host().await;
    let home = host.home("ann");
    fs::create_dir(home.join("old")).unwrap();
    fs::create_dir(home.join("data")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let history = client.home().join(".local/state/sshome");
    fs::create_dir_all(&history).unwrap();
    fs::write(history.join("history"), "#V2\nrm -r old\\nls data\n").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send(UP).unwrap();
    terminal.expect("data").unwrap();
    terminal.send("\r").unwrap();
    terminal.expect("/> ls data\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(entries(&home), ["data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_not_utf_8_is_discarded() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send_bytes(b"mkdir \xff mkdir b\r").unwrap();
    terminal.expect("is not UTF-8").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "pwd", PROMPT), "/\n");
    assert!(entries(&host.home("ann")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_edits_its_lines_itself_is_enough() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut command = client.command().unwrap();
    let mut terminal = Terminal::start(command.arg(client.destination()).env("TERM", "dumb")).unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("mkdir one\rmkdir two\rmkdir three").unwrap();
    // The echo of the terminal, and two prompts.
    terminal.expect(PROMPT).unwrap();
    terminal.expect(PROMPT).unwrap();
    until("they are made", || entries(&host.home("ann")) == ["one", "two"]);
    // Ctrl-C drops only the third.
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("pwd\r").unwrap();
    terminal.expect("/\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send(CTRL_D).unwrap();
    let ended = terminal.ended().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(entries(&host.home("ann")), ["one", "two"]);
    assert!(!ended.shown.contains(&0x1b), "{:?}", String::from_utf8_lossy(&ended.shown));
}
