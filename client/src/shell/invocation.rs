//! A command with its options and operands.

use super::command::{CommandError, CommandSpec};
use super::flag::{DELTA_LETTER, Flag};
use super::words::Word;
use crate::transfer::Delta;
use sshome_wire::display::Escaped;

/// A parsed command.
#[derive(Debug)]
pub struct Invocation {
    /// Its row of the table.
    pub command: &'static CommandSpec,
    flags: Vec<char>,
    /// The values of its options.
    values: Vec<(char, String)>,
    /// Its operands.
    pub operands: Vec<Word>,
}

impl Invocation {
    /// A command without options and operands.
    pub(super) fn new(command: &'static CommandSpec) -> Invocation {
        Invocation { command, flags: Vec::new(), values: Vec::new(), operands: Vec::new() }
    }

    /// The request for the help of a command.
    pub(super) fn help_for(command: &'static CommandSpec) -> Invocation {
        let help = CommandSpec::find(b"help").unwrap_or(command);
        Invocation { operands: vec![Word::literal(command.name.as_bytes())], ..Invocation::new(help) }
    }

    /// Whether the option was given.
    #[must_use]
    pub fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    /// The last value of an option.
    #[must_use]
    pub fn value(&self, flag: char) -> Option<&str> {
        self.values.iter().rfind(|(given, _)| *given == flag).map(|(_, value)| value.as_str())
    }

    /// The value of `--delta`.
    pub(super) fn delta(&self) -> Delta {
        // Invalid values were refused when the line was parsed.
        self.value(DELTA_LETTER).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// All values of options in the given order.
    pub(super) fn values(&self) -> impl Iterator<Item = (char, &str)> {
        self.values.iter().map(|(flag, value)| (*flag, value.as_str()))
    }

    /// The options in the given order.
    #[must_use]
    pub fn flags(&self) -> &[char] {
        &self.flags
    }

    /// Adds an option. Its value is the rest of its word, or the next word.
    pub(super) fn add<'a>(
        &mut self,
        flag: &Flag,
        value: Option<Vec<u8>>,
        words: &mut impl Iterator<Item = &'a Word>,
    ) -> Result<(), CommandError> {
        self.flags.push(flag.short);
        let Some(wanted) = &flag.value else { return Ok(()) };
        let refused =
            |problem| CommandError::Value { command: self.command.name, flag: flag.name(), problem };
        let Some(value) = value.or_else(|| words.next().map(Word::bytes)) else {
            return Err(refused(format!("wants a value: {} is missing", wanted.name)));
        };
        let not = |wants: &str, value: &[u8]| refused(format!("{wants}, not {}", Escaped(value)));
        let value = String::from_utf8(value).map_err(|error| not("wants UTF-8", error.as_bytes()))?;
        (wanted.check)(&value).map_err(|wants| match value.is_empty() {
            true => refused(wants),
            false => not(&wants, value.as_bytes()),
        })?;
        self.values.push((flag.short, value));
        Ok(())
    }
}
