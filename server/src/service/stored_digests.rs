//! The stored digests of many files, without reading any.

use super::{Download, Result, StepLimit, User};
use sshome_wire::{RemotePath, StoredFile};

/// A list of files whose stored digests are looked up, in steps.
#[derive(Debug)]
pub struct StoredDigests {
    directory: RemotePath,
    /// Paths relative to it, each with a NUL behind it.
    paths: Vec<u8>,
    /// Where the next path begins, in bytes.
    position: usize,
    /// The number of the next path.
    number: u32,
}

impl StoredDigests {
    /// Begins. Each of the paths, relative to `directory`, has a NUL behind it.
    ///
    /// # Errors
    /// If the login may only upload.
    pub fn begin(user: &User, directory: RemotePath, paths: Vec<u8>) -> Result<StoredDigests> {
        user.require_read()?;
        Ok(StoredDigests { directory, paths, position: 0, number: 0 })
    }

    /// Looks up the next files. Returns those that exist and can be read, and whether these were the last.
    pub fn step(&mut self, user: &User, limit: &StepLimit) -> (Vec<StoredFile>, bool) {
        let (mut found, mut looked) = (Vec::new(), 0);
        while !limit.is_reached(looked) {
            let rest = self.paths.get(self.position..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == 0) else { return (found, true) };
            let path = self.directory.join(rest.get(..length).unwrap_or_default());
            // A file that cannot be opened has no digest.
            let file = path.ok().and_then(|path| Download::open(user, &path).ok());
            found.extend(file.map(|file| {
                let info = file.info();
                StoredFile {
                    number: self.number,
                    size: info.size,
                    mtime: info.modified,
                    mode: info.mode,
                    digest: file.stored(),
                }
            }));
            self.position += length + 1;
            self.number = self.number.saturating_add(1);
            looked += 1;
        }
        (found, false)
    }
}
