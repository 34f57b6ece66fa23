//! The actions of `key`.

use super::command::{CommandError, CommandSpec};
use super::words::Word;

/// What `key` can be told to do.
pub(super) const ACTIONS: [&str; 3] = ["install", "list", "remove"];

/// What `key` was told to do.
pub(super) enum KeyAction<'a> {
    /// Install the keys of these files; those that are usual where there are none.
    Install(&'a [Word]),
    /// List the keys.
    List,
    /// Remove these: fingerprints, or files.
    Remove(&'a [Word]),
}

impl KeyAction<'_> {
    /// The action that the operands name.
    ///
    /// # Errors
    /// If they name none, or it does not take what follows.
    pub(super) fn of<'a>(
        command: &'static CommandSpec,
        operands: &'a [Word],
    ) -> Result<KeyAction<'a>, CommandError> {
        let problem = match operands.split_first() {
            Some((action, rest)) => match (action.bytes().as_slice(), rest) {
                (b"install", files) => return Ok(KeyAction::Install(files)),
                (b"list", []) => return Ok(KeyAction::List),
                (b"list", _) => "too many arguments",
                (b"remove", []) => "missing argument",
                (b"remove", which) => return Ok(KeyAction::Remove(which)),
                _ => "unknown action",
            },
            None => "missing argument",
        };
        Err(CommandError::Operands { command: command.name, problem, usage: command.synopsis() })
    }
}
