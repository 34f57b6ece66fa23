//! Names: made, taken, changed, removed.

use super::Check;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

/// The names in a folder, sorted, in one line.
fn listing(top: &Path) -> String {
    let names = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names.join(" ")
}

pub(super) const CHECKS: [Check; 38] = [
    ("rename to a free name", |top| {
        fs::write(top.join("a"), "a")?;
        fs::rename(top.join("a"), top.join("b"))?;
        Ok(format!("{}: {}", listing(top), fs::read_to_string(top.join("b"))?))
    }),
    ("rename over a file", |top| {
        fs::write(top.join("a"), "a")?;
        fs::write(top.join("b"), "b")?;
        fs::rename(top.join("a"), top.join("b"))?;
        Ok(format!("{}: {}", listing(top), fs::read_to_string(top.join("b"))?))
    }),
    ("rename over a file that is open", |top| {
        fs::write(top.join("a"), "a")?;
        fs::write(top.join("b"), "b")?;
        let mut open = File::open(top.join("b"))?;
        fs::rename(top.join("a"), top.join("b"))?;
        let mut old = String::new();
        open.read_to_string(&mut old)?;
        Ok(old + &fs::read_to_string(top.join("b"))?)
    }),
    ("rename of a file that is open", |top| {
        let mut open = File::create(top.join("a"))?;
        open.write_all(b"one ")?;
        fs::rename(top.join("a"), top.join("b"))?;
        open.write_all(b"two")?;
        drop(open);
        fs::read_to_string(top.join("b"))
    }),
    ("rename onto itself", |top| {
        fs::write(top.join("a"), "a")?;
        fs::rename(top.join("a"), top.join("a"))?;
        fs::read_to_string(top.join("a"))
    }),
    ("rename onto another name of the same file", |top| {
        fs::write(top.join("a"), "a")?;
        fs::hard_link(top.join("a"), top.join("b"))?;
        fs::rename(top.join("a"), top.join("b"))?;
        Ok(listing(top))
    }),
    ("rename of what is not there", |top| {
        fs::rename(top.join("a"), top.join("b"))?;
        Ok(listing(top))
    }),
    ("rename into a folder that is not there", |top| {
        fs::write(top.join("a"), "a")?;
        fs::rename(top.join("a"), top.join("d/a"))?;
        Ok(listing(top))
    }),
    ("rename of a file over a folder", |top| {
        fs::write(top.join("a"), "a")?;
        fs::create_dir(top.join("d"))?;
        fs::rename(top.join("a"), top.join("d"))?;
        Ok(listing(top))
    }),
    ("rename of a folder over a file", |top| {
        fs::write(top.join("a"), "a")?;
        fs::create_dir(top.join("d"))?;
        fs::rename(top.join("d"), top.join("a"))?;
        Ok(listing(top))
    }),
    ("rename of a folder over an empty one", |top| {
        fs::create_dir_all(top.join("d/in"))?;
        fs::create_dir(top.join("e"))?;
        fs::rename(top.join("d"), top.join("e"))?;
        Ok(listing(top) + &listing(&top.join("e")))
    }),
    ("rename of a folder over a full one", |top| {
        fs::create_dir(top.join("d"))?;
        fs::create_dir_all(top.join("e/in"))?;
        fs::rename(top.join("d"), top.join("e"))?;
        Ok(listing(top))
    }),
    ("rename of a folder into itself", |top| {
        fs::create_dir(top.join("d"))?;
        fs::rename(top.join("d"), top.join("d/e"))?;
        Ok(listing(top))
    }),
    ("rename of a link", |top| {
        symlink("nowhere", top.join("l"))?;
        fs::rename(top.join("l"), top.join("m"))?;
        Ok(format!("{} {}", listing(top), fs::read_link(top.join("m"))?.display()))
    }),
    ("rename over a link", |top| {
        fs::write(top.join("a"), "a")?;
        fs::write(top.join("b"), "b")?;
        symlink("b", top.join("l"))?;
        fs::rename(top.join("a"), top.join("l"))?;
        Ok(format!("{} {}", top.join("l").is_symlink(), fs::read_to_string(top.join("b"))?))
    }),
    ("unlink of a file", |top| {
        fs::write(top.join("a"), "a")?;
        fs::remove_file(top.join("a"))?;
        Ok(listing(top))
    }),
    ("unlink of what is not there", |top| {
        fs::remove_file(top.join("a"))?;
        Ok(listing(top))
    }),
    ("unlink of a folder", |top| {
        fs::create_dir(top.join("d"))?;
        fs::remove_file(top.join("d"))?;
        Ok(listing(top))
    }),
    ("unlink of a link", |top| {
        fs::write(top.join("a"), "a")?;
        symlink("a", top.join("l"))?;
        fs::remove_file(top.join("l"))?;
        Ok(listing(top))
    }),
    ("unlink of one of two names", |top| {
        fs::write(top.join("a"), "a")?;
        fs::hard_link(top.join("a"), top.join("b"))?;
        fs::remove_file(top.join("a"))?;
        Ok(listing(top) + &fs::read_to_string(top.join("b"))?)
    }),
    ("unlink of a file that is open, and a new one of its name", |top| {
        fs::write(top.join("a"), "old")?;
        let mut open = File::open(top.join("a"))?;
        fs::remove_file(top.join("a"))?;
        fs::write(top.join("a"), "new")?;
        let mut old = String::new();
        open.read_to_string(&mut old)?;
        Ok(old + &fs::read_to_string(top.join("a"))?)
    }),
    ("rmdir of an empty folder", |top| {
        fs::create_dir(top.join("d"))?;
        fs::remove_dir(top.join("d"))?;
        Ok(listing(top))
    }),
    ("rmdir of a full folder", |top| {
        fs::create_dir_all(top.join("d/e"))?;
        fs::remove_dir(top.join("d"))?;
        Ok(listing(top))
    }),
    ("rmdir of a file", |top| {
        fs::write(top.join("a"), "a")?;
        fs::remove_dir(top.join("a"))?;
        Ok(listing(top))
    }),
    ("mkdir where something is", |top| {
        fs::write(top.join("a"), "a")?;
        fs::create_dir(top.join("a"))?;
        Ok(listing(top))
    }),
    ("mkdir in what is not there", |top| {
        fs::create_dir(top.join("a/b"))?;
        Ok(listing(top))
    }),
    ("a path through a file", |top| {
        fs::write(top.join("a"), "a")?;
        fs::write(top.join("a/b"), "b")?;
        Ok(listing(top))
    }),
    ("a name of 255 bytes", |top| {
        fs::write(top.join("n".repeat(255)), "a")?;
        Ok(listing(top))
    }),
    ("a name of 256 bytes", |top| {
        fs::write(top.join("n".repeat(256)), "a")?;
        Ok(listing(top))
    }),
    ("a relative link is followed", |top| {
        fs::create_dir(top.join("d"))?;
        fs::write(top.join("a"), "a")?;
        symlink("../a", top.join("d/l"))?;
        Ok(fs::read_to_string(top.join("d/l"))? + &fs::read_link(top.join("d/l"))?.display().to_string())
    }),
    ("an absolute link keeps its text", |top| {
        symlink("/etc//./passwd", top.join("l"))?;
        Ok(fs::read_link(top.join("l"))?.display().to_string())
    }),
    ("the length of a link is that of its text", |top| {
        symlink("x".repeat(1000), top.join("l"))?;
        Ok(fs::symlink_metadata(top.join("l"))?.len().to_string())
    }),
    ("a link to nothing", |top| {
        symlink("nothing", top.join("l"))?;
        fs::write(top.join("l"), "made by it")?;
        Ok(listing(top))
    }),
    ("a link to itself", |top| {
        symlink("l", top.join("l"))?;
        fs::read_to_string(top.join("l"))
    }),
    ("a link where something is", |top| {
        fs::write(top.join("a"), "a")?;
        symlink("b", top.join("a"))?;
        Ok(listing(top))
    }),
    ("a hard link where something is", |top| {
        fs::write(top.join("a"), "a")?;
        fs::write(top.join("b"), "b")?;
        fs::hard_link(top.join("a"), top.join("b"))?;
        Ok(listing(top))
    }),
    ("a hard link to a folder", |top| {
        fs::create_dir(top.join("d"))?;
        fs::hard_link(top.join("d"), top.join("e"))?;
        Ok(listing(top))
    }),
    ("a hard link to a link", |top| {
        symlink("nothing", top.join("l"))?;
        fs::hard_link(top.join("l"), top.join("m"))?;
        Ok(fs::read_link(top.join("m"))?.display().to_string())
    }),
];
