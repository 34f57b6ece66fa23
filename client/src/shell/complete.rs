//! Tab completion, without I/O: a line becomes a query, and the names that answer it become a completion.

use super::bookmarks::BOOKMARK_ACTIONS;
use super::command::{CommandSpec, Operand};
use super::flag::takes_next;
use super::glob::GlobEntry;
use super::key_action::KEY_ACTIONS;
use super::quoted::quoted;
use super::table::COMMANDS;
use super::words::{Partial, Word, partial, quote};

/// The context for completing a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CompletionQuery {
    /// One of these words, with this prefix.
    Words(Vec<String>, String),
    /// Names in a directory.
    Names {
        /// The operand that they are for.
        operand: Operand,
        /// The directory as typed, up to its slash; empty for the working directory.
        directory: Word,
        /// The prefix of the name.
        prefix: Vec<u8>,
        /// Whether words that begin with a dash are operands, after `--`.
        only_operands: bool,
    },
}

/// The result of a Tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// This text replaces the word.
    Text(String),
    /// There are several completions, or none.
    Choice(Vec<String>),
}

/// The query of a line, and the start of its word in bytes; `None` if there is nothing to complete.
pub(super) fn question(line: &str) -> Option<(usize, CompletionQuery)> {
    let Partial { before, last, start } = partial(line.as_bytes())?;
    let typed = last.bytes();
    let words = |all: Vec<String>| {
        let prefix = String::from_utf8(typed.clone()).ok()?;
        Some((start, CompletionQuery::Words(all, prefix)))
    };
    let commands = || COMMANDS.iter().map(|command| command.name.to_owned()).collect();
    let Some((name, operands)) = before.split_first() else { return words(commands()) };
    let command = CommandSpec::find(&name.bytes())?;
    let (mut index, mut is_value, mut only_operands) = (0, false, false);
    for word in operands.iter().map(Word::bytes) {
        match word.as_slice() {
            _ if is_value => is_value = false,
            _ if only_operands => index += 1,
            b"--" => only_operands = true,
            [b'-', _, ..] => is_value = takes_next(command.flags, &word),
            _ => index += 1,
        }
    }
    let options = options(command);
    let is_option = |option: &String| option.as_bytes().starts_with(&typed);
    if typed.starts_with(b"-") && !only_operands && options.iter().any(is_option) {
        return words(options);
    }
    let (first, others) = command.completes?;
    if is_value || index >= command.operands.1 {
        return None;
    }
    match if index == 0 { first } else { others } {
        Operand::Command => words(commands()),
        Operand::Mode | Operand::Job => None,
        Operand::BookmarkAction => words(BOOKMARK_ACTIONS.iter().map(ToString::to_string).collect()),
        Operand::KeyAction => words(KEY_ACTIONS.iter().map(ToString::to_string).collect()),
        operand => {
            if last.letters() == [(b'~', false)] {
                return words(vec!["~/".to_owned()]);
            }
            let slash = typed.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            let (directory, prefix) = last.split_at(slash);
            let prefix = prefix.bytes();
            Some((start, CompletionQuery::Names { operand, directory, prefix, only_operands }))
        }
    }
}

fn options(command: &CommandSpec) -> Vec<String> {
    let long =
        command.flags.iter().filter(|flag| !flag.long.is_empty()).map(|flag| format!("--{}", flag.long));
    let lettered = command.flags.iter().filter(|flag| !flag.short.is_control());
    lettered.map(|flag| format!("-{}", flag.short)).chain(long).collect()
}

/// The completion, given the names in the directory of the query. The text means exactly that name when the line is
/// parsed.
pub(super) fn completion(question: &CompletionQuery, names: Vec<GlobEntry>) -> Completion {
    match question {
        CompletionQuery::Words(all, prefix) => {
            let mut fitting: Vec<&String> = all.iter().filter(|word| word.starts_with(prefix)).collect();
            match fitting.as_slice() {
                // The path may continue below a directory.
                [only] if only.ends_with('/') => Completion::Text((*only).clone()),
                [only] => Completion::Text(format!("{only} ")),
                _ => {
                    let common = common(fitting.iter().map(|word| word.as_bytes()));
                    fitting.sort();
                    match String::from_utf8(common) {
                        Ok(common) if common.len() > prefix.len() => Completion::Text(common),
                        _ => Completion::Choice(fitting.into_iter().cloned().collect()),
                    }
                }
            }
        }
        CompletionQuery::Names { operand, directory, prefix, only_operands } => {
            let only_directories = matches!(operand, Operand::RemoteDirectory | Operand::LocalDirectory);
            let fits = |name: &GlobEntry| {
                name.name.starts_with(prefix)
                    && (!name.name.starts_with(b".") || prefix.starts_with(b"."))
                    && (name.may_be_directory || !only_directories)
            };
            let mut fitting: Vec<GlobEntry> = names.into_iter().filter(fits).collect();
            fitting.sort_by(|a, b| a.name.cmp(&b.name));
            let written = |name: &[u8]| written(directory, *only_operands, name);
            match fitting.as_slice() {
                [only] => Completion::Text(written(&only.name) + end(only, " ")),
                _ => {
                    let common = common(fitting.iter().map(|name| name.name.as_slice()));
                    if common.len() > prefix.len() {
                        return Completion::Text(written(&common));
                    }
                    let shown = |name: &GlobEntry| quoted(&name.name) + end(name, "");
                    Completion::Choice(fitting.iter().map(shown).collect())
                }
            }
        }
    }
}

/// The text after a name: a slash after a directory, `file` after a file, and nothing after a link, which may be
/// either.
fn end(name: &GlobEntry, file: &'static str) -> &'static str {
    match (name.may_be_directory, name.is_link) {
        (_, true) => "",
        (true, false) => "/",
        (false, false) => file,
    }
}

/// A name as a word of the line. The `~` of the home directory stays, and no name looks like an option.
fn written(directory: &Word, only_operands: bool, name: &[u8]) -> String {
    let (begin, rest) = match directory.letters() {
        [(b'~', false), (b'/', _), ..] => ("~/", directory.split_at(2).1.bytes()),
        _ => ("", directory.bytes()),
    };
    let path = [rest.as_slice(), name].concat();
    let dash = if begin.is_empty() && path.starts_with(b"-") && (!only_operands || path == b"-") {
        "./"
    } else {
        ""
    };
    match path.is_empty() {
        true => begin.to_owned(),
        false => format!("{begin}{dash}{}", quote(&path)),
    }
}

/// Their longest common prefix, of whole characters.
fn common<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let Some(first) = names.next() else { return Vec::new() };
    let shared = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let mut common = first.to_vec();
    names.for_each(|name| common.truncate(shared(&common, name)));
    if let Err(error) = std::str::from_utf8(&common)
        && error.error_len().is_none()
    {
        common.truncate(error.valid_up_to());
    }
    common
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;

    fn names(line: &str) -> (usize, Operand, Vec<u8>, Vec<u8>) {
        match question(line) {
            Some((start, CompletionQuery::Names { operand, directory, prefix, .. })) => {
                (start, operand, directory.bytes(), prefix)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    fn completed(line: &str, names: &[(&[u8], bool)]) -> Completion {
        let (_, question) = question(line).unwrap();
        let name = |(name, directory): &(&[u8], bool)| GlobEntry {
            name: name.to_vec(),
            may_be_directory: *directory,
            is_link: false,
        };
        completion(&question, names.iter().map(name).collect())
    }

    fn text(text: &str) -> Completion {
        Completion::Text(text.to_owned())
    }

    fn choice(names: &[&str]) -> Completion {
        Completion::Choice(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_operand_is_completed_on_its_own_side() {
        assert_eq!(names("get -r src/ma"), (7, Operand::Remote, b"src/".to_vec(), b"ma".to_vec()));
        assert_eq!(names("get a "), (6, Operand::Local, vec![], vec![]));
        assert_eq!(names("put '/tmp/a b"), (4, Operand::Local, b"/tmp/".to_vec(), b"a b".to_vec()));
        assert_eq!(names("cd /x"), (3, Operand::RemoteDirectory, b"/".to_vec(), b"x".to_vec()));
        assert_eq!(names("get -j 4 a"), (9, Operand::Remote, vec![], b"a".to_vec()));
        assert_eq!(names("get -j4 a b"), (10, Operand::Local, vec![], b"b".to_vec()));
        assert_eq!(names("rm -- -r"), (6, Operand::Remote, vec![], b"-r".to_vec()));
        assert_eq!(names("get -- -j a"), (10, Operand::Local, vec![], b"a".to_vec()));
        assert_eq!(names("pull --delete src/ma"), (14, Operand::Remote, b"src/".to_vec(), b"ma".to_vec()));
        assert_eq!(names("pull --max-delete 9 a "), (22, Operand::Local, vec![], vec![]));
        assert_eq!(names("check --fast a"), (13, Operand::Local, vec![], b"a".to_vec()));
        assert_eq!(names("check a "), (8, Operand::Remote, vec![], vec![]));
        assert_eq!(question("check a b c"), None);
        assert_eq!(question("get -rj 4"), None);
        assert_eq!(question("cd a b"), None);
        assert_eq!(question("pwd "), None);
        assert_eq!(question("unheard-of a"), None);
        assert_eq!(question("get a # b"), None);
        assert_eq!(completed("help ge", &[]), text("get "));
    }

    #[test]
    fn commands_and_options_are_completed() {
        assert_eq!(completed("mk", &[]), text("mkdir "));
        assert_eq!(completed("l", &[]), choice(&["lcd", "less", "lls", "lmkdir", "ln", "lpwd", "ls"]));
        assert_eq!(completed("lc", &[]), text("lcd "));
        assert_eq!(completed("che", &[]), text("check "));
        assert_eq!(completed("pull --max-d", &[]), text("--max-delete "));
        assert_eq!(completed("hash --", &[]), text("--verify "));
        assert!(
            matches!(completed("get -", &[]), Completion::Choice(all) if all.contains(&"--force".into()))
        );
        assert_eq!(completed("pu", &[]), choice(&["pull", "push", "put"]));
        assert_eq!(completed("s", &[]), choice(&["stat", "symlink"]));
    }

    #[test]
    fn completed_names_are_quoted() {
        let all: &[(&[u8], bool)] =
            &[(b"a b", false), (b"a\xff", false), (b"abc", true), (b".a", false), (b"x", true)];
        assert_eq!(completed("get a", all), choice(&["'a b'", "abc/", "'a'$'\\xff'"]));
        assert_eq!(completed("get .", all), text(".a "));
        assert_eq!(completed("cd ", all), choice(&["abc/", "x/"]));
        assert_eq!(completed("get d/a\\ ", all), text("d/a\\ b "));
        assert_eq!(completed("get q", all), choice(&[]));
    }

    #[test]
    fn the_common_prefix_is_completed_in_whole_characters() {
        assert_eq!(completed("get x", &[(b"x y", false), (b"x*", false)]), choice(&["'x y'", "'x*'"]));
        assert_eq!(completed("get x", &[(b"x y1", false), (b"x y2", false)]), text("x\\ y"));
        // They share a byte of the last letter.
        let all = ["xaé", "xaè"].map(|name| (name.as_bytes(), false));
        assert_eq!(completed("get x", &all), text("xa"));
    }

    #[test]
    fn a_tilde_is_kept_and_a_name_with_a_dash_is_protected() {
        let all: &[(&[u8], bool)] = &[(b"file", false), (b"-dash", false)];
        assert_eq!(completed("put ~/f", all), text("~/file "));
        assert_eq!(completed("put ~", all), text("~/"));
        assert_eq!(completed("put '~'/f", all), text("\\~/file "));
        assert_eq!(completed("get ~/f", all), text("~/file "));
        assert_eq!(completed("cd ~", all), text("~/"));
        assert_eq!(completed("rm -d", all), text("./-dash "));
        assert_eq!(completed("rm -- -d", all), text("-dash "));
        assert_eq!(completed("cd -", &[(b"-dash", true)]), text("./-dash/"));
        assert_eq!(completed("put -- ", &[(b"-", false)]), text("./- "));
        assert_eq!(completed("lcd -", &[(b"-", true)]), text("./-/"));
    }

    #[test]
    fn a_completed_link_gets_neither_a_slash_nor_a_space() {
        let (_, question) = question("get l").unwrap();
        let link = GlobEntry { name: b"link".to_vec(), may_be_directory: true, is_link: true };
        assert_eq!(completion(&question, vec![link]), text("link"));
    }

    #[test]
    fn completed_text_parses_to_the_name() {
        for name in
            ["a b ", " a", "it's", "\"q\"", "a\nb", "*", "[x]", "#a", "~a", "a\\b", "-", "$x", "\u{202e}"]
        {
            for typed in ["get -- ", "get ", "put "] {
                let Completion::Text(word) = completed(typed, &[(name.as_bytes(), false)]) else {
                    panic!("{name:?}")
                };
                let words = split(format!("{typed}{word}").as_bytes()).unwrap();
                let read = words.last().unwrap();
                let path = read.bytes();
                assert_eq!(path.strip_prefix(b"./").unwrap_or(&path), name.as_bytes(), "{word}");
                assert!(!read.is_glob(), "{word}");
            }
        }
    }
}
