//! Paths and numbers in messages.

use sshome_wire::display::Escaped;
use std::path::Path;

/// A path of the server's own disk, escaped for a terminal.
#[must_use]
pub fn shown(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

/// A number of entries: `1 entry`, `2 entries`.
#[must_use]
pub fn entries(count: u64) -> String {
    let unit = if count == 1 { "entry" } else { "entries" };
    format!("{count} {unit}")
}
