//! Escapes untrusted text for messages.

use sshome_wire::display::Escaped;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path, escaped for a terminal.
#[must_use]
pub fn shown(path: &Path) -> impl fmt::Display {
    Escaped(path.as_os_str().as_bytes()).to_string()
}
