//! Parses a command, its options and its operands.

use super::command::{CommandError, CommandSpec, Verb};
use super::flag::PARTIAL_LETTER;
use super::invocation::Invocation;
use super::key_action::KeyAction;
use super::stream_usage;
use super::suggestion;
use super::words::Word;

/// Parses a command with its options and operands.
///
/// # Errors
/// If there is no such command, or its options or operands are invalid.
pub fn parse_command(words: &[Word]) -> Result<Option<Invocation>, CommandError> {
    let Some((name, rest)) = words.split_first() else { return Ok(None) };
    let name = name.bytes();
    if let Some(command) = CommandSpec::find(&name) {
        return match asks_for_help(rest) {
            true => Ok(Some(Invocation::help_for(command))),
            false => command.parse(rest).map(Some),
        };
    }
    match UNSUPPORTED.iter().find(|(command, _)| command.as_bytes().eq_ignore_ascii_case(&name)) {
        Some((command, instead)) => Err(CommandError::Unsupported { command, instead }),
        None => Err(CommandError::unknown(&name)),
    }
}

/// Whether `--help` is among the options.
fn asks_for_help(words: &[Word]) -> bool {
    words.iter().map(Word::bytes).take_while(|word| word != b"--").any(|word| word == b"--help")
}

/// Commands of sftp that are not supported, with the alternative.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("chgrp", "files on the server have no groups"),
    ("chown", "all files in a home belong to its user"),
    ("lumask", "set the umask in the shell that starts sshome"),
];

impl CommandSpec {
    /// Parses the options and operands after the name.
    ///
    /// # Errors
    /// If an option is unknown, or there are too few or too many operands.
    pub fn parse(&'static self, words: &[Word]) -> Result<Invocation, CommandError> {
        let mut invocation = Invocation::new(self);
        let mut only_operands = false;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            // A quoted dash still begins an option, as in a shell; `--` ends them.
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
                // As in find(1), a word may follow a single dash.
                [b'-', long @ ..] if !only_operands && self.is_single_dash_word(long) => {
                    let flag = self.flags.iter().find(|flag| flag.is_word(long));
                    let flag = flag.ok_or_else(|| self.no_flag(word))?;
                    invocation.add(flag, None, &mut words)?;
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
                // It would be the current directory, or the home: what a script with an unset variable does not mean.
                [] => return Err(self.misused("an argument is empty")),
                _ => invocation.operands.push(word.clone()),
            }
        }
        // Without operands it applies to all partial uploads.
        let least = if invocation.has(PARTIAL_LETTER) { 0 } else { self.operands.0 };
        let problem = match invocation.operands.len() {
            given if given < least => "missing argument",
            given if given > self.operands.1 => "too many arguments",
            _ => {
                if self.verb == Verb::Key {
                    KeyAction::of(self, &invocation.operands)?;
                }
                return stream_usage::check(&invocation).map(|()| invocation);
            }
        };
        Err(self.misused(problem))
    }

    fn misused(&self, problem: &'static str) -> CommandError {
        CommandError::Operands { command: self.name, problem, usage: self.synopsis() }
    }

    /// Whether these letters after a single dash are the word of an option, and not options of one letter each.
    fn is_single_dash_word(&self, letters: &[u8]) -> bool {
        let first = letters.first().map(|letter| char::from(*letter));
        let is_letter = first.is_some_and(|first| self.flags.iter().any(|flag| flag.is_letter(first)));
        !is_letter && self.flags.iter().any(|flag| flag.is_word(letters))
    }

    fn no_flag(&self, word: &Word) -> CommandError {
        let word = word.bytes();
        let near = word.strip_prefix(b"--").and_then(|typed| {
            let typed = typed.split(|byte| *byte == b'=').next().unwrap_or_default();
            suggestion::nearest(
                typed,
                self.flags.iter().map(|flag| flag.long).filter(|long| !long.is_empty()),
            )
        });
        let advice = match near {
            Some(near) => format!("did you mean --{near}?"),
            None => format!("usage: {}", self.synopsis()),
        };
        let flag = sshome_wire::display::Escaped(&word).to_string();
        CommandError::Flag { command: self.name, flag, advice }
    }
}

#[cfg(test)]
mod tests {
    use super::super::flag::{B3_LETTER, JOBS_LETTER, NAME_LETTER, SIZE_LETTER, TYPE_LETTER, VERIFY_LETTER};
    use super::super::table::COMMANDS;
    use super::super::words::split;
    use super::*;

    fn parsed(line: &str) -> Result<Option<Invocation>, CommandError> {
        parse_command(&split(line.as_bytes()).unwrap())
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = COMMANDS.iter().flat_map(|c| c.aliases.iter().chain([&c.name])).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        assert_eq!(CommandSpec::find(b"bye").unwrap().verb, Verb::Exit);
        assert_eq!(CommandSpec::find(b"RENAME").unwrap().verb, Verb::Rename);
        assert!(UNSUPPORTED.iter().all(|(name, _)| CommandSpec::find(name.as_bytes()).is_none()));
    }

    #[test]
    fn options_combine_and_may_be_anywhere() {
        let invocation = parsed("ls -la dir -h").unwrap().unwrap();
        assert_eq!(invocation.flags(), ['l', 'a', 'h']);
        assert_eq!(invocation.operands.len(), 1);
        assert!(parsed("get --force a").unwrap().unwrap().has('f'));
        assert_eq!(parsed("get -PR a").unwrap().unwrap().flags(), ['p', 'r']);
        assert_eq!(parsed("ls -nR").unwrap().unwrap().flags(), ['l', 'R']);
        assert!(parsed("hash --verify a").unwrap().unwrap().has(VERIFY_LETTER));
        let invocation = parsed("rm -- -r -").unwrap().unwrap();
        assert!(!invocation.has('r'));
        assert_eq!(invocation.operands.len(), 2);
    }

    #[test]
    fn an_option_takes_its_value_in_every_form() {
        for line in
            ["get -j 3 a", "get a -j3", "get -rj 3 a", "get --jobs 3 a", "get --jobs=3 a", "get -j1 -j3 a"]
        {
            let invocation = parsed(line).unwrap().unwrap();
            assert_eq!((invocation.value(JOBS_LETTER), invocation.operands.len()), (Some("3"), 1), "{line}");
        }
        assert_eq!(parsed("put a").unwrap().unwrap().value(JOBS_LETTER), None);
        let said = |line: &str| parsed(line).unwrap_err().to_string();
        assert_eq!(said("get a -j"), "get: --jobs wants a value: N is missing");
        assert_eq!(said("get -j 0 a"), "get: --jobs wants auto, or a number from 1 to 64, not 0");
        assert!(said("get --force=1 a").starts_with("get: unknown option --force=1"));
    }

    #[test]
    fn errors_include_the_usage() {
        let said = |line: &str| parsed(line).unwrap_err().to_string();
        assert_eq!(said("CHGRP users a"), "chgrp is not supported: files on the server have no groups");
        assert_eq!(said("sl"), "unknown command sl: did you mean ls?");
        assert_eq!(said("frobnicate"), "unknown command frobnicate: try \"help\"");
        assert_eq!(said("get --forse a"), "get: unknown option --forse: did you mean --force?");
        assert!(said("ls -lx").starts_with("ls: unknown option -lx"), "{}", said("ls -lx"));
        assert!(said("mv a").starts_with("mv: missing argument"), "{}", said("mv a"));
        for empty in ["push --delete '' b", "pull a \"\"", "put -- ''", "rm -r ''", "cd ''"] {
            assert!(said(empty).contains(": an argument is empty"), "{empty}: {}", said(empty));
        }
        assert!(said("pwd x").starts_with("pwd: too many arguments"), "{}", said("pwd x"));
        assert!(said("key instal").starts_with("key: unknown action"), "{}", said("key instal"));
        assert!(said("key list x").starts_with("key: too many arguments"));
        assert!(said("key remove").starts_with("key: missing argument"));
        assert!(said("rm").starts_with("rm: missing argument"));
        assert!(parsed("rm --partial").unwrap().unwrap().has(PARTIAL_LETTER));
        assert!(parsed("").unwrap().is_none());
    }

    #[test]
    fn every_command_explains_itself() {
        for command in COMMANDS {
            let invocation = parsed(&format!("{} x --help", command.name)).unwrap().unwrap();
            assert_eq!(invocation.command.verb, Verb::Help, "{}", command.name);
            assert_eq!(invocation.operands[0].bytes(), command.name.as_bytes());
        }
        // After -- it is a name.
        assert_eq!(parsed("rm -- --help").unwrap().unwrap().command.verb, Verb::Rm);
    }

    #[test]
    fn find_takes_the_options_that_people_know() {
        for line in ["find d --name *.c --type f", "find d -name *.c -type f", "find -name *.c d --type=f"] {
            let invocation = parsed(line).unwrap().unwrap();
            assert_eq!(invocation.value(NAME_LETTER), Some("*.c"), "{line}");
            assert_eq!(invocation.value(TYPE_LETTER), Some("f"), "{line}");
            assert_eq!(invocation.operands.len(), 1, "{line}");
        }
        assert!(parsed("find -type x").unwrap_err().to_string().contains("use f for files"));
        assert!(parsed("get -recursive a").is_err(), "letters come first");
    }

    #[test]
    fn options_have_values() {
        let invocation = parsed("put --size 5 - --size=7 f").unwrap().unwrap();
        assert_eq!((invocation.value(SIZE_LETTER), invocation.value(B3_LETTER)), (Some("7"), None));
        assert_eq!(invocation.operands.len(), 2);
        let said = |line: &str| parsed(line).unwrap_err().to_string();
        assert!(said("put - f --b3").contains("HEX is missing"), "{}", said("put - f --b3"));
        assert!(said("put --parents=x a").starts_with("put: unknown option"));
        assert!(said("get --force=x a").starts_with("get: unknown option"));
    }
}
