//! What the program says besides its results: on standard error, under its name.

use std::fmt::Display;
use std::io::Write;

/// Says something. Where nobody can hear it, it is lost, and nothing else is.
pub fn tell(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "sshome: {message}");
}

/// Ends the line in which the terminal has shown a Ctrl-C.
pub(crate) fn end_line() {
    let _ = writeln!(std::io::stderr());
}
