//! Odd names: the text that Tab inserts means exactly that name, for every command with names.

use crate::{PROMPT, host, say};
use sshome_e2e::{Client, Terminal};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Each with a unique beginning, as it can be typed.
const NAMES: [(&str, &[u8]); 14] = [
    ("a1", b"a1 b"),
    ("a2", b"a2 blank at the end "),
    ("a3", b"a3it's"),
    ("a4", b"a4\"quoted\""),
    ("a5", b"a5\nline"),
    ("a6", b"a6*?"),
    ("a7", b"a7[1].txt"),
    ("a8", b"a8\\back"),
    ("a9", b"a9\xff"),
    ("-q", b"-quest"),
    ("\\#", b"#comment"),
    ("\\~", b"~tilde"),
    ("\\ b", b" blank before"),
    ("aé", "aé$HOME".as_bytes()),
];

fn path(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(OsStr::from_bytes(name))
}

/// Types a command up to a Tab, and the rest once the name is completed.
fn complete(terminal: &mut Terminal, begin: &str, rest: &str, prompt: &str) -> String {
    terminal.send(&format!("{begin}\t{rest}\r")).unwrap();
    terminal.expect("\n").unwrap();
    terminal.expect(prompt).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_names_work_with_every_command() {
    let host = host().await;
    let home = host.home("ann");
    let client = Client::new(&host, "ann").unwrap();
    let work = client.work();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    for (typed, name) in NAMES {
        let shown = String::from_utf8_lossy(name);
        let mut try_out = |begin: &str, rest: &str| {
            let said = complete(&mut terminal, &format!("{begin} {typed}"), rest, PROMPT);
            assert!(!said.contains("sshome: "), "{shown:?}: {begin}: {said}");
            said
        };
        let (remote, local) = (path(&home, name), path(&work, name));
        fs::write(&local, "local").unwrap();
        try_out("put", "");
        assert_eq!(
            fs::read(&remote).ok().as_deref(),
            Some(&b"local"[..]),
            "{shown:?}: {:?}",
            sshome_e2e::tree::names(&home)
        );
        fs::remove_file(&local).unwrap();
        try_out("get", "");
        assert_eq!(fs::read(&local).unwrap(), b"local", "{shown:?}");
        for command in ["ls", "ls -l", "stat", "hash", "lls"] {
            assert!(!try_out(command, "").is_empty(), "{shown:?}: {command}");
        }
        try_out("cp", " copy");
        try_out("mv", " moved");
        assert!(!remote.exists() && home.join("copy").exists() && home.join("moved").exists(), "{shown:?}");
        fs::rename(home.join("moved"), &remote).unwrap();
        try_out("rename", " moved");
        fs::rename(home.join("moved"), &remote).unwrap();
        try_out("ln -s", " link");
        assert_eq!(fs::canonicalize(home.join("link")).unwrap(), fs::canonicalize(&remote).unwrap());
        try_out("rm", "");
        assert!(!remote.exists(), "{shown:?}");
        for file in ["copy", "link"] {
            fs::remove_file(home.join(file)).unwrap();
        }
        fs::remove_file(&local).unwrap();

        // Directories, on both sides.
        fs::create_dir(&local).unwrap();
        try_out("put -r", "");
        assert!(remote.is_dir(), "{shown:?}");
        fs::write(remote.join("in"), "it").unwrap();
        try_out("get -r", "");
        assert!(local.join("in").exists(), "{shown:?}");
        assert_eq!(try_out("ls", ""), "in\n", "{shown:?}");
        try_out("cp -r", " copy");
        try_out("mv copy/in", "");
        assert!(!home.join("copy/in").exists() && remote.join("in").exists(), "{shown:?}");
        try_out("rm -r", "");
        assert!(!remote.exists(), "{shown:?}");
        fs::remove_dir_all(home.join("copy")).unwrap();
        fs::create_dir(&remote).unwrap();
        try_out("rmdir", "");
        assert!(!remote.exists(), "{shown:?}");
        fs::create_dir(&remote).unwrap();
        // There and back, on both sides.
        for (there, back) in [("cd", "cd .."), ("lcd", "lcd ..")] {
            let said = complete(&mut terminal, &format!("{there} {typed}"), "", "> ");
            assert!(!said.contains("sshome: "), "{shown:?}: {there}: {said}");
            say(&mut terminal, back, PROMPT);
        }
        fs::remove_dir(&remote).unwrap();
        fs::remove_dir_all(&local).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tilde_is_completed_to_files_of_the_local_home() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::write(client.home().join("file at home"), "home").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("put ~\tfi\t").unwrap();
    terminal.expect(r"put ~/file\ at\ home ").unwrap();
    terminal.send("\r").unwrap();
    terminal.expect("1 file, 4 B").unwrap();
    assert_eq!(fs::read(host.home("ann").join("file at home")).unwrap(), b"home");
}

#[tokio::test(flavor = "multi_thread")]
async fn tab_lists_the_candidates() {
    let host = host().await;
    for number in 0..250 {
        fs::write(host.home("ann").join(format!("name {number:03}")), "").unwrap();
    }
    let client = Client::new(&host, "ann").unwrap();
    let mut terminal = client.terminal().unwrap();
    terminal.expect(PROMPT).unwrap();
    terminal.send("hash na\t").unwrap();
    terminal.expect(r"hash name\ ").unwrap();
    terminal.send("\t").unwrap();
    terminal.expect("'name 199'").unwrap();
    terminal.expect("and 50 more").unwrap();
    terminal.expect(r"hash name\ ").unwrap();
    terminal.send("007\r").unwrap();
    terminal.expect("  name 007\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_is_quoted_in_an_argument_as_at_the_prompt() {
    let host = host().await;
    let home = host.home("ann");
    for name in ["report[1].txt", "report1.txt", r"we\*ird"] {
        fs::write(home.join(name), name).unwrap();
    }
    let client = Client::new(&host, "ann").unwrap();
    client.succeed(["get", r"report\[1\].txt"]).unwrap();
    assert_eq!(fs::read(client.work().join("report[1].txt")).unwrap(), b"report[1].txt");
    client.succeed(["get", r"we\\\*ird"]).unwrap();
    // The name itself has precedence; if it does not exist, it is a pattern.
    client.succeed(["get", "report[1].txt"]).unwrap();
    assert!(!client.work().join("report1.txt").exists());
    fs::remove_file(home.join("report[1].txt")).unwrap();
    client.succeed(["get", "report[1].txt"]).unwrap();
    assert!(client.work().join("report1.txt").exists());
    assert!(client.work().join(r"we\*ird").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_is_the_same_name_on_both_sides() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    // A name with backslashes has precedence over the name that they would quote.
    let names = [r"report\[1\].txt", "report[1].txt", "report1.txt"];
    for (name, found) in
        [(r"report\[1\].txt", &names[..]), (r"report\[1\].txt", &names[1..]), ("report[1].txt", &names[2..])]
    {
        for (command, from, to) in
            [("put", client.work(), host.home("ann")), ("get", host.home("ann"), client.work())]
        {
            for present in found {
                fs::write(from.join(present), present).unwrap();
            }
            client.succeed([command, name]).unwrap();
            assert_eq!(fs::read_to_string(to.join(found[0])).unwrap(), found[0], "{command} {name}");
            for name in names {
                // The command may have moved or removed them.
                let _ = fs::remove_file(from.join(name));
                let _ = fs::remove_file(to.join(name));
            }
        }
    }
    let missing = client.run(["put", "nothing*"]).unwrap();
    assert!(missing.code == Some(1) && missing.err().contains("no match for nothing*"), "{missing}");
}
