//! What Tab completes. Nothing here asks anyone: a line in, a question out; names in, candidates out.

use super::command::{COMMANDS, Command, Operand};
use super::flag::takes_next;
use super::glob::Name;
use super::key::ACTIONS;
use super::words::{Partial, Word, partial, quote};
use rustyline::completion::Pair;
use sshome_wire::display::Escaped;

/// What has to be known to complete a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// The commands that begin so.
    Commands(Vec<u8>),
    /// What `key` does that begins so.
    KeyActions(Vec<u8>),
    /// The options of a command that begin so.
    Flags(&'static str, Vec<u8>),
    /// Names in a directory.
    Names {
        /// What they are for.
        operand: Operand,
        /// The directory as typed, up to its slash; empty for the working directory.
        directory: Vec<u8>,
        /// What the name begins with.
        prefix: Vec<u8>,
    },
}

/// The question that a line asks, and where the word that it is about begins; none if there is nothing
/// to complete.
pub(super) fn question(line: &str) -> Option<(usize, Question)> {
    let Partial { before, last, start } = partial(line.as_bytes())?;
    let typed = last.bytes();
    let Some((name, operands)) = before.split_first() else {
        return Some((start, Question::Commands(typed)));
    };
    let command = Command::find(&name.bytes())?;
    let is_flag = |bytes: &[u8]| bytes.starts_with(b"-") && bytes.len() > 1;
    if typed.starts_with(b"-") && !command.flags.is_empty() {
        return Some((start, Question::Flags(command.name, typed)));
    }
    let (first, others) = command.completes?;
    let (mut index, mut is_value) = (0, false);
    for word in operands.iter().map(Word::bytes) {
        match is_flag(&word) {
            _ if is_value => is_value = false,
            true => is_value = takes_next(command.flags, &word),
            false => index += 1,
        }
    }
    if is_value || index >= command.operands.1 {
        return None;
    }
    let operand = if index == 0 { first } else { others };
    match operand {
        Operand::Command => return Some((start, Question::Commands(typed))),
        Operand::KeyAction => return Some((start, Question::KeyActions(typed))),
        _ => {}
    }
    let slash = typed.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (directory, prefix) = typed.split_at_checked(slash)?;
    Some((start, Question::Names { operand, directory: directory.to_vec(), prefix: prefix.to_vec() }))
}

/// The ways to go on, given the names in the directory that was asked for.
pub(super) fn candidates(question: &Question, names: Vec<Name>) -> Vec<Pair> {
    match question {
        Question::Commands(prefix) => words(COMMANDS.iter().map(|command| command.name.to_owned()), prefix),
        Question::KeyActions(prefix) => words(ACTIONS.iter().map(ToString::to_string), prefix),
        Question::Flags(command, prefix) => {
            let flags = Command::find(command.as_bytes()).map_or(&[][..], |command| command.flags);
            let long =
                flags.iter().filter(|flag| !flag.long.is_empty()).map(|flag| format!("--{}", flag.long));
            let short =
                flags.iter().filter(|flag| !flag.short.is_control()).map(|flag| format!("-{}", flag.short));
            words(short.chain(long), prefix)
        }
        Question::Names { operand, directory, prefix } => {
            let only_directories = matches!(operand, Operand::RemoteDirectory | Operand::LocalDirectory);
            let fits = |name: &Name| {
                name.name.starts_with(prefix)
                    && (!name.name.starts_with(b".") || prefix.starts_with(b"."))
                    && (name.may_be_directory || !only_directories)
            };
            let mut fitting: Vec<Name> = names.into_iter().filter(fits).collect();
            fitting.sort_by(|a, b| a.name.cmp(&b.name));
            let only = fitting.len() == 1;
            fitting.iter().map(|name| pair(directory, name, only)).collect()
        }
    }
}

fn pair(directory: &[u8], name: &Name, only: bool) -> Pair {
    let slash = if name.may_be_directory { "/" } else { "" };
    // Behind a file that is the only one the next word may follow.
    let end = if only && !name.may_be_directory { " " } else { slash };
    let path = [directory, &name.name].concat();
    Pair { display: format!("{}{slash}", Escaped(&name.name)), replacement: quote(&path) + end }
}

fn words(all: impl Iterator<Item = String>, prefix: &[u8]) -> Vec<Pair> {
    let fitting: Vec<String> = all.filter(|word| word.as_bytes().starts_with(prefix)).collect();
    let end = if fitting.len() == 1 { " " } else { "" };
    fitting.into_iter().map(|word| Pair { replacement: word.clone() + end, display: word }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> (usize, Operand, Vec<u8>, Vec<u8>) {
        match question(line) {
            Some((start, Question::Names { operand, directory, prefix })) => {
                (start, operand, directory, prefix)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    fn replacements(line: &str, there: &[(&[u8], bool)]) -> Vec<String> {
        let (_, question) = question(line).unwrap();
        let name =
            |(name, directory): &(&[u8], bool)| Name { name: name.to_vec(), may_be_directory: *directory };
        candidates(&question, there.iter().map(name).collect())
            .into_iter()
            .map(|pair| pair.replacement)
            .collect()
    }

    #[test]
    fn each_operand_asks_on_its_own_side() {
        assert_eq!(names("get -r src/ma"), (7, Operand::Remote, b"src/".to_vec(), b"ma".to_vec()));
        assert_eq!(names("get a "), (6, Operand::Local, vec![], vec![]));
        assert_eq!(names("put '/tmp/a b"), (4, Operand::Local, b"/tmp/".to_vec(), b"a b".to_vec()));
        assert_eq!(names("cd /x"), (3, Operand::RemoteDirectory, b"/".to_vec(), b"x".to_vec()));
        assert_eq!(names("get -j 4 a"), (9, Operand::Remote, vec![], b"a".to_vec()));
        assert_eq!(names("get -j4 a b"), (10, Operand::Local, vec![], b"b".to_vec()));
        assert_eq!(question("get -rj 4"), None);
        assert_eq!(question("cd a b"), None);
        assert_eq!(question("pwd "), None);
        assert_eq!(question("unheard-of a"), None);
        assert_eq!(question("help ge"), Some((5, Question::Commands(b"ge".to_vec()))));
    }

    #[test]
    fn commands_and_options() {
        assert_eq!(replacements("mk", &[]), ["mkdir "]);
        assert_eq!(replacements("l", &[]), ["lcd", "lls", "lmkdir", "ln", "lpwd", "ls"]);
        assert_eq!(replacements("hash --", &[]), ["--verify "]);
        assert!(replacements("get -", &[]).contains(&"--force".to_owned()));
    }

    #[test]
    fn names_come_quoted() {
        let there: &[(&[u8], bool)] =
            &[(b"a b", false), (b"a\xff", false), (b"abc", true), (b".a", false), (b"x", true)];
        assert_eq!(replacements("get a", there), ["a\\ b", "abc/", "a$'\\xff'"]);
        assert_eq!(replacements("get .", there), [".a "]);
        assert_eq!(replacements("cd ", there), ["abc/", "x/"]);
        assert_eq!(replacements("get d/a\\ ", there), ["d/a\\ b "]);
    }
}
