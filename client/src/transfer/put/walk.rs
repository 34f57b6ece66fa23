//! What a put sends: files and directories, in the order in which the server is to have them.

use crate::transfer::{Failure, local, path_bytes};
use sshome_wire::RemotePath;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// One thing that is to be sent.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A directory, before what is in it.
    Directory { from: PathBuf, to: RemotePath, mode: Option<u32> },
    /// A file. A link is followed where the user named it.
    File { from: PathBuf, to: RemotePath, follow: bool },
    /// A link or a special file: left out.
    Skipped(Failure),
    /// What cannot be read or named.
    Failed(Failure),
}

/// Walks over the sources. A directory's entries are read when its turn comes, so that a tree of
/// any size takes little memory.
pub(super) struct Walk {
    recursive: bool,
    /// What is still to be looked at, the next one last.
    stack: Vec<Pending>,
}

struct Pending {
    from: PathBuf,
    to: RemotePath,
    named_by_user: bool,
}

impl Walk {
    /// A walk over sources, each with the path that it is to have.
    pub(super) fn new(sources: Vec<(PathBuf, RemotePath)>, recursive: bool) -> Walk {
        let pending = |(from, to)| Pending { from, to, named_by_user: true };
        Walk { recursive, stack: sources.into_iter().rev().map(pending).collect() }
    }

    fn visit(&mut self, pending: Pending) -> Item {
        let Pending { from, to, named_by_user } = pending;
        let seen = if named_by_user { fs::metadata(&from) } else { fs::symlink_metadata(&from) };
        match seen {
            Err(error) => Item::Failed(unreadable(&from, &error)),
            Ok(seen) if seen.is_file() => Item::File { from, to, follow: named_by_user },
            Ok(seen) if seen.is_dir() && self.recursive => self.directory(from, to, &seen),
            Ok(seen) if seen.is_dir() => {
                Item::Failed(Failure::of(path_bytes(&from), "it is a directory; -r puts directories"))
            }
            Ok(seen) if seen.is_symlink() => {
                Item::Skipped(Failure::of(path_bytes(&from), "a symbolic link is not transferred"))
            }
            Ok(_) => Item::Skipped(Failure::of(path_bytes(&from), "it is no regular file")),
        }
    }

    fn directory(&mut self, from: PathBuf, to: RemotePath, seen: &Metadata) -> Item {
        let names = fs::read_dir(&from).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = match names {
            Ok(names) => names,
            Err(error) => return Item::Failed(unreadable(&from, &error)),
        };
        // The same order every time; the stack turns it round.
        names.sort_unstable_by(|a, b| b.cmp(a));
        let mut failed = None;
        for name in names {
            let path = from.join(&name);
            match to.join(name.as_encoded_bytes()) {
                Ok(to) => self.stack.push(Pending { from: path, to, named_by_user: false }),
                Err(error) => failed = Some(Failure::of(path_bytes(&path), error.to_string())),
            }
        }
        match failed {
            // Only where paths are too long, and then everything deeper is, too.
            Some(failure) => Item::Failed(failure),
            None => Item::Directory { from, to, mode: local::mode(seen) },
        }
    }
}

impl Iterator for Walk {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let pending = self.stack.pop()?;
        Some(self.visit(pending))
    }
}

/// How many files the sources hold, and how many bytes: for the progress, and no more than that.
pub(super) fn measure(sources: Vec<(PathBuf, RemotePath)>, recursive: bool) -> (u64, u64) {
    let files = Walk::new(sources, recursive).filter_map(|item| match item {
        Item::File { from, .. } => Some(fs::metadata(from).map_or(0, |seen| seen.len())),
        _ => None,
    });
    files.fold((0, 0), |(count, sum), size| (count + 1, u64::saturating_add(sum, size)))
}

/// A source that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::of(path_bytes(path), format!("cannot read it: {error}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_is_walked_in_order_and_its_links_are_left_out() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("t/b/c")).unwrap();
        fs::write(path("t/b/c/2"), "").unwrap();
        fs::write(path("t/a"), "").unwrap();
        symlink("/etc", path("t/link")).unwrap();
        symlink("/etc/passwd", path("t/b/file-link")).unwrap();
        let sources = vec![(path("t"), RemotePath::root().join(b"/www").unwrap())];
        let seen: Vec<String> = Walk::new(sources.clone(), true)
            .map(|item| match item {
                Item::Directory { to, .. } => format!("{to}/"),
                Item::File { to, follow, .. } => format!("{to} {follow}"),
                Item::Skipped(failure) => failure.what.rsplit('/').next().unwrap().to_owned(),
                Item::Failed(failure) => panic!("{failure:?}"),
            })
            .collect();
        let want = ["/www/", "/www/a false", "/www/b/", "/www/b/c/", "/www/b/c/2 false", "file-link", "link"];
        assert_eq!(seen, want);
        assert_eq!(measure(sources.clone(), true), (2, 0));
        assert!(matches!(Walk::new(sources, false).next(), Some(Item::Failed(_))));
    }

    #[test]
    fn a_link_that_the_user_named_is_followed() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "x").unwrap();
        symlink("file", place.path().join("link")).unwrap();
        let sources = vec![(place.path().join("link"), RemotePath::root())];
        let items: Vec<Item> = Walk::new(sources, false).collect();
        assert!(matches!(items.as_slice(), [Item::File { follow: true, .. }]));
    }
}
