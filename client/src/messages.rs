//! Messages on standard error, each under the program's name.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Prints a warning or a notice, which does not change how the program ends.
pub fn warn(message: impl Display) {
    print(message);
}

/// Prints why a command, or the program, failed.
pub fn print_error(message: impl Display) {
    print(message);
}

fn print(message: impl Display) {
    // If standard error is closed, only the message is lost.
    let _ = writeln!(std::io::stderr(), "sshome: {message}");
}

/// Ends the line in which the terminal has shown a Ctrl-C, so that the next message begins a line.
pub fn end_line() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A terminal that is gone shows nothing.
        let _ = writeln!(stderr);
    }
}
