//! What POSIX says of rename, unlink, symlink, truncate, append and their like: the same calls on this
//! machine's own disk, in a home over sshfs, and in a folder of OpenSSH's sshd over sshfs.

mod files;
mod names;

use super::{Mounted, sshd};
use std::fs;
use std::io;
use std::path::Path;

/// What is done in an empty folder, and what is seen then.
type Check = (&'static str, fn(&Path) -> io::Result<String>);

/// Where something else is seen than on a disk: the check; the disk's answer; that in a home; that of
/// sshd. They are rows of docs/clients.md.
const DIFFERENCES: [[&str; 4]; 10] = [
    // Version 3 of SFTP has no code for these, and sshfs makes of each code one error.
    ["rename of a folder over a full one", "Directory not empty", DENIED, DENIED],
    ["a name of 256 bytes", "File name too long", "Bad message", "Bad message"],
    // Nor does it have these.
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
    // A folder stays open to its owner, or it could not be counted; set-id and sticky bits are not kept.
    ["chmod 640", "640 640", "640 740", "640 640"],
    ["chmod 4755", "4755 4755", "755 755", "4755 4755"],
    ["chmod 1777", "1777 1777", "777 777", "1777 1777"],
];

const DENIED: &str = "Operation not permitted";

/// The answers of one place: an error is one, too.
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
        // Where there is no sshd to ask, the one before it has said this.
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
