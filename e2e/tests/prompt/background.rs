//! Background jobs: the prompt stays usable, and a cancelled transfer resumes.

use crate::{CTRL_C, CTRL_D, PROMPT, host, say};
use sshome_e2e::{Client, Host, Terminal, until};
use sshome_wire::BLOCK_BYTES;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A client at its prompt that gets a file for hours, in the background.
fn getting(host: &Host) -> (Client, Terminal) {
    let big = fs::File::create(host.home("ann").join("big")).unwrap();
    big.set_len(16 << 30).unwrap();
    let client = Client::new(host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "get big &", PROMPT), "[1]\n");
    let part = client.work().join(".big.sshome-part");
    let written = || fs::metadata(&part).map_or(0, |part| part.blocks() * 512);
    until("blocks were verified", || written() > 16 * BLOCK_BYTES);
    (client, terminal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_beside_commands_and_can_be_killed() {
    let host = host().await;
    let (client, mut terminal) = getting(&host);
    assert_eq!(say(&mut terminal, "ls", PROMPT), "big\n");
    let said = say(&mut terminal, "jobs", PROMPT);
    assert!(said.starts_with("[1]  ") && said.ends_with(" of 16.0 GiB  get big\n"), "{said}");
    let said = say(&mut terminal, "kill %1", PROMPT);
    assert!(said.starts_with("[1] cancelled: get big\n") && said.contains("resumes it"), "{said}");
    assert!(client.work().join(".big.sshome-part").exists());
    assert_eq!(say(&mut terminal, "jobs", PROMPT), "");
    assert!(say(&mut terminal, "kill 7", PROMPT).contains("no job 7"));
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_a_job_in_the_foreground_only() {
    let host = host().await;
    let (_client, mut terminal) = getting(&host);
    // At the prompt it is not the job's.
    terminal.send(CTRL_C).unwrap();
    terminal.expect(PROMPT).unwrap();
    assert!(say(&mut terminal, "jobs", PROMPT).contains("get big"));
    terminal.send("fg\r").unwrap();
    terminal.expect("of  16.00 GiB").unwrap();
    terminal.send(CTRL_C).unwrap();
    terminal.expect("[1] cancelled: get big\n").unwrap();
    terminal.expect(PROMPT).unwrap();
    assert_eq!(say(&mut terminal, "jobs", PROMPT), "");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_does_not_end_unasked_while_a_job_runs() {
    let host = host().await;
    let (_client, mut terminal) = getting(&host);
    let warning = "sshome: 1 job is running: exit again ends it, fg waits\n";
    terminal.send(CTRL_D).unwrap();
    let said = terminal.expect(PROMPT).unwrap();
    assert!(said.ends_with(warning), "{said}");
    assert_eq!(say(&mut terminal, "pwd", PROMPT), "/\n");
    assert_eq!(say(&mut terminal, "exit", PROMPT), warning);
    terminal.send("exit\r").unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_says_why_before_a_prompt() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("get missing &\r").unwrap();
    let mut said = terminal.expect(PROMPT).unwrap();
    until("it ends", || {
        said += &say(&mut terminal, "pwd", PROMPT);
        said.contains("[1] failed: get missing\n")
    });
    assert!(said.contains("/missing") && said.contains("(402)"), "{said}");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}
