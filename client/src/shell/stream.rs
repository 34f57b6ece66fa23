//! `put -` and `get … -`: standard input and standard output as files.

use super::command::{B3, CommandError, Invocation, SIZE, Verb};
use super::event::Direction;
use super::transfer::shown;
use super::{Shell, ShellError};
use crate::conversation::ConversationError;
use crate::transfer::{self, Expected};
use sshome_wire::Digest;
use std::io::{self, IsTerminal};
use std::time::Instant;

/// What stands for standard input or output.
const DASH: &[u8] = b"-";

impl Shell {
    /// Stores what standard input has.
    pub(super) async fn put_stream(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if !std::mem::replace(&mut self.stdin_is_free, false) {
            return Err(misuse(invocation, "commands come from standard input, or it was put already").into());
        }
        let Some(target) = invocation.operands.last() else { return Err(ShellError::Reported) };
        let target = self.conversation.absolute(&target.bytes()).map_err(ConversationError::from)?;
        let (progress, expected) = (self.watch(Direction::Put), expected(invocation));
        let begun = Instant::now();
        let summary = transfer::put_stream(self.context(&progress), io::stdin(), &target, expected).await?;
        self.report(&summary, begun.elapsed())
    }

    /// Writes a file to standard output, and nothing else.
    pub(super) async fn get_stream(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if self.out.is_for_programs() {
            return Err(misuse(invocation, "events and a file cannot both go to standard output").into());
        }
        let sources = invocation.operands.get(..1).unwrap_or_default();
        let [source] = &self.remote_paths(sources).await?[..] else {
            return Err(misuse(invocation, "one file at a time goes to standard output").into());
        };
        let source = self.conversation.absolute(source).map_err(ConversationError::from)?;
        let mut progress = self.watch(Direction::Get);
        if io::stdout().is_terminal() {
            // The file itself is seen there.
            progress = transfer::Progress::new(false).quiet(self.out.is_quiet());
        }
        let done = transfer::get_stream(self.context(&progress), &source, Box::new(io::stdout())).await?;
        match done.output {
            Ok(()) => {}
            // Whoever reads has enough, and knows it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(ShellError::Reported),
            Err(error) => {
                return Err(ShellError::Failed(format!("standard output cannot be written: {error}")));
            }
        }
        done.summary
            .failures
            .iter()
            .for_each(|failure| self.out.not_transferred(failure, Some(&shown(failure))));
        if done.summary.failures.is_empty() { Ok(()) } else { Err(ShellError::Reported) }
    }
}

/// Whether a command is about standard input or output.
pub(super) fn is_stream(invocation: &Invocation) -> bool {
    match (invocation.command.verb, &invocation.operands[..]) {
        (Verb::Put, [sources @ .., _]) if !sources.is_empty() => {
            sources.iter().any(|source| source.bytes() == DASH)
        }
        (Verb::Put, [source]) => source.bytes() == DASH,
        (Verb::Get, [_, .., target]) => target.bytes() == DASH,
        _ => false,
    }
}

/// Whether what was given makes sense together, for commands that may be about standard input or output.
///
/// # Errors
/// What does not.
pub(super) fn check(invocation: &Invocation) -> Result<(), CommandError> {
    let expects = invocation.has(SIZE) || invocation.has(B3);
    match is_stream(invocation) {
        true if ['r', 'p', 'L'].into_iter().any(|flag| invocation.has(flag)) => {
            Err(misuse(invocation, "-r, -p and -L are for files"))
        }
        true if invocation.operands.len() < 2 => Err(misuse(invocation, "say which name it is to have")),
        true if invocation.operands.len() > 2 => Err(misuse(invocation, "it goes with one name, no more")),
        false if expects => Err(misuse(invocation, "--size and --b3 are for standard input")),
        _ => Ok(()),
    }
}

/// What `--size` and `--b3` say, which was looked at when they were read.
fn expected(invocation: &Invocation) -> Expected {
    Expected {
        size: invocation.value(SIZE).and_then(|text| size(text).ok()),
        digest: invocation.value(B3).and_then(|text| digest(text).ok()),
    }
}

/// Reads a length in bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "that is no number of bytes".to_owned())
}

/// Reads a digest in hexadecimal, as `hash` and `b3sum` print it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn digest(text: &str) -> Result<Digest, String> {
    let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        let pair = text.get(2 * at..2 * at + 2).filter(|_| digits);
        let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = value.ok_or("that is no BLAKE3 digest: it has 64 digits of 0-9 and a-f")?;
    }
    Ok(Digest(digest))
}

fn misuse(invocation: &Invocation, why: &'static str) -> CommandError {
    CommandError::Stream { command: invocation.command.name, why }
}

#[cfg(test)]
mod tests {
    use super::super::command::parse;
    use super::super::words::split;
    use super::*;

    fn parsed(line: &str) -> Result<bool, String> {
        match parse(&split(line.as_bytes()).unwrap()) {
            Ok(invocation) => Ok(is_stream(&invocation.unwrap())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn which_commands_are_about_standard_input_and_output() {
        for line in ["put - f", "put - -", "put -f -- - f", "put --size 5 - f", "get f -", "reget -a f -"] {
            assert_eq!(parsed(line), Ok(true), "{line}");
        }
        for line in ["put ./- f", "put f -", "get f ./-", "get -", "get - f", "put f", "ls -", "rm - f -"] {
            assert_eq!(parsed(line), Ok(false), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, words) in [
            ("put -", "say which name"),
            ("put -r - f", "are for files"),
            ("get -p f -", "are for files"),
            ("put a - d", "one name"),
            ("get a b -", "one name"),
            ("put --size 5 a f", "for standard input"),
            ("put --size x - f", "no number of bytes"),
            ("put --size -1 - f", "no number of bytes"),
            ("put --b3 abc - f", "no BLAKE3"),
        ] {
            let said = parsed(line).unwrap_err();
            assert!(said.contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn digests_are_read_as_they_are_printed() {
        let text = blake3::hash(b"abc").to_hex();
        assert_eq!(digest(&text).unwrap().to_string(), text.as_str());
        assert_eq!(digest(&text.to_uppercase()).unwrap().to_string(), text.as_str());
        for bad in
            [&text[1..], &format!("{text}0"), &text.replace(|c: char| c == text.chars().next().unwrap(), "+")]
        {
            assert!(digest(bad).is_err(), "{bad}");
        }
    }
}
