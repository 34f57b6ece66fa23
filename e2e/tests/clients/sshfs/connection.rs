//! Several connections, and a lost one.

use super::Mounted;
use sshome_e2e::tree::{noise, on_disk};
use sshome_e2e::{Mount, until};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn two_mounts_see_each_other() {
    let test = "two_mounts_see_each_other";
    let Some(home) = Mounted::with_options(test, "", &["cache=no"]).await else { return };
    let Some(other) = Mount::new(test, &home.client, Path::new("/"), &["cache=no"]) else { return };
    let other = |name: &str| other.path().join(name);
    fs::write(home.there("f"), b"one ").unwrap();
    OpenOptions::new().append(true).open(other("f")).unwrap().write_all(b"two").unwrap();
    until("what was appended is seen", || fs::read(home.there("f")).unwrap() == b"one two");
    // A file that is open remains readable when the other client replaces or removes it.
    let mut open = File::open(home.there("f")).unwrap();
    fs::write(other("g"), b"another").unwrap();
    fs::rename(other("g"), other("f")).unwrap();
    let mut read = String::new();
    open.read_to_string(&mut read).unwrap();
    assert_eq!(read, "one two");
    drop(open);
    assert_eq!(fs::read(home.there("f")).unwrap(), b"another");
    fs::remove_file(other("f")).unwrap();
    until("it is gone", || !home.there("f").exists());
    assert_eq!(on_disk(&home.host.home("ann")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_an_error_for_programs() {
    let test = "a_lost_connection_is_an_error_for_programs";
    let Some(mut home) = Mounted::new(test, "").await else { return };
    let content = noise(1 << 20, "f");
    let mut file = File::create(home.there("f")).unwrap();
    file.write_all(&content).unwrap();
    file.sync_all().unwrap();
    home.host.stop().await.unwrap();
    let lost = file.write_all(&content).and_then(|()| file.sync_all());
    lost.unwrap_err();
    drop(file);
    // The synced data is stored.
    assert!(fs::read(home.stored("f")).unwrap().starts_with(&content));
}
