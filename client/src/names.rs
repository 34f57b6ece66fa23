//! Names of local files: bytes to this program, paths to the system, and text to people.

use sshome_wire::display::Escaped;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The path of these bytes; `None` if the system's paths are not bytes and these are not UTF-8.
#[must_use]
pub fn path(bytes: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    let path = Some(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes).into());
    #[cfg(not(unix))]
    let path = std::str::from_utf8(bytes).ok().map(PathBuf::from);
    path
}

/// The bytes of a name; as UTF-8 if the system's names are not bytes.
#[must_use]
pub fn bytes(name: &OsStr) -> Vec<u8> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec();
    #[cfg(not(unix))]
    let bytes = name.to_string_lossy().into_owned().into_bytes();
    bytes
}

/// A path, safe to show.
#[must_use]
pub fn shown(path: &Path) -> String {
    Escaped(&bytes(path.as_os_str())).to_string()
}
