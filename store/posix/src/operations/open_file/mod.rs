//! Files that are read and written at offsets.

mod atomic_upload;
mod in_place;
mod io;
mod old_content;

use super::{PosixHome, StoreResult, check_counted};
use atomic_upload::AtomicUpload;
use in_place::InPlaceFile;
use sshome_store::{FileHandle, OpenMode};
use sshome_wire::RemotePath;

/// See [`Home::open_file`](sshome_store::Home::open_file).
pub(crate) fn open_file(
    home: &PosixHome,
    path: &RemotePath,
    mode: OpenMode,
    staged: bool,
) -> StoreResult<Box<dyn FileHandle>> {
    if mode.changes() {
        check_counted(home, path)?;
    }
    Ok(match staged {
        true => Box::new(AtomicUpload::open(home, path, mode)?),
        false => Box::new(InPlaceFile::open(home, path, mode)?),
    })
}
