//! The output fits the terminal.

use crate::{CTRL_C, CTRL_D, PROMPT, host, say};
use sshome_e2e::{Client, Terminal};
use std::fs;

fn terminal(client: &Client, columns: u16) -> Terminal {
    let mut command = client.command().unwrap();
    Terminal::start_sized(command.arg(client.destination()), columns, 24).unwrap()
}

/// The longest line of the output, in columns. It is ASCII only.
fn widest(shown: &[u8]) -> usize {
    // The terminal itself shows which key was pressed.
    let text = String::from_utf8_lossy(shown).replace("^C", "");
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => drop(rest.by_ref().skip(1).find(|c| ('@'..='~').contains(c))),
            c => plain.push(c),
        }
    }
    plain.split(['\r', '\n']).map(|line| line.chars().count()).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn help_listings_and_progress_fit_the_terminal() {
    let host = host().await;
    let home = host.home("ann");
    for number in 0..30 {
        fs::write(home.join(format!("some file {number}")), "").unwrap();
    }
    let big = fs::File::create(home.join("big-with-a-name-that-is-longer-than-forty-columns")).unwrap();
    big.set_len(16 << 30).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    for columns in [40, 80] {
        let mut terminal = terminal(&client, columns);
        terminal.expect(PROMPT).unwrap();
        // The last one is refused, with a long message.
        for line in ["help", "help get", "help put", "ls some*", "ln a b"] {
            let shown = say(&mut terminal, line, PROMPT);
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(columns), "{columns}: {line}: {shown}");
        }
        terminal.send("get big*\r").unwrap();
        terminal.expect("/s").unwrap();
        terminal.expect("/s").unwrap();
        terminal.send(CTRL_C).unwrap();
        terminal.expect("cancelled").unwrap();
        terminal.expect(PROMPT).unwrap();
        terminal.send(CTRL_D).unwrap();
        let ended = terminal.ended().unwrap();
        let begin = ended.shown.windows(7).position(|text| text == b"get big").unwrap();
        let shown = &ended.shown[begin..];
        assert!(widest(shown) <= usize::from(columns), "{columns}: {:?}", String::from_utf8_lossy(shown));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resized_terminal_is_noticed() {
    let host = host().await;
    for number in 0..7 {
        fs::write(host.home("ann").join(format!("some file {number}")), "").unwrap();
    }
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = terminal(&client, 80);
    terminal.expect(PROMPT).unwrap();
    terminal.send("ls").unwrap();
    terminal.expect("ls").unwrap();
    terminal.resize(40, 24).unwrap();
    let shown = say(&mut terminal, "", PROMPT);
    assert!(shown.lines().all(|line| line.chars().count() <= 40) && shown.contains("some file 6"), "{shown}");
    terminal.resize(120, 24).unwrap();
    let shown = say(&mut terminal, "ls", PROMPT);
    assert!(shown.lines().any(|line| line.chars().count() > 80), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_blanks_are_quoted_on_a_terminal_only() {
    let host = host().await;
    for name in ["a b", "c", "it's"] {
        fs::write(host.home("ann").join(name), "").unwrap();
    }
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = terminal(&client, 80);
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "ls", PROMPT), "'a b'   c  \"it's\"\n");
    assert_eq!(client.succeed(["ls"]).unwrap(), "a b\nc\nit's\n");
}
