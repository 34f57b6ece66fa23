//! Text of others as messages show it.

use sshome_wire::display::Escaped;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path, escaped so that it is harmless on a terminal.
pub(crate) fn shown(path: &Path) -> impl fmt::Display {
    Escaped(path.as_os_str().as_bytes()).to_string()
}
