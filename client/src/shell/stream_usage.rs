//! Commands that use standard input or output as a file: their operands and options.

use super::command::{CommandError, Verb};
use super::flag::{B3_LETTER, SIZE_LETTER};
use super::invocation::Invocation;

/// The operand for standard input or output.
const STANDARD_STREAM: &[u8] = b"-";

/// Whether a command uses standard input or output as a file.
pub(super) fn is_stream(invocation: &Invocation) -> bool {
    match (invocation.command.verb, &invocation.operands[..]) {
        (Verb::Put, [sources @ .., _]) if !sources.is_empty() => {
            sources.iter().any(|source| source.bytes() == STANDARD_STREAM)
        }
        (Verb::Put, [source]) => source.bytes() == STANDARD_STREAM,
        (Verb::Get, [_, .., target]) => target.bytes() == STANDARD_STREAM,
        _ => false,
    }
}

/// Checks the combination of operands and options, for commands that may use standard input or output.
///
/// # Errors
/// If it is invalid.
pub(super) fn check(invocation: &Invocation) -> Result<(), CommandError> {
    let expects = invocation.has(SIZE_LETTER) || invocation.has(B3_LETTER);
    match is_stream(invocation) {
        true if ['r', 'p', 'L'].into_iter().any(|flag| invocation.has(flag)) => {
            Err(misuse(invocation, "-r, -p and -L are for files"))
        }
        true if invocation.operands.len() < 2 => Err(misuse(invocation, "name the target")),
        true if invocation.operands.len() > 2 => Err(misuse(invocation, "it takes one name only")),
        false if expects => Err(misuse(invocation, "--size and --b3 are for standard input")),
        _ => Ok(()),
    }
}

pub(super) fn misuse(invocation: &Invocation, why: &'static str) -> CommandError {
    CommandError::Stream { command: invocation.command.name, why }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_command;
    use super::super::words::split;
    use super::*;

    fn parsed(line: &str) -> Result<bool, String> {
        match parse_command(&split(line.as_bytes()).unwrap()) {
            Ok(invocation) => Ok(is_stream(&invocation.unwrap())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn only_put_and_get_with_a_dash_use_standard_input_or_output() {
        for line in ["put - f", "put - -", "put -f -- - f", "put --size 5 - f", "get f -", "reget -a f -"] {
            assert_eq!(parsed(line), Ok(true), "{line}");
        }
        for line in ["put ./- f", "put f -", "get f ./-", "get -", "get - f", "put f", "ls -", "rm - f -"] {
            assert_eq!(parsed(line), Ok(false), "{line}");
        }
    }

    #[test]
    fn invalid_values_are_refused() {
        for (line, words) in [
            ("put -", "name the target"),
            ("put -r - f", "are for files"),
            ("get -p f -", "are for files"),
            ("put a - d", "one name"),
            ("get a b -", "one name"),
            ("put --size 5 a f", "for standard input"),
            ("put --size x - f", "--size wants a number of bytes, not "),
            ("put --size -1 - f", "--size wants a number of bytes, not "),
            ("put --b3 abc - f", "--b3 wants a BLAKE3 digest"),
        ] {
            let said = parsed(line).unwrap_err();
            assert!(said.contains(words), "{line}: {said}");
        }
    }
}
