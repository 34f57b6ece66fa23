//! Tests of every implementation of a local directory. The portable one is compiled and tested on Unix as well.

use super::{LocalEntry, mtime, set_mtime};
use sshome_wire::{FileKind, Time};
use std::fs;
use std::io::{self, Read, Write};

macro_rules! local_directory_tests {
    ($implementation:ident, $directory:ident) => {
        mod $implementation {
            use super::super::$implementation::{
                begin_writeback, open_files, open_source, $directory as LocalDirectory,
            };
            use super::*;

            fn directory() -> (tempfile::TempDir, LocalDirectory) {
                let folder = tempfile::tempdir().unwrap();
                let directory = LocalDirectory::open(folder.path()).unwrap();
                (folder, directory)
            }

            #[test]
            fn only_directories_are_opened() {
                let (folder, directory) = directory();
                fs::write(folder.path().join("file"), "x").unwrap();
                let kind = |result: io::Result<LocalDirectory>| result.unwrap_err().kind();
                assert_eq!(kind(directory.subdirectory(b"file")), io::ErrorKind::NotADirectory);
                assert_eq!(kind(directory.subdirectory(b"missing")), io::ErrorKind::NotFound);
                let file = LocalDirectory::open(&folder.path().join("file"));
                assert_eq!(kind(file), io::ErrorKind::NotADirectory);
                let missing = LocalDirectory::open(&folder.path().join("missing"));
                assert_eq!(kind(missing), io::ErrorKind::NotFound);
            }

            #[test]
            fn directories_are_created_and_filled() {
                let (folder, directory) = directory();
                assert!(directory.make(b"sub").unwrap());
                assert!(!directory.make(b"sub").unwrap());
                let sub = directory.subdirectory(b"sub").unwrap();
                assert_eq!(sub.device(), directory.device());
                sub.create(b"part").unwrap().write_all(b"content").unwrap();
                sub.publish(b"part", b"name").unwrap();
                sub.open_to_fill(0o755, true).unwrap();
                sub.finish(Some(0o755), Time { seconds: 1, nanoseconds: 0 }).unwrap();
                sub.sync().unwrap();
                assert_eq!(sub.sync_filesystem().is_ok(), LocalDirectory::SYNCS_AT_ONCE);
                assert_eq!(fs::read(folder.path().join("sub/name")).unwrap(), b"content");
                assert!(matches!(sub.look(b"name", false), Ok(Some(LocalEntry::File { size: 7, .. }))));
                assert!(matches!(directory.look(b"sub", false), Ok(Some(LocalEntry::Directory))));
                assert_eq!(sub.look(b"missing", false).unwrap(), None);
                sub.remove(b"name").unwrap();
                assert_eq!(sub.remove(b"name").unwrap_err().kind(), io::ErrorKind::NotFound);
                // The umask applies, but leaves the owner's bits.
                assert_eq!(sub.new_file_mode(0o644) & 0o600, 0o600);
                assert!(open_files() >= 64);
            }

            #[test]
            fn an_abandoned_file_is_replaced_and_a_locked_one_is_not() {
                let (folder, directory) = directory();
                fs::write(folder.path().join("part"), "left over").unwrap();
                let file = directory.create(b"part").unwrap();
                assert_eq!(file.metadata().unwrap().len(), 0);
                let error = directory.create(b"part").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
                assert!(error.to_string().contains("another sshome is writing this file"), "{error}");
                assert_eq!(directory.reopen(b"part").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
                directory.clear(b"part");
                assert!(folder.path().join("part").exists());
                drop(file);
                directory.create(b"part").unwrap();
                directory.clear(b"part");
                assert!(!folder.path().join("part").exists());
            }

            #[test]
            fn an_unfinished_file_is_resumed() {
                let (_folder, directory) = directory();
                assert!(directory.reopen(b"part").unwrap().is_none());
                let mut file = directory.create(b"part").unwrap();
                file.write_all(b"content").unwrap();
                begin_writeback(&file, 0, 7);
                drop(file);
                let mut resumed = directory.reopen(b"part").unwrap().unwrap();
                let mut text = String::new();
                resumed.read_to_string(&mut text).unwrap();
                resumed.write_all(b", more").unwrap();
                assert!(text == "content" && directory.is_file_of(b"part", &resumed));
                drop(resumed);
                let mut file = directory.read(b"part", false).unwrap();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, "contentcontent, more");
            }

            #[test]
            fn a_taken_name_is_replaced_only_on_request() {
                let (folder, directory) = directory();
                let content = |name| fs::read_to_string(folder.path().join(name)).unwrap();
                fs::write(folder.path().join("name"), "old").unwrap();
                fs::write(folder.path().join("part"), "new").unwrap();
                assert!(!directory.publish_new(b"part", b"name").unwrap());
                assert_eq!((content("name"), content("part")), ("old".into(), "new".into()));
                assert!(directory.publish_new(b"part", b"free").unwrap());
                assert_eq!(content("free"), "new");
                directory.publish(b"free", b"name").unwrap();
                assert_eq!(content("name"), "new");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            }

            #[test]
            fn entries_are_listed_with_their_attributes_and_removed_by_their_kind() {
                let (folder, directory) = directory();
                fs::write(folder.path().join("file"), "1234").unwrap();
                fs::create_dir(folder.path().join("folder")).unwrap();
                let mut entries = directory.entries().unwrap();
                assert_eq!(entries.len(), 2);
                let mut entry = |name: &[u8]| entries.remove(name).unwrap().unwrap();
                let (file, sub) = (entry(b"file"), entry(b"folder"));
                let seen = fs::metadata(folder.path().join("file")).unwrap();
                assert_eq!((file.entry.kind, file.entry.size), (FileKind::File, 4));
                assert_eq!((file.entry.mtime, sub.entry.kind), (mtime(&seen), FileKind::Directory));
                assert_eq!(directory.stat(b"file").unwrap(), Some(file));
                assert_eq!(directory.stat(b"missing").unwrap(), None);
                assert!(directory.remove(b"folder").is_err() && directory.remove_directory(b"file").is_err());
                fs::write(folder.path().join("folder/x"), "").unwrap();
                let full = directory.remove_directory(b"folder").unwrap_err();
                assert_eq!(full.kind(), io::ErrorKind::DirectoryNotEmpty);
                directory.subdirectory(b"folder").unwrap().remove(b"x").unwrap();
                directory.remove_directory(b"folder").unwrap();
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            }

            #[cfg(unix)]
            #[test]
            fn planted_links_are_not_followed() {
                use std::os::unix::fs::symlink;
                let (outside, (folder, directory)) = (tempfile::tempdir().unwrap(), directory());
                fs::write(outside.path().join("file"), "theirs").unwrap();
                symlink(outside.path(), folder.path().join("sub")).unwrap();
                symlink(outside.path().join("file"), folder.path().join("part")).unwrap();
                symlink(outside.path().join("missing"), folder.path().join("dangling")).unwrap();
                assert!(!directory.make(b"sub").unwrap());
                assert_eq!(directory.subdirectory(b"sub").unwrap_err().kind(), io::ErrorKind::NotADirectory);
                assert_eq!(directory.look(b"sub", false).unwrap(), Some(LocalEntry::Other));
                assert_eq!(directory.look(b"sub", true).unwrap(), Some(LocalEntry::Directory));
                assert!(directory.read(b"part", false).is_err() && directory.read(b"part", true).is_ok());
                let part = folder.path().join("part");
                assert!(open_source(&part, false).is_err() && open_source(&part, true).is_ok());
                let links = directory.entries().unwrap();
                assert_eq!(links.len(), 3);
                for stat in links.into_values().map(Result::unwrap) {
                    assert_eq!(stat.entry.kind, FileKind::Symlink);
                    assert_eq!(stat.entry.target, directory.read_link(&stat.entry.name).unwrap());
                }
                assert!(directory.remove_directory(b"sub").is_err() && outside.path().exists());
                let target = directory.read_link(b"dangling").unwrap();
                assert_eq!(target, outside.path().join("missing").into_os_string().into_encoded_bytes());
                for planted in [b"part".as_slice(), b"dangling"] {
                    assert!(!matches!(directory.reopen(planted), Ok(Some(_))));
                    directory.clear(planted);
                    directory.create(planted).unwrap().write_all(b"ours").unwrap();
                    assert!(matches!(directory.look(planted, false), Ok(Some(LocalEntry::File { .. }))));
                }
                symlink(outside.path().join("file"), folder.path().join("name")).unwrap();
                assert!(!directory.publish_new(b"part", b"name").unwrap());
                directory.publish(b"part", b"name").unwrap();
                assert_eq!(fs::read(outside.path().join("file")).unwrap(), b"theirs");
                assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
            }
        }
    };
}

#[cfg(unix)]
local_directory_tests!(unix, UnixDirectory);
local_directory_tests!(portable, PortableDirectory);

#[test]
fn times_before_1970_round_trip() {
    let file = tempfile::tempfile().unwrap();
    for time in [
        Time { seconds: 1_700_000_000, nanoseconds: 123_456_700 },
        Time { seconds: -2, nanoseconds: 500_000_000 },
        Time { seconds: -3, nanoseconds: 0 },
    ] {
        set_mtime(&file, time).unwrap();
        assert_eq!(mtime(&file.metadata().unwrap()), time);
    }
}
