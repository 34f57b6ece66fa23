//! A command with its options and operands, as it was typed.

use super::command::{Command, CommandError, Flag, PARTIAL, Verb};
use super::key::Action;
use super::stream;
use super::words::Word;

/// A command as it was typed.
#[derive(Debug)]
pub struct Invocation {
    /// The row of the table.
    pub command: &'static Command,
    flags: Vec<char>,
    /// What was given to those that take something.
    values: Vec<(char, String)>,
    /// What was given to it.
    pub operands: Vec<Word>,
}

impl Invocation {
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
    fn add<'a>(
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

impl Command {
    /// Reads the options and operands that follow the name.
    ///
    /// # Errors
    /// If an option is unknown, or there are too few or too many operands.
    pub fn parse(&'static self, words: &[Word]) -> Result<Invocation, CommandError> {
        let (flags, values, operands) = (Vec::new(), Vec::new(), Vec::new());
        let mut invocation = Invocation { command: self, flags, values, operands };
        let mut only_operands = false;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            // A dash that was quoted still begins an option, as everywhere; `--` ends them.
            match word.bytes().as_slice() {
                b"--" if !only_operands => only_operands = true,
                [b'-', b'-', long @ ..] if !only_operands => {
                    let (long, value) = match long.iter().position(|byte| *byte == b'=') {
                        Some(at) => (long.get(..at).unwrap_or_default(), long.get(at + 1..)),
                        None => (long, None),
                    };
                    let flag = self.flags.iter().find(|flag| flag.is_word(long));
                    let flag = flag.filter(|flag| value.is_none() || flag.value.is_some());
                    let flag = flag.ok_or_else(|| self.no_flag(word))?;
                    invocation.add(flag, value.map(<[u8]>::to_vec), &mut words)?;
                }
                [b'-', short @ ..] if !only_operands && !short.is_empty() => {
                    let mut rest = short;
                    while let [letter, behind @ ..] = rest {
                        let letter = char::from(*letter);
                        let flag = self.flags.iter().find(|flag| flag.is_letter(letter));
                        let flag = flag.ok_or_else(|| self.no_flag(word))?;
                        let takes = flag.value.is_some() && !behind.is_empty();
                        invocation.add(flag, takes.then(|| behind.to_vec()), &mut words)?;
                        rest = if takes { &[] } else { behind };
                    }
                }
                _ => invocation.operands.push(word.clone()),
            }
        }
        // Without names all parts are meant.
        let least = if invocation.has(PARTIAL) { 0 } else { self.operands.0 };
        let problem = match invocation.operands.len() {
            given if given < least => "something is missing",
            given if given > self.operands.1 => "that is too much",
            _ => {
                if self.verb == Verb::Key {
                    Action::of(self, &invocation.operands)?;
                }
                return stream::check(&invocation).map(|()| invocation);
            }
        };
        Err(CommandError::Operands { command: self.name, problem, usage: self.synopsis() })
    }

    fn no_flag(&self, word: &Word) -> CommandError {
        CommandError::Flag {
            command: self.name,
            flag: sshome_wire::display::Escaped(&word.bytes()).to_string(),
            usage: self.synopsis(),
        }
    }
}
