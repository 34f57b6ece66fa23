//! The text of `help`.

use super::command::CommandSpec;
use super::table::COMMANDS;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The width of the first column of a table.
const FIRST_COLUMN: usize = 26;

/// The smallest width of the second column of a table; in a narrower terminal it is placed below the first.
const SECOND_COLUMN: usize = 30;

/// The help for all commands, in lines of at most this many columns.
#[must_use]
pub(super) fn overview(width: usize) -> String {
    let mut out = String::new();
    for command in COMMANDS {
        row(&mut out, &command.synopsis(), command.summary, 0, width);
    }
    out.push('\n');
    let more = "help COMMAND shows more.\nNames are quoted as in a shell; *, ? and [a-z] match names.\n\
                COMMAND | LOCAL COMMAND sends the output to a local command; & at the end runs a transfer in the \
                background.\nEvery command has --help.";
    paragraph(&mut out, more, 0, width);
    out
}

/// The help for one command, in lines of at most this many columns.
#[must_use]
pub(super) fn help(command: &CommandSpec, width: usize) -> String {
    let mut out = String::new();
    paragraph(&mut out, &command.synopsis(), 0, width);
    paragraph(&mut out, command.summary, 4, width);
    for flag in command.flags {
        row(&mut out, &flag.spellings(), flag.help, 4, width);
    }
    paragraph(&mut out, &sentences(command.details), 4, width);
    if !command.aliases.is_empty() {
        paragraph(&mut out, &format!("Also: {}", command.aliases.join(", ")), 4, width);
    }
    out
}

/// A text whose lines end only at the end of a sentence: the terminal's width is not that of the source.
fn sentences(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        if !out.is_empty() {
            out.push(if out.ends_with(['.', ':']) { '\n' } else { ' ' });
        }
        out + line
    })
}

/// A name and its description, next to it if there is room, otherwise below it.
fn row(out: &mut String, name: &str, what: &str, indent: usize, width: usize) {
    let column = indent + FIRST_COLUMN;
    if name.width() + 2 > FIRST_COLUMN || column + SECOND_COLUMN > width {
        paragraph(out, name, indent, width);
        return paragraph(out, what, if column + SECOND_COLUMN > width { indent + 4 } else { column }, width);
    }
    let mut beside = String::new();
    paragraph(&mut beside, what, column, width);
    // Writing into a String cannot fail.
    let _ = write!(out, "{:indent$}{name}", "");
    out.push_str(beside.get(indent + name.width()..).unwrap_or_default());
}

/// Words, wrapped. Only a single word may be wider than a line.
fn paragraph(out: &mut String, text: &str, indent: usize, width: usize) {
    for line in text.lines() {
        let mut column = 0;
        // Continuation lines are indented if the first line is not.
        let deeper = if indent == 0 { 4 } else { 0 };
        for word in line.split_whitespace() {
            if column > 0 && column + 1 + word.width() <= width {
                // Writing into a String cannot fail.
                let _ = write!(out, " {word}");
                column += 1 + word.width();
                continue;
            }
            let (end, indent) = if column > 0 { ("\n", indent + deeper) } else { ("", indent) };
            let _ = write!(out, "{end}{:indent$}{word}", "");
            column = indent + word.width();
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Verb;
    use super::*;

    #[test]
    fn every_command_has_help() {
        for command in COMMANDS {
            assert!(!command.summary.is_empty() && !command.details.is_empty(), "{}", command.name);
            assert!(command.summary.len() <= 60, "{}: one line in a terminal", command.name);
            assert!(help(command, 100).contains(command.summary));
            assert!(overview(100).contains(&command.synopsis()));
            assert!(command.flags.iter().all(|flag| !flag.help.is_empty()), "{}", command.name);
            assert!(command.operands.0 <= command.operands.1);
            assert_eq!(command.operands.1 > 0, command.completes.is_some() || command.verb == Verb::Shell);
        }
    }

    #[test]
    fn help_fits_the_terminal() {
        for width in [40, 60, 80, 120] {
            let all = COMMANDS.iter().map(|command| help(command, width)).chain([overview(width)]);
            for line in all.collect::<String>().lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
        // Wrapping loses no word.
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(overview(40)), words(overview(200)));
        assert!(
            overview(80).contains("\nlpwd                      print the local directory\n"),
            "{}",
            overview(80)
        );
        assert!(overview(40).contains("\nlpwd\n    print the local directory\n"), "{}", overview(40));
    }
}
