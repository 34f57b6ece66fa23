//! How many descriptors this process has open, and may have.

use rustix::fs::{Dir, Mode, OFlags};
use rustix::process::{Resource, getrlimit};
use std::sync::{Mutex, PoisonError};

/// Counts the descriptors of this process. Landlock keeps a confined server out of /proc, so the folder is opened
/// before.
#[derive(Debug, Default)]
pub struct OpenDescriptors(Option<Mutex<Dir>>);

impl OpenDescriptors {
    /// Call it before the server confines itself. Without /proc, nothing is counted.
    #[must_use]
    pub fn begin() -> OpenDescriptors {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open("/proc/self/fd", flags, Mode::empty()).and_then(Dir::new);
        OpenDescriptors(folder.ok().map(Mutex::new))
    }

    /// The number of open descriptors; `None` if they cannot be counted.
    #[must_use]
    pub fn open(&self) -> Option<u64> {
        let mut folder = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        folder.rewind();
        // The entries "." and "..".
        let entries = folder.by_ref().map_while(Result::ok).count() as u64;
        entries.checked_sub(2)
    }

    /// The maximum number; `None` for no limit.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_files_are_counted() {
        let descriptors = OpenDescriptors::begin();
        let before = descriptors.open().unwrap();
        let files: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close descriptors meanwhile.
        assert!(descriptors.open().unwrap() + 50 > before + files.len() as u64);
        assert!(descriptors.limit().is_none_or(|limit| limit > before));
    }
}
