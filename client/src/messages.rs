//! Messages on standard error, each under the program's name.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use unicode_width::UnicodeWidthStr;

/// Prints a warning or a notice, which does not change how the program ends.
pub fn warn(message: impl Display) {
    print(message);
}

/// Prints why a command, or the program, failed.
pub fn print_error(message: impl Display) {
    print(message);
}

fn print(message: impl Display) {
    let text = format!("sshome: {message}");
    if LOG.try_with(|log| log.add(&format!("{text}\n"))).is_err() {
        // If standard error is closed, only the message is lost.
        let _ = writeln!(std::io::stderr(), "{}", fitted(&text));
    }
}

/// The longest log of a background job, in bytes.
const MAX_LOG_BYTES: usize = 64 << 10;

tokio::task_local! {
    static LOG: MessageLog;
}

/// What a background job prints, until it is shown. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MessageLog(Arc<Mutex<String>>);

impl MessageLog {
    /// Adds a text. What exceeds the limit is dropped.
    pub(crate) fn add(&self, text: &str) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() + text.len() <= MAX_LOG_BYTES {
            log.push_str(text);
        }
    }

    /// Takes what was printed.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs a background job: its messages go to the log, since somebody may be typing on the terminal.
pub(crate) async fn logged<T>(log: MessageLog, job: impl Future<Output = T>) -> T {
    LOG.scope(log, job).await
}

/// A message as standard error shows it: at a terminal, broken between words.
pub fn fitted(text: &str) -> String {
    let stderr = std::io::stderr();
    let size = if stderr.is_terminal() { terminal_size::terminal_size_of(&stderr) } else { None };
    match size.map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0) {
        Some(columns) => text.lines().map(|line| wrapped(line, columns)).collect::<Vec<_>>().join("\n"),
        None => text.to_owned(),
    }
}

/// Breaks a line before words that would pass the last column. A longer word stays whole.
fn wrapped(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for (number, word) in words(line).iter().enumerate() {
        if number > 0 && used > 0 && used + 1 + word.width() > columns {
            out.push('\n');
            used = 0;
        } else if number > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += word.width();
    }
    out
}

/// The words of a line. A command between backticks is one, so that it can be copied.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in line.split(' ') {
        match words.last_mut() {
            Some(last) if is_open => *last += &format!(" {word}"),
            _ => words.push(word.to_owned()),
        }
        is_open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

/// Ends the line in which the terminal has shown a Ctrl-C, so that the next message begins a line.
pub fn end_line() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A closed terminal shows nothing.
        let _ = writeln!(stderr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_not_within_commands() {
        let line = "sshome: a long message: run `chmod 600 key` and try again";
        assert_eq!(wrapped(line, 80), line);
        assert_eq!(wrapped(line, 24), "sshome: a long message:\nrun `chmod 600 key` and\ntry again");
        assert_eq!(wrapped(line, 20), "sshome: a long\nmessage: run\n`chmod 600 key` and\ntry again");
        assert_eq!(wrapped("    spaces  stay 1234567890", 10), "    spaces\n stay\n1234567890");
        assert_eq!(wrapped("1234567890 a", 5), "1234567890\na");
        assert_eq!(wrapped("", 5), "");
    }
}
