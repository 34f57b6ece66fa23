//! What this process may do in the directory of a home.

use super::{Error, STAGING_DIRECTORY};
use crate::permission;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// The error of accessing a home's directory or its staging folder; `None` if this process has that access.
pub(super) fn lacking(root: &Path, access: fs::Access) -> Option<Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Err(error) = fs::open(root, flags, Mode::empty()) {
        return Some(error);
    }
    let staging = root.join(STAGING_DIRECTORY);
    let denied = |path: &Path| fs::accessat(CWD, path, access, AtFlags::EACCESS).err();
    let is_there = |error: &Errno| *error != Errno::NOENT;
    let opened = || fs::open(&staging, flags | OFlags::NOFOLLOW, Mode::empty()).err().filter(is_there);
    denied(root).or_else(opened).or_else(|| denied(&staging).filter(is_there))
}

/// Why the home at `root` cannot be used, with the remedy.
pub(super) fn reason(root: &Path, access: fs::Access, error: Error) -> String {
    let Error::Os(errno) = error else { return error.to_string() };
    let staging = root.join(STAGING_DIRECTORY);
    // A missing directory would be created in its closest existing parent.
    let path = root.ancestors().find(|path| path.exists()).unwrap_or(root);
    let is_sound = permission::obstacle(path, access, "").is_none();
    let path = if is_sound && staging.exists() { &staging } else { path };
    let why = permission::explained(path, access, errno);
    match errno {
        Errno::NOENT | Errno::NOTDIR => {
            format!("{why}; mount or create it: the server creates only homes/NAME")
        }
        _ => why,
    }
}
