//! The commands: one table that drives parsing, help and completion.

use super::words::Word;
use std::fmt::Write;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table says it
pub enum Verb {
    Cd,
    Cp,
    Df,
    Exit,
    Get,
    Hash,
    Help,
    Key,
    Lcd,
    Lls,
    Lmkdir,
    Ln,
    Lpwd,
    Ls,
    Mkdir,
    Mv,
    Progress,
    Put,
    Pwd,
    Rename,
    Rm,
    Rmdir,
    Shell,
    Stat,
    Symlink,
    Sync,
    Version,
}

/// What an operand names, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A path on the server.
    Remote,
    /// A directory on the server.
    RemoteDirectory,
    /// A path here.
    Local,
    /// A directory here.
    LocalDirectory,
    /// A command.
    Command,
    /// What `key` is to do.
    KeyAction,
}

impl Operand {
    /// Whether it names something on this side.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Operand::Local | Operand::LocalDirectory)
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Command {
    /// What it does.
    pub verb: Verb,
    /// What a person types.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its operands as help shows them.
    pub usage: &'static str,
    /// How many operands there must be at least, and may be at most.
    pub operands: (usize, usize),
    /// What the first operand is, and what all the others are.
    pub completes: Option<(Operand, Operand)>,
    /// Its options.
    pub flags: &'static [Flag],
    /// One line.
    pub summary: &'static str,
    /// What else there is to know.
    pub details: &'static str,
}

/// Why words are no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such command.
    #[error("unknown command {0}: try \"help\"")]
    Unknown(String),
    /// It is one of sftp's that there is not.
    #[error("there is no {command} here: {instead}")]
    Unsupported {
        /// The command.
        command: &'static str,
        /// What there is instead.
        instead: &'static str,
    },
    /// The command has no such option.
    #[error("{command} has no option {flag}: it is \"{usage}\"")]
    Flag {
        /// The command.
        command: &'static str,
        /// What was given.
        flag: String,
        /// How it is used.
        usage: String,
    },
    /// What follows an option is not what has to follow it.
    #[error("{flag} of {command}: {problem}")]
    Value {
        /// The command.
        command: &'static str,
        /// The option.
        flag: String,
        /// What is wrong.
        problem: String,
    },
    /// It is not for standard input or output.
    #[error("{command} -: {why}")]
    Stream {
        /// The command.
        command: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Too few or too many operands.
    #[error("{problem} for {command}: it is \"{usage}\"")]
    Operands {
        /// The command.
        command: &'static str,
        /// What is wrong with them.
        problem: &'static str,
        /// How it is used.
        usage: String,
    },
}

impl Command {
    /// The row of a name, in capitals or not, as in sftp.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<&'static Command> {
        let is = |word: &str| word.as_bytes().eq_ignore_ascii_case(name);
        COMMANDS.iter().find(|command| is(command.name) || command.aliases.iter().any(|alias| is(alias)))
    }

    /// The name, its options and its operands, as help shows them.
    #[must_use]
    pub fn synopsis(&self) -> String {
        let mut out = self.name.to_owned();
        let (alone, valued): (Vec<&Flag>, Vec<&Flag>) =
            self.flags.iter().partition(|flag| flag.value.is_none());
        let letters: String = alone.iter().map(|flag| flag.short).filter(|c| !c.is_control()).collect();
        // Writing into a String cannot fail.
        if !letters.is_empty() {
            let _ = write!(out, " [-{letters}]");
        }
        let lettered = valued.iter().filter(|flag| !flag.short.is_control());
        for (letter, value) in lettered.filter_map(|flag| Some((flag.short, flag.value.as_ref()?))) {
            let _ = write!(out, " [-{letter} {}]", value.name);
        }
        for flag in self.flags.iter().filter(|flag| flag.short.is_control()) {
            let value = flag.value.as_ref().map(|value| format!(" {}", value.name)).unwrap_or_default();
            let _ = write!(out, " [--{}{value}]", flag.long);
        }
        if !self.usage.is_empty() {
            let _ = write!(out, " {}", self.usage);
        }
        out
    }

    /// How an option is written.
    #[must_use]
    pub fn flag(&self, short: char) -> Option<String> {
        let flag = self.flags.iter().find(|flag| flag.short == short)?;
        Some(if flag.long.is_empty() { format!("-{short}") } else { format!("--{}", flag.long) })
    }
}

/// Reads a command and what follows it.
///
/// # Errors
/// If there is no such command, or it does not take what follows.
pub fn parse(words: &[Word]) -> Result<Option<Invocation>, CommandError> {
    let Some((name, rest)) = words.split_first() else { return Ok(None) };
    let name = name.bytes();
    if let Some(command) = Command::find(&name) {
        return command.parse(rest).map(Some);
    }
    match UNSUPPORTED.iter().find(|(command, _)| command.as_bytes().eq_ignore_ascii_case(&name)) {
        Some((command, instead)) => Err(CommandError::Unsupported { command, instead }),
        None => Err(CommandError::Unknown(sshome_wire::display::Escaped(&name).to_string())),
    }
}

/// Stands for an option that has no letter.
pub const VERIFY: char = '\u{1}';

/// Stands for another one.
pub const PARTIAL: char = '\u{2}';

/// Stands for the length that a stream must have.
pub const SIZE: char = '\u{5}';

/// Stands for the digest that a stream must have.
pub const B3: char = '\u{6}';

/// Commands of sftp that mean what this server does not do, and what there is instead.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("chgrp", "files here have no groups"),
    ("chmod", "put -p keeps the mode that a file has on this side"),
    ("chown", "all files in a home belong to its user"),
    ("lumask", "set the umask in the shell that starts sshome"),
];

pub use super::flag::{Flag, JOBS, Value};
pub use super::help::{help, overview};
pub use super::invocation::Invocation;
pub use super::table::COMMANDS;

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;

    fn parsed(line: &str) -> Result<Option<Invocation>, CommandError> {
        parse(&split(line.as_bytes()).unwrap())
    }

    #[test]
    fn names_are_found_once() {
        let mut names: Vec<_> = COMMANDS.iter().flat_map(|c| c.aliases.iter().chain([&c.name])).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        assert_eq!(Command::find(b"bye").unwrap().verb, Verb::Exit);
        assert_eq!(Command::find(b"RENAME").unwrap().verb, Verb::Rename);
        assert!(UNSUPPORTED.iter().all(|(name, _)| Command::find(name.as_bytes()).is_none()));
    }

    #[test]
    fn options_stand_together_and_anywhere() {
        let invocation = parsed("ls -la dir -h").unwrap().unwrap();
        assert_eq!(invocation.flags(), ['l', 'a', 'h']);
        assert_eq!(invocation.operands.len(), 1);
        assert!(parsed("get --force a").unwrap().unwrap().has('f'));
        assert_eq!(parsed("get -PR a").unwrap().unwrap().flags(), ['p', 'r']);
        assert_eq!(parsed("ls -nR").unwrap().unwrap().flags(), ['l', 'R']);
        assert!(parsed("hash --verify a").unwrap().unwrap().has(VERIFY));
        let invocation = parsed("rm -- -r -").unwrap().unwrap();
        assert!(!invocation.has('r'));
        assert_eq!(invocation.operands.len(), 2);
    }

    #[test]
    fn an_option_takes_its_value_from_wherever_it_stands() {
        for line in
            ["get -j 3 a", "get a -j3", "get -rj 3 a", "get --jobs 3 a", "get --jobs=3 a", "get -j1 -j3 a"]
        {
            let invocation = parsed(line).unwrap().unwrap();
            assert_eq!((invocation.value(JOBS), invocation.operands.len()), (Some("3"), 1), "{line}");
        }
        assert_eq!(parsed("put a").unwrap().unwrap().value(JOBS), None);
        let said = |line: &str| parsed(line).unwrap_err().to_string();
        assert_eq!(said("get a -j"), "-j, --jobs N of get: N is missing");
        assert_eq!(said("get -j 0 a"), "-j, --jobs N of get: it is \"auto\", or a number from 1 to 64");
        assert!(said("get --force=1 a").starts_with("get has no option --force=1"));
    }

    #[test]
    fn mistakes_say_how_it_is_used() {
        let said = |line: &str| parsed(line).unwrap_err().to_string();
        assert_eq!(
            said("CHMOD 644 a"),
            "there is no chmod here: put -p keeps the mode that a file has on this side"
        );
        assert_eq!(said("sl"), "unknown command sl: try \"help\"");
        assert!(said("ls -lx").starts_with("ls has no option -lx"), "{}", said("ls -lx"));
        assert!(said("mv a").starts_with("something is missing for mv"), "{}", said("mv a"));
        assert!(said("pwd x").starts_with("that is too much for pwd"), "{}", said("pwd x"));
        assert!(said("key instal").starts_with("there is no such action for key"), "{}", said("key instal"));
        assert!(said("key list x").starts_with("that is too much for key"));
        assert!(said("key remove").starts_with("something is missing for key"));
        assert!(said("rm").starts_with("something is missing for rm"));
        assert!(parsed("rm --partial").unwrap().unwrap().has(PARTIAL));
        assert!(parsed("").unwrap().is_none());
    }

    #[test]
    fn options_have_values() {
        let invocation = parsed("put --size 5 - --size=7 f").unwrap().unwrap();
        assert_eq!((invocation.value(SIZE), invocation.value(B3)), (Some("7"), None));
        assert_eq!(invocation.operands.len(), 2);
        let said = |line: &str| parsed(line).unwrap_err().to_string();
        assert!(said("put - f --b3").contains("HEX is missing"), "{}", said("put - f --b3"));
        assert!(said("put --parents=x a").starts_with("put has no option"));
        assert!(said("get --force=x a").starts_with("get has no option"));
    }
}
