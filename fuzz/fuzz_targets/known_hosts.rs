//! Any bytes as a file of known hosts. Whatever the file contains, a remembered key is known from then on, unless the
//! file revokes it. A host that is not in the file is not known.
#![no_main]

use libfuzzer_sys::fuzz_target;
use russh::keys::PublicKey;
use sshome::ssh::known_hosts::{KnownHost, Verdict, name, remember};
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The seeds have a line with it.
const ED25519_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7B9BvwFcsYxEoWcHzQqF1EV0bLBaVuwZQkSTcIYrZB";

static DIR: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary folder"));

fuzz_target!(|text: &[u8]| {
    let (key, other) = (public(ED25519_KEY), public(OTHER_KEY));
    let name = name("Nas.example.org", 2222);
    let file = DIR.path().join("known_hosts");
    std::fs::write(&file, text).expect("a file");
    let files: &[PathBuf] = &[file.clone()];
    let before = KnownHost::read(files, &name).expect("a file");
    let unknown = matches!(before.judge(&key), Verdict::Unknown);
    assert_eq!(unknown, before.keys().next().is_none() && !matches!(before.judge(&key), Verdict::Revoked(_)));
    remember(&file, &name, &key).expect("a line");
    let after = KnownHost::read(files, &name).expect("a file");
    match after.judge(&key) {
        Verdict::Known => {}
        Verdict::Revoked(line) => assert!(line.number <= String::from_utf8_lossy(text).lines().count()),
        verdict => panic!("{verdict:?}, and it was remembered"),
    }
    assert!(!matches!(after.judge(&other), Verdict::Unknown), "the host has a key now");
});

fn public(line: &str) -> PublicKey {
    PublicKey::from_openssh(line).expect("a key")
}
