//! A get onto a local disk that is full.

use crate::{CTRL_D, PROMPT, host, say};
use rustix::process::geteuid;
use sshome_e2e::{Client, Terminal};
use std::fs;
use std::process::{Command, Stdio};

/// Mounts a disk of 24 MiB at the folder that follows, for the client only, and fills half of it.
const MOUNT: &str =
    "mount -t tmpfs -o size=24m small \"$0\" && cd \"$0\" && head -c 12M /dev/zero >filler && exec \"$@\"";

/// The client in a terminal, working on a small disk; `None` if this machine cannot mount.
fn on_a_small_disk(test: &str, client: &Client) -> Option<Terminal> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", MOUNT]).arg(client.work());
        command
    };
    let tried = unshare().arg("true").stderr(Stdio::piped()).output().unwrap();
    if !tried.status.success() {
        eprintln!("skipped: {test}: {}", String::from_utf8_lossy(&tried.stderr).trim());
        return None;
    }
    let inner = client.command().unwrap();
    let mut command = unshare();
    command.arg(inner.get_program()).args(inner.get_args()).arg(client.destination());
    command
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(client.work());
    // Wide enough that no message wraps.
    Some(Terminal::start_sized(&command, 250, 24).unwrap())
}

/// Bytes that no filesystem stores as a hole, different in each block.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn assert_names_directory_and_remedy(said: &str, client: &Client) {
    let named = said.lines().any(|line| {
        let (directory, rest) = line.split_once(": the local disk is full").unwrap_or_default();
        directory.contains(&format!("sshome: {}", client.work().display())) && !rest.is_empty()
    });
    assert!(named, "{said}");
    assert!(said.contains("make room and give the same command again"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_onto_a_full_disk_names_the_directory_and_resumes_when_there_is_room() {
    let host = host().await;
    fs::write(host.home("ann").join("big"), content(16 << 20)).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let Some(mut terminal) = on_a_small_disk("a_get_onto_a_full_disk", &client) else { return };
    terminal.expect(PROMPT).unwrap();
    assert_names_directory_and_remedy(&say(&mut terminal, "get big", PROMPT), &client);
    say(&mut terminal, "!rm filler", PROMPT);
    let said = say(&mut terminal, "get big", PROMPT);
    assert!(said.contains("big: resumed at") && said.contains("1 file, 16.0 MiB"), "{said}");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_stop_at_a_full_disk() {
    let host = host().await;
    let many = host.home("ann").join("many");
    fs::create_dir(&many).unwrap();
    let content = content(200 << 10);
    (0..100).for_each(|number| fs::write(many.join(number.to_string()), &content).unwrap());
    let client = Client::new(&host, "ann").unwrap();
    let Some(mut terminal) = on_a_small_disk("many_small_files", &client) else { return };
    terminal.expect(PROMPT).unwrap();
    assert_names_directory_and_remedy(&say(&mut terminal, "get -r many", PROMPT), &client);
    say(&mut terminal, "!rm filler", PROMPT);
    let said = say(&mut terminal, "get -r many", PROMPT);
    assert!(said.contains("unchanged") && !said.contains("failed"), "{said}");
    terminal.send(CTRL_D).unwrap();
    assert_eq!(terminal.end().unwrap().0, Some(0));
}
