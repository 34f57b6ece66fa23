//! rename, unlink, symlink, truncate, append and others as in POSIX: the same calls on the local disk, in a home over
//! sshfs, and in a folder of OpenSSH's sshd over sshfs.

mod files;
mod names;

use super::{Mounted, sshd};
use std::fs;
use std::io;
use std::path::Path;

/// A name, and a function that acts in an empty folder and returns what it sees.
type Check = (&'static str, fn(&Path) -> io::Result<String>);

/// Checks that differ from a local disk: the name, and the answers of the disk, of a home and of sshd. They are rows of
/// docs/clients.md.
const DIFFERENCES: [[&str; 4]; 10] = [
    // SFTP version 3 has no code for these, and sshfs maps each code to one error.
    ["rename of a folder over a full one", "Directory not empty", DENIED, DENIED],
    ["a name of 256 bytes", "File name too long", "Bad message", "Bad message"],
    // Nor does it have these operations.
    ["a named pipe", "made", DENIED, DENIED],
    ["times, to the nanosecond", "123", "0", "0"],
    ["a time before 1970", "-1000", "4294966296", "4294966296"],
    [
        "reserve room with fallocate",
        "content\\x00\\x00",
        "Operation not supported",
        "Operation not supported",
    ],
    ["how many names a file has", "2", "1", "1"],
    // A folder stays accessible to its owner, so that it can be counted. Set-id and sticky bits are not kept.
    ["chmod 640", "640 640", "640 740", "640 640"],
    ["chmod 4755", "4755 4755", "755 755", "4755 4755"],
    ["chmod 1777", "1777 1777", "777 777", "1777 1777"],
];

const DENIED: &str = "Operation not permitted";

/// The answers in one place. An error is an answer, too.
fn ask(top: &Path) -> Vec<(&'static str, String)> {
    let checks = names::CHECKS.iter().chain(&files::CHECKS);
    let answer = |(number, (name, check)): (usize, &Check)| {
        let folder = top.join(number.to_string());
        fs::create_dir(&folder).unwrap();
        let seen = check(&folder).unwrap_or_else(|error| match error.to_string().split_once(" (os error") {
            Some((text, _)) => text.to_owned(),
            None => error.to_string(),
        });
        (*name, seen)
    };
    checks.enumerate().map(answer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_behave_as_on_a_local_disk() {
    let test = "calls_behave_as_on_a_local_disk";
    let Some(home) = Mounted::new(test, "").await else { return };
    let sshd = sshd(test).await;
    let (disk, ours) = (ask(&home.here("")), ask(&home.there("")));
    let theirs = sshd.map(|sshd| ask(sshd.mount.path()));
    let mut wrong = Vec::new();
    for (number, (name, disk)) in disk.iter().enumerate() {
        let (disk, ours) = (disk.as_str(), ours[number].1.as_str());
        let known = DIFFERENCES.iter().find(|known| known[0] == *name);
        let expected = known.map_or([disk, disk], |known| [known[2], known[3]]);
        // Without an sshd, its expected answer is used.
        let theirs = theirs.as_ref().map_or(expected[1], |theirs| theirs[number].1.as_str());
        if [ours, theirs] != expected || known.is_some_and(|known| known[1] != disk) {
            wrong.push([*name, disk, ours, theirs]);
        }
    }
    assert!(wrong.is_empty(), "not as expected (check, disk, sshomed, sshd): {wrong:#?}");
}

#[test]
fn the_document_lists_the_differences() {
    let document = include_str!("../../../../../docs/clients.md");
    for [name, disk, ours, theirs] in DIFFERENCES {
        let row = format!("| {name} | {disk} | {ours} | {theirs} |\n");
        assert!(document.contains(&row), "docs/clients.md has no row: {row}");
    }
}
