//! Replaces a file atomically.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Replaces the content of `file`, with the same mode and owner. Readers see the old or the new content, even after a
/// power cut. `folder` is the file's directory, which the caller has locked.
pub(super) fn replace(file: &Path, folder: &File, content: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".new");
    let new = file.with_file_name(name);
    // Under the lock, an existing file is a leftover of a crash.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let result = write(&new, &fs::metadata(file)?, content).and_then(|()| fs::rename(&new, file));
    if let Err(error) = result {
        // Ignored: the first error is the one to report, and the next edit removes a leftover.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    folder.sync_all()
}

/// Writes a new file to the disk, with another's mode and owner.
fn write(new: &Path, old: &fs::Metadata, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())?;
    file.write_all(content)?;
    file.sync_all()
}
