//! A command with its options and operands, as it was typed.

use super::command::{CommandError, CommandSpec};
use super::flag::Flag;
use super::words::Word;

/// A command as it was typed.
#[derive(Debug)]
pub struct Invocation {
    /// The row of the table.
    pub command: &'static CommandSpec,
    flags: Vec<char>,
    /// What was given to those that take something.
    values: Vec<(char, String)>,
    /// What was given to it.
    pub operands: Vec<Word>,
}

impl Invocation {
    /// A command without options and operands.
    pub(super) fn new(command: &'static CommandSpec) -> Invocation {
        Invocation { command, flags: Vec::new(), values: Vec::new(), operands: Vec::new() }
    }

    /// Whether the option was given.
    #[must_use]
    pub fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    /// What was given to an option, the last time.
    #[must_use]
    pub fn value(&self, flag: char) -> Option<&str> {
        self.values.iter().rfind(|(given, _)| *given == flag).map(|(_, value)| value.as_str())
    }

    /// The options in the order in which they were given.
    #[must_use]
    pub fn flags(&self) -> &[char] {
        &self.flags
    }

    /// Adds an option, with what was written behind it in the same word or is the next one.
    pub(super) fn add<'a>(
        &mut self,
        flag: &Flag,
        value: Option<Vec<u8>>,
        words: &mut impl Iterator<Item = &'a Word>,
    ) -> Result<(), CommandError> {
        self.flags.push(flag.short);
        let Some(wanted) = &flag.value else { return Ok(()) };
        let refused =
            |problem| CommandError::Value { command: self.command.name, flag: flag.spellings(), problem };
        let Some(value) = value.or_else(|| words.next().map(Word::bytes)) else {
            return Err(refused(format!("{} is missing", wanted.name)));
        };
        let value = String::from_utf8(value).map_err(|_| refused("that is no text".to_owned()))?;
        (wanted.check)(&value).map_err(refused)?;
        self.values.push((flag.short, value));
        Ok(())
    }
}
