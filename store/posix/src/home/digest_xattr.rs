//! The digest of a published file, in an extended attribute (xattr).

use super::{Result, info};
use rustix::fd::AsFd;
use rustix::fs::{Mode, Stat, XattrFlags};
use rustix::io::Errno;
use sshome_store::FileInfo;
use sshome_wire::Digest;

const DIGEST_XATTR: &str = "user.sshome.blake3";

/// Length of the value: digest, size, seconds and nanoseconds of the mtime, each big-endian.
const VALUE_BYTES: usize = 32 + 8 + 8 + 4;

/// The digest of a file's content when it was published. It no longer applies if the file's size or mtime has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredDigest(Digest);

impl StoredDigest {
    /// Stores the digest of a complete file. `stat` is the file's, after its mtime was set.
    ///
    /// # Errors
    /// The kernel's. It is no error if the filesystem cannot store the attribute.
    pub(crate) fn write(file: impl AsFd, stat: &Stat, digest: Digest) -> Result<()> {
        let mut value = digest.0.to_vec();
        value.extend_from_slice(&facts(&info(stat)));
        match as_writable(&file, || rustix::fs::fsetxattr(&file, DIGEST_XATTR, &value, XattrFlags::empty())) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::DQUOT | Errno::PERM) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the digest of a file that is about to be written to. Its mtime need not show the write: clocks have a
    /// resolution, and users set times.
    ///
    /// # Errors
    /// The kernel's. It is no error if there is no digest.
    pub(crate) fn remove(file: impl AsFd) -> Result<()> {
        match as_writable(&file, || rustix::fs::fremovexattr(&file, DIGEST_XATTR)) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The stored digest; `None` if there is none, or the file was written to since.
    #[must_use]
    pub(crate) fn read(file: impl AsFd, info: &FileInfo) -> Option<Digest> {
        // One byte more, to detect a value that is too long.
        let mut value = [0; VALUE_BYTES + 1];
        let length = rustix::fs::fgetxattr(file, DIGEST_XATTR, &mut value[..]).ok()?;
        let (digest, rest) = value.get(..length)?.split_first_chunk::<32>()?;
        (rest == facts(info)).then_some(Digest(*digest))
    }
}

/// Changes an extended attribute of a file whose mode may deny that. A file that is created read-only can be written through
/// the handle that created it, but its attributes cannot be changed: it is made writable for its owner while `change`
/// runs.
fn as_writable(file: impl AsFd, change: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let refused = match change() {
        Err(error @ (Errno::ACCESS | Errno::PERM)) => error,
        result => return result,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&file)?.st_mode & 0o7777);
    if mode.contains(Mode::WUSR) || rustix::fs::fchmod(&file, mode | Mode::WUSR).is_err() {
        return Err(refused);
    }
    let changed = change();
    rustix::fs::fchmod(&file, mode)?;
    changed
}

fn facts(info: &FileInfo) -> [u8; 20] {
    let mut facts = [0; 20];
    let (size, time) = facts.split_at_mut(8);
    let (seconds, nanoseconds) = time.split_at_mut(8);
    size.copy_from_slice(&info.size.to_be_bytes());
    seconds.copy_from_slice(&info.modified.seconds.to_be_bytes());
    nanoseconds.copy_from_slice(&info.modified.nanoseconds.to_be_bytes());
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::OFlags;
    use std::io::Write;

    #[test]
    fn a_stored_digest_applies_until_the_file_is_written_to() {
        // /tmp has extended attributes on CI; without them, reading returns none.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        StoredDigest::write(&file, &stat, Digest([7; 32])).unwrap();
        let supported = rustix::fs::fgetxattr(&file, DIGEST_XATTR, &mut [0; 64][..]).is_ok();
        assert_eq!(StoredDigest::read(&file, &info(&stat)), supported.then_some(Digest([7; 32])));
        file.write_all(b"more").unwrap();
        assert_eq!(StoredDigest::read(&file, &info(&rustix::fs::fstat(&file).unwrap())), None);
    }

    #[test]
    fn the_digest_of_a_read_only_file_is_stored_through_a_writable_handle() {
        let dir = tempfile::tempdir().unwrap();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        for mode in [0o444, 0o400, 0o000] {
            let mode = Mode::from_raw_mode(mode);
            let file = rustix::fs::open(dir.path().join(format!("{mode:?}")), flags, mode).unwrap();
            StoredDigest::write(&file, &rustix::fs::fstat(&file).unwrap(), Digest([7; 32])).unwrap();
            StoredDigest::remove(&file).unwrap();
            StoredDigest::remove(&file).unwrap();
            let stat = rustix::fs::fstat(&file).unwrap();
            assert_eq!(Mode::from_raw_mode(stat.st_mode & 0o7777), mode);
            assert_eq!(StoredDigest::read(&file, &info(&stat)), None);
        }
    }
}
