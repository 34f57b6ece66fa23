//! Replacing a file by one rename.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Puts `content` in place of what `file` holds, with the mode and the owner of before. Readers
/// see the old content or the new, also after a power cut. `folder` is the file's, and locked by
/// the caller.
pub(super) fn replace(file: &Path, folder: &File, content: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".new");
    let new = file.with_file_name(name);
    // Under the lock, one that is there already is what a crash has left.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let result = write(&new, &fs::metadata(file)?, content).and_then(|()| fs::rename(&new, file));
    if let Err(error) = result {
        // What matters is the first error; a leftover goes with the next edit.
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
