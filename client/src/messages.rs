//! What the program says besides its results: on standard error, under its name.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Says something. Where nobody can hear it, it is lost, and nothing else is.
pub fn tell(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "sshome: {message}");
}

/// Ends the line in which the terminal has shown a Ctrl-C, so that a message begins a line of its own.
pub fn end_line() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A terminal that is gone shows nothing.
        let _ = writeln!(stderr);
    }
}
