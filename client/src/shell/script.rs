//! Batch mode: commands from a file or standard input, with the conventions of sftp.

use super::output::BatchLine;
use super::{Flow, Shell, ShellError};
use crate::conversation::ConversationError;
use crate::exit::Exit;
use crate::messages::end_line;
use crate::names;
use sshome_wire::display::Escaped;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The longest line in bytes: a file without a line feed in this many bytes is not a list of commands.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// The byte order mark that some editors write at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines of commands.
pub struct Script {
    lines: Box<dyn BufRead + Send>,
    /// Its name in messages, safe to show.
    name: String,
    /// Whether it is a batch file: commands are printed before they run, and get replaces existing files.
    is_batch: bool,
    /// Whether the lines come from standard input.
    is_stdin: bool,
}

/// A line without its prefixes.
#[derive(Debug, PartialEq, Eq)]
struct ScriptLine<'a> {
    command: &'a [u8],
    /// `-`: a failure is reported, and the next line follows.
    may_fail: bool,
    /// `@`: it is not printed.
    silent: bool,
}

impl Script {
    /// A batch file; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batch(path: &Path) -> Result<Script, ShellError> {
        if path.as_os_str() == "-" {
            return Ok(Script { is_batch: true, ..Script::stdin() });
        }
        let name = names::shown(path);
        let failed = |error| ShellError::Script(format!("{name} cannot be read: {error}"));
        // A directory can be opened, too, and fails only when it is read.
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(ShellError::Script(format!("{name} is a directory, not a file with commands")));
        }
        Ok(Script { lines: Box::new(BufReader::new(file)), name, is_batch: true, is_stdin: false })
    }

    /// The commands on standard input.
    #[must_use]
    pub fn stdin() -> Script {
        let lines = Box::new(BufReader::new(io::stdin()));
        Script { lines, name: "standard input".to_owned(), is_batch: false, is_stdin: true }
    }

    /// Runs the lines up to the first that fails and does not begin with `-`. Empty lines and those that
    /// begin with `#` are skipped.
    ///
    /// # Errors
    /// The failure of that line, or an interruption between two lines.
    pub async fn run(mut self, shell: &mut Shell) -> Result<(), ShellError> {
        (shell.batch, shell.stdin_is_free) = (self.is_batch, !self.is_stdin);
        for number in 1.. {
            let (script, line) = tokio::select! {
                read = self.next() => read?,
                _ = tokio::signal::ctrl_c() => {
                    end_line();
                    return Err(ConversationError::Cancelled.into());
                }
            };
            self = script;
            let Some(line) = line else { break };
            let marked = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK) } else { None };
            let line = ScriptLine::parse(marked.unwrap_or(&line));
            if line.is_empty() {
                continue;
            }
            if self.is_batch && !line.silent && !shell.out.is_quiet() {
                shell.out.note(&format!("sshome> {}\n", Escaped(line.command)))?;
            }
            // Failures belong to this line until the next one.
            shell.out.at(self.is_batch.then(|| BatchLine { file: self.name.clone(), line: number }));
            match shell.line(line.command).await {
                Ok(Flow::Leave) => break,
                Ok(Flow::Continue) => {}
                Err(error) if !line.may_fail || error.is_fatal() || error.exit() == Exit::Interrupted => {
                    return Err(error);
                }
                Err(error) => shell.out.failed(&error),
            }
            shell.out.at(None);
        }
        Ok(())
    }

    /// The next line; `None` at the end. It may take any time.
    async fn next(mut self) -> Result<(Script, Option<Vec<u8>>), ShellError> {
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = Vec::new();
            let read = self.lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            (self, read.map(|length| (length > 0).then_some(line)))
        });
        let (script, line) = reading.await.map_err(|error| ShellError::Failed(error.to_string()))?;
        match line {
            Ok(Some(line)) if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") => {
                let name = &script.name;
                Err(ShellError::Script(format!(
                    "{name} has a line of 1 MiB or more: is it a list of commands?"
                )))
            }
            Ok(line) => Ok((script, line)),
            Err(error) => Err(ShellError::Script(format!("{} cannot be read: {error}", script.name))),
        }
    }
}

impl ScriptLine<'_> {
    fn parse(line: &[u8]) -> ScriptLine<'_> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A trailing blank may belong to a name, after a backslash.
        let mut line = ScriptLine { command: line.trim_ascii_start(), may_fail: false, silent: false };
        while let [prefix @ (b'-' | b'@'), rest @ ..] = line.command {
            line.may_fail |= *prefix == b'-';
            line.silent |= *prefix == b'@';
            line.command = rest;
        }
        line.command = line.command.trim_ascii_start();
        line
    }

    fn is_empty(&self) -> bool {
        self.command.is_empty() || self.command.starts_with(b"#")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_batch_lines_are_recognized() {
        for (line, command, may_fail, silent) in [
            ("put a b\r\n", "put a b", false, false),
            ("  -rm x", "rm x", true, false),
            ("@pwd", "pwd", false, true),
            ("-@ rm x", "rm x", true, true),
            ("@-rm x", "rm x", true, true),
            ("-!test -e x", "!test -e x", true, false),
            ("ls -l", "ls -l", false, false),
            ("rm a\\ \r\n", "rm a\\ ", false, false),
        ] {
            let command = command.as_bytes();
            assert_eq!(
                ScriptLine::parse(line.as_bytes()),
                ScriptLine { command, may_fail, silent },
                "{line}"
            );
        }
        for line in ["", "  \n", "# put a", "  #", "-", "@- # x"] {
            assert!(ScriptLine::parse(line.as_bytes()).is_empty(), "{line}");
        }
    }
}
