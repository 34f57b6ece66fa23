//! A row of the command table: name, operands, options and help.

use super::flag::Flag;
use super::suggestion;
use sshome_wire::display::Escaped;
use std::fmt::Write;

/// More options without a letter than this are not listed in a synopsis.
const MAX_WORDS_IN_SYNOPSIS: usize = 3;

/// The action of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table says it
pub enum Verb {
    Bookmark,
    Cat,
    Cd,
    Check,
    Chmod,
    Cp,
    Df,
    Du,
    Edit,
    Exit,
    Fg,
    Find,
    Flush,
    Get,
    Hash,
    Help,
    Jobs,
    Key,
    Kill,
    Lcd,
    Less,
    Lls,
    Lmkdir,
    Ln,
    Lpwd,
    Ls,
    Mkdir,
    Mv,
    Progress,
    Pull,
    Push,
    Put,
    Pwd,
    Rename,
    Rm,
    Rmdir,
    Shell,
    Stat,
    Symlink,
    Tree,
    Version,
}

/// What an operand names, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A path on the server.
    Remote,
    /// A directory on the server.
    RemoteDirectory,
    /// A local path.
    Local,
    /// A local directory.
    LocalDirectory,
    /// A command.
    Command,
    /// An action of `bookmark`.
    BookmarkAction,
    /// An action of `key`.
    KeyAction,
    /// Permission bits.
    Mode,
    /// A background job.
    Job,
}

impl Operand {
    /// Whether it names something local.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Operand::Local | Operand::LocalDirectory)
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct CommandSpec {
    /// Its action.
    pub verb: Verb,
    /// Its name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its operands as help shows them.
    pub usage: &'static str,
    /// The smallest and the largest number of operands.
    pub operands: (usize, usize),
    /// The kinds of the first operand and of all others.
    pub completes: Option<(Operand, Operand)>,
    /// Its options.
    pub flags: &'static [Flag],
    /// Its description, in one line.
    pub summary: &'static str,
    /// Further help.
    pub details: &'static str,
}

/// Why words are not a valid command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command is unknown.
    #[error("unknown command {name}: {advice}")]
    Unknown {
        /// Its name, safe to show.
        name: String,
        /// What to do.
        advice: String,
    },
    /// It is a command of sftp that is not supported.
    #[error("{command} is not supported: {instead}")]
    Unsupported {
        /// The command.
        command: &'static str,
        /// The alternative.
        instead: &'static str,
    },
    /// The command has no such option.
    #[error("{command}: unknown option {flag}: {advice}")]
    Flag {
        /// The command.
        command: &'static str,
        /// The option as given.
        flag: String,
        /// A similar option, or its usage.
        advice: String,
    },
    /// The value of an option is invalid or missing.
    #[error("{command}: {flag} {problem}")]
    Value {
        /// The command.
        command: &'static str,
        /// The option.
        flag: String,
        /// What it wants.
        problem: String,
    },
    /// It cannot be used with standard input or output.
    #[error("{command} -: {why}")]
    Stream {
        /// The command.
        command: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Too few or too many operands.
    #[error("{command}: {problem}; usage: {usage}")]
    Operands {
        /// The command.
        command: &'static str,
        /// What is wrong with them.
        problem: &'static str,
        /// Its usage.
        usage: String,
    },
}

impl CommandError {
    /// The command of this name is unknown. A similar one is suggested.
    pub(super) fn unknown(name: &[u8]) -> CommandError {
        let advice = match suggestion::command(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "try \"help\"".to_owned(),
        };
        CommandError::Unknown { name: Escaped(name).to_string(), advice }
    }
}

impl CommandSpec {
    /// The name, its options and its operands, as help shows them.
    #[must_use]
    pub fn synopsis(&self) -> String {
        let mut out = self.name.to_owned();
        let (alone, valued): (Vec<&Flag>, Vec<&Flag>) =
            self.flags.iter().partition(|flag| flag.value.is_none());
        let letters: String = alone.iter().map(|flag| flag.short).filter(|c| !c.is_control()).collect();
        // Here and below, writing into a String cannot fail.
        if !letters.is_empty() {
            let _ = write!(out, " [-{letters}]");
        }
        let lettered = valued.iter().filter(|flag| !flag.short.is_control());
        for (letter, value) in lettered.filter_map(|flag| Some((flag.short, flag.value.as_ref()?))) {
            let _ = write!(out, " [-{letter} {}]", value.name);
        }
        let words = || self.flags.iter().filter(|flag| flag.short.is_control());
        if words().count() > MAX_WORDS_IN_SYNOPSIS {
            out.push_str(" [--OPTION…]");
        }
        for flag in words().filter(|_| words().count() <= MAX_WORDS_IN_SYNOPSIS) {
            let value = flag.value.as_ref().map(|value| format!(" {}", value.name)).unwrap_or_default();
            let _ = write!(out, " [--{}{value}]", flag.long);
        }
        if !self.usage.is_empty() {
            let _ = write!(out, " {}", self.usage);
        }
        out
    }

    /// How an option is spelled.
    #[must_use]
    pub fn flag(&self, short: char) -> Option<String> {
        let flag = self.flags.iter().find(|flag| flag.short == short)?;
        Some(if flag.long.is_empty() { format!("-{short}") } else { format!("--{}", flag.long) })
    }
}
