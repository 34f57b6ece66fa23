//! `edit`: an edit is stored or kept, and never lost.

use crate::{PROMPT, host, say};
use sshome_e2e::tree::{mode, set_mode};
use sshome_e2e::{Client, Host, Terminal};
use std::fs;
use std::path::{Path, PathBuf};

/// A client at its prompt, with this editor and a directory for temporary files of its own.
fn with_editor(host: &Host, editor: &str) -> (Client, Terminal) {
    let client = Client::new(host, "ann").unwrap();
    let mut command = client.command().unwrap();
    command.arg(client.destination()).env("EDITOR", editor).env("TMPDIR", client.home());
    let mut terminal = Terminal::start(&command).unwrap();
    terminal.expect(PROMPT).unwrap();
    (client, terminal)
}

/// The file of the message that an edit is kept.
fn kept(said: &str) -> PathBuf {
    let (_, path) = said.split_once("your edit is kept in ").unwrap_or_else(|| panic!("{said:?}"));
    Path::new(&path.split_whitespace().collect::<String>()).to_owned()
}

fn local_copies(client: &Client) -> usize {
    let names = fs::read_dir(client.home()).unwrap().flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with("sshome-edit-")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_stored_and_leaves_nothing() {
    let host = host().await;
    let file = host.home("ann").join("a file.txt");
    fs::write(&file, "old\n").unwrap();
    set_mode(&file, 0o640).unwrap();
    let (client, mut terminal) = with_editor(&host, "sed -i s/old/new/");
    assert_eq!(say(&mut terminal, "edit 'a file.txt'", PROMPT), "stored /a file.txt\n");
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file).unwrap()), ("new\n", 0o640));
    assert_eq!(say(&mut terminal, "edit 'a file.txt'", PROMPT), "unchanged\n");
    assert_eq!(local_copies(&client), 0);
    let (client, mut terminal) = with_editor(&host, "cp /proc/version");
    assert_eq!(say(&mut terminal, "edit created", PROMPT), "stored /created\n");
    assert!(host.home("ann").join("created").metadata().unwrap().len() > 0);
    let said = say(&mut terminal, "edit .", PROMPT);
    assert!(said.contains("only files can be edited"), "{said}");
    assert_eq!(local_copies(&client), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_kept_if_the_file_changed_on_the_server() {
    let host = host().await;
    let file = host.home("ann").join("text");
    fs::write(&file, "old\n").unwrap();
    // The editor's user waits while somebody else writes the file.
    let editor = format!("sh -c 'echo mine >\"$1\"; echo theirs >{}' -", file.display());
    let (_client, mut terminal) = with_editor(&host, &editor);
    let said = say(&mut terminal, "edit text", PROMPT);
    assert!(said.contains("/text changed on the server meanwhile; nothing was stored"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "theirs\n");
    let kept = kept(&said);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "mine\n");
    assert_eq!(mode(kept.parent().unwrap()).unwrap(), 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_kept_if_the_editor_or_the_put_fails() {
    let host = Host::with_user("ann", "quota = \"64 KiB\"").await.unwrap();
    let file = host.home("ann").join("text");
    fs::write(&file, "old\n").unwrap();
    for (editor, reason) in [
        ("sh -c 'echo mine >\"$1\"; exit 3' -", "the editor ended with exit status: 3"),
        ("sh -c 'head -c 100000 /dev/zero >\"$1\"' -", "(405)"),
    ] {
        let (_client, mut terminal) = with_editor(&host, editor);
        let said = say(&mut terminal, "edit text", PROMPT);
        assert!(said.contains(reason), "{said}");
        assert!(kept(&said).metadata().unwrap().len() > 4, "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old\n");
    }
    let (client, mut terminal) = with_editor(&host, "false");
    let said = say(&mut terminal, "edit text", PROMPT);
    assert!(said.contains("exit status: 1") && !said.contains("kept"), "{said}");
    assert_eq!(local_copies(&client), 0);
}
