//! What `help` says.

use super::command::{COMMANDS, Command};
use std::fmt::Write;

/// The help for all commands, a line each.
#[must_use]
pub fn overview() -> String {
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
pub fn help(command: &Command) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::command::Verb;
    use super::*;

    #[test]
    fn every_command_has_help() {
        for command in COMMANDS {
            assert!(!command.summary.is_empty() && !command.details.is_empty(), "{}", command.name);
            assert!(command.summary.len() <= 60, "{}: one line in a terminal", command.name);
            assert!(help(command).contains(command.summary));
            assert!(overview().contains(&command.synopsis()));
            assert!(command.flags.iter().all(|flag| !flag.help.is_empty()), "{}", command.name);
            assert!(command.operands.0 <= command.operands.1);
            assert_eq!(command.operands.1 > 0, command.completes.is_some() || command.verb == Verb::Shell);
        }
    }
}
