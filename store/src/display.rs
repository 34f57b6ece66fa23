//! Paths in messages.

use sshome_wire::display::Escaped;
use std::path::Path;

/// A path of the server's own disk, escaped for a terminal.
#[must_use]
pub fn shown(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}
