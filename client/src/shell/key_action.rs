//! The actions of `key`.

use super::command::{CommandError, CommandSpec};
use super::words::Word;

/// The actions of `key`.
pub(super) const KEY_ACTIONS: [&str; 3] = ["install", "list", "remove"];

/// An action of `key`.
pub(super) enum KeyAction<'a> {
    /// Install the keys of these files; without files, the usual keys.
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
    /// If they name none, or the action does not take the other operands.
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
