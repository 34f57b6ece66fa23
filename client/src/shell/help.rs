//! What `help` says.

use super::command::{COMMANDS, Command};
use std::fmt::Write;

/// The help for all commands, a line each.
#[must_use]
pub(super) fn overview() -> String {
    let mut out = String::new();
    let width = COMMANDS.iter().map(|command| command.synopsis().chars().count()).max().unwrap_or(0);
    for command in COMMANDS {
        let _ = writeln!(out, "{:width$}  {}", command.synopsis(), command.summary);
    }
    out.push_str("\nhelp COMMAND tells more. Names are quoted as in a shell; *, ? and [a-z] match names.\n");
    out
}

/// The help for one command.
#[must_use]
pub(super) fn help(command: &Command) -> String {
    let mut out = format!("{}\n    {}\n", command.synopsis(), command.summary);
    for flag in command.flags {
        let _ = writeln!(out, "    {:19}  {}", flag.spellings(), flag.help);
    }
    for line in command.details.lines() {
        let _ = writeln!(out, "    {line}");
    }
    if !command.aliases.is_empty() {
        let _ = writeln!(out, "    Also: {}", command.aliases.join(", "));
    }
    out
}
