//! The files that restricted keys have made lately: for a while, a key may still rename them, set their times, and remove
//! those with temporary names. Programs upload under a temporary name and rename over a different connection, so these
//! rights belong to the key. A restart of the server ends them.

use sshome_store::FileInfo;
use sshome_store::quota::FileId;
use sshome_wire::{RemotePath, Time};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a key may rename and touch a file that it has made.
const FINISH_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The largest number of files of one key. An older one can no longer be changed.
const MAX_FILES: usize = 4096;

/// The recent files of all keys. A key without any has no entry.
#[derive(Debug, Default)]
pub(crate) struct RecentFiles(Mutex<HashMap<KeyId, KeyRecentFiles>>);

/// A user, and the fingerprint of a key.
type KeyId = (String, String);

/// The recent files of one key.
#[derive(Debug, Default)]
pub(crate) struct KeyRecentFiles {
    files: HashMap<FileId, RecentFile>,
    /// The oldest first.
    order: VecDeque<(Instant, FileId)>,
    /// The uploads that the key has begun, which it may resume: target, size and time of the source. The newest first.
    uploads: VecDeque<(RemotePath, u64, Time)>,
}

#[derive(Debug)]
struct RecentFile {
    since: Instant,
    kind: RecentKind,
}

#[derive(Debug)]
enum RecentKind {
    File(FileRights),
    /// A directory, with its canonical path: its times change with each name in it.
    Directory(RemotePath),
}

/// What may still be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRights {
    /// `FileInfo::changed` after the key's last change. If it differs, somebody else has changed the file, or a new file has
    /// its inode.
    changed: Time,
    /// Whether it may be renamed.
    pub(crate) rename: bool,
    /// Whether it may be removed: it still has the temporary name that it was made with.
    pub(crate) remove: bool,
}

impl RecentFiles {
    /// Calls `with` with the recent files of a user's key, locked. It must neither block nor call a store.
    pub(crate) fn with<T>(&self, user: &str, key: String, with: impl FnOnce(&mut KeyRecentFiles) -> T) -> T {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (user.to_owned(), key);
        let (mut recent, is_new) = match keys.remove(&id) {
            Some(recent) => (recent, false),
            None => (KeyRecentFiles::default(), true),
        };
        let result = with(&mut recent);
        if !recent.is_empty() {
            if is_new {
                let now = Instant::now();
                keys.retain(|_, recent| {
                    recent.forget(now);
                    !recent.is_empty()
                });
            }
            keys.insert(id, recent);
        }
        result
    }
}

impl KeyRecentFiles {
    /// Adds a new file. `temporary` says whether its name is a temporary one.
    pub(crate) fn add_file(&mut self, info: &FileInfo, temporary: bool, now: Instant) {
        let rights = FileRights { changed: info.changed, rename: true, remove: temporary };
        self.add(info.id, RecentKind::File(rights), now);
    }

    /// Adds a new directory with its canonical path.
    pub(crate) fn add_directory(&mut self, id: FileId, path: RemotePath, now: Instant) {
        self.add(id, RecentKind::Directory(path), now);
    }

    fn add(&mut self, id: FileId, kind: RecentKind, now: Instant) {
        self.forget(now);
        if self.order.len() >= MAX_FILES {
            self.forget_oldest();
        }
        self.files.insert(id, RecentFile { since: now, kind });
        self.order.push_back((now, id));
    }

    /// Forgets the files that are no longer recent.
    fn forget(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= FINISH_WITHIN)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        // A newer file may have its inode.
        if let Some((since, oldest)) = self.order.pop_front()
            && self.files.get(&oldest).is_some_and(|file| file.since == since)
        {
            self.files.remove(&oldest);
        }
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty() && self.uploads.is_empty()
    }

    /// What may be done with this file; `None` for a directory, and for a file that the key has not made lately.
    pub(crate) fn file(&self, info: &FileInfo, now: Instant) -> Option<FileRights> {
        match &self.recent(info, now)?.kind {
            RecentKind::File(rights) if rights.changed == info.changed => Some(*rights),
            _ => None,
        }
    }

    /// Whether the key has made this directory lately. `path` is its canonical path.
    pub(crate) fn is_directory(&self, info: &FileInfo, path: &RemotePath, now: Instant) -> bool {
        let recent = self.recent(info, now);
        recent.is_some_and(|recent| matches!(&recent.kind, RecentKind::Directory(made) if made == path))
    }

    /// Notes that the key has begun an upload.
    pub(crate) fn add_upload(&mut self, path: RemotePath, size: u64, mtime: Time) {
        let upload = (path, size, mtime);
        if !self.uploads.contains(&upload) {
            self.uploads.truncate(MAX_FILES - 1);
            self.uploads.push_front(upload);
        }
    }

    /// Whether the key has begun this upload, so that its partial upload is not another key's.
    pub(crate) fn has_upload(&self, path: &RemotePath, size: u64, mtime: Time) -> bool {
        self.uploads.iter().any(|upload| (&upload.0, upload.1, upload.2) == (path, size, mtime))
    }

    fn recent(&self, info: &FileInfo, now: Instant) -> Option<&RecentFile> {
        self.files.get(&info.id).filter(|file| now.saturating_duration_since(file.since) < FINISH_WITHIN)
    }

    /// Records that the key has changed one of its files, which has these attributes now. A renamed file can no longer
    /// be renamed or removed.
    pub(crate) fn changed(&mut self, info: &FileInfo, renamed: bool) {
        if let Some(RecentFile { kind: RecentKind::File(rights), .. }) = self.files.get_mut(&info.id) {
            rights.changed = info.changed;
            rights.rename &= !renamed;
            rights.remove &= !renamed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_store::FileType;

    fn info(inode: u64, changed: i64) -> FileInfo {
        let time = Time { seconds: changed, nanoseconds: 0 };
        FileInfo {
            id: FileId { device: 1, inode },
            file_type: FileType::Regular,
            mode: 0o644,
            links: 1,
            owner: 1,
            group: 1,
            size: 0,
            accessed: time,
            modified: time,
            changed: time,
        }
    }

    #[test]
    fn a_file_may_be_renamed_once_and_removed_under_its_first_name() {
        let (mut recent, now) = (KeyRecentFiles::default(), Instant::now());
        recent.add_file(&info(1, 5), true, now);
        recent.add_file(&info(2, 5), false, now);
        fn rights(recent: &KeyRecentFiles, info: &FileInfo, now: Instant) -> Option<(bool, bool)> {
            recent.file(info, now).map(|file| (file.rename, file.remove))
        }
        assert_eq!(rights(&recent, &info(1, 5), now), Some((true, true)));
        assert_eq!(rights(&recent, &info(2, 5), now), Some((true, false)));
        recent.changed(&info(1, 6), false);
        assert_eq!(rights(&recent, &info(1, 6), now), Some((true, true)));
        recent.changed(&info(1, 7), true);
        assert_eq!(rights(&recent, &info(1, 7), now), Some((false, false)));
        assert_eq!(rights(&recent, &info(3, 5), now), None);
    }

    #[test]
    fn a_changed_file_or_a_reused_inode_does_not_belong_to_the_key() {
        let (mut recent, now) = (KeyRecentFiles::default(), Instant::now());
        recent.add_file(&info(1, 5), true, now);
        assert!(recent.file(&info(1, 6), now).is_none());
        let path = RemotePath::root();
        recent.add_directory(info(2, 5).id, path.clone(), now);
        assert!(recent.is_directory(&info(2, 9), &path, now));
        assert!(!recent.is_directory(&info(2, 9), &path.join(b"other").unwrap(), now));
        assert!(recent.file(&info(2, 5), now).is_none());
    }

    #[test]
    fn files_are_forgotten_after_some_time_or_when_there_are_too_many() {
        let (mut recent, now) = (KeyRecentFiles::default(), Instant::now());
        recent.add_file(&info(1, 5), true, now);
        assert!(recent.file(&info(1, 5), now + FINISH_WITHIN - Duration::from_secs(1)).is_some());
        assert!(recent.file(&info(1, 5), now + FINISH_WITHIN).is_none());
        for inode in 2..2 + MAX_FILES as u64 {
            recent.add_file(&info(inode, 5), true, now);
        }
        assert!(recent.file(&info(1, 5), now).is_none() && recent.file(&info(2, 5), now).is_some());
        assert_eq!((recent.files.len(), recent.order.len()), (MAX_FILES, MAX_FILES));
        recent.add_file(&info(1, 5), true, now + FINISH_WITHIN);
        assert_eq!((recent.files.len(), recent.order.len()), (1, 1));
    }

    #[test]
    fn a_key_without_recent_files_takes_no_memory() {
        let (all, now) = (RecentFiles::default(), Instant::now());
        let of = |key: &str| key.to_owned();
        assert!(all.with("ann", of("k"), |recent| recent.file(&info(1, 5), now)).is_none());
        assert!(all.0.lock().unwrap().is_empty());
        all.with("ann", of("k"), |recent| recent.add_file(&info(1, 5), true, now));
        assert!(all.with("ann", of("other"), |recent| recent.file(&info(1, 5), now)).is_none());
        assert!(all.with("bob", of("k"), |recent| recent.file(&info(1, 5), now)).is_none());
        assert!(all.with("ann", of("k"), |recent| recent.file(&info(1, 5), now)).is_some());
        assert_eq!(all.0.lock().unwrap().len(), 1);
        // Those of other keys are forgotten after a while, but not what they may resume.
        let before = now.checked_sub(FINISH_WITHIN).unwrap();
        all.with("bob", of("k"), |recent| recent.add_file(&info(2, 5), true, before));
        let time = Time { seconds: 1, nanoseconds: 0 };
        all.with("bob", of("resumes"), |recent| recent.add_upload(RemotePath::root(), 1, time));
        let keys: Vec<_> = all.0.lock().unwrap().keys().map(|(_, key)| key.clone()).collect();
        assert!(keys.len() == 2 && keys.contains(&of("resumes")), "{keys:?}");
    }
}
