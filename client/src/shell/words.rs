//! Words of a command line, quoted as in a POSIX shell.
//!
//! `'…'` quotes everything, `"…"` everything except backslash escapes, and a backslash outside quotes quotes the next
//! byte. `$'…'` has `\xNN` and C's escapes, for names that are not text. A `#` at the beginning of a word begins a
//! comment. There are no variables. At the prompt, a `|` that is not quoted begins a local command.

use sshome_ssh::{IncompleteLine, Quoting, ShellLexer, ShellToken};
use std::fmt::Write;

/// A word: its bytes, each with whether it was quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(Vec<(u8, bool)>);

/// Why a line cannot be split into words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// A quote is not closed.
    #[error("the line ends inside {0}: close the quote")]
    Open(&'static str),
    /// The line ends in a backslash.
    #[error("the line ends in a backslash, which quotes nothing")]
    Backslash,
    /// A `|` without a command on both sides.
    #[error("a | needs a command on both sides: COMMAND | LOCAL COMMAND")]
    Pipe,
    /// `$'…'` contains an unknown escape.
    #[error("unknown escape in $'…': use \\xNN, \\n, \\t, \\r, \\e, \\a, \\b, \\\\, \\' or \\\"")]
    Escape,
}

impl From<IncompleteLine> for WordsError {
    fn from(line: IncompleteLine) -> WordsError {
        match line {
            IncompleteLine::OpenQuote('"') => WordsError::Open("\"…\""),
            IncompleteLine::OpenQuote(_) => WordsError::Open("'…'"),
            IncompleteLine::Backslash => WordsError::Backslash,
        }
    }
}

impl Word {
    /// A word of another shell: nothing in it is quoted.
    #[must_use]
    pub fn plain(bytes: &[u8]) -> Word {
        Word(bytes.iter().map(|byte| (*byte, false)).collect())
    }

    /// A word without special bytes.
    #[must_use]
    pub fn literal(bytes: &[u8]) -> Word {
        Word(bytes.iter().map(|byte| (*byte, true)).collect())
    }

    /// A word of another shell, as a pattern: if it contains `*`, `?` or `[`, a backslash quotes those, `]` and itself,
    /// as at the prompt. Otherwise a backslash is itself.
    #[must_use]
    pub fn unescaped(&self) -> Word {
        if !self.is_glob() {
            return self.clone();
        }
        let mut letters: Vec<(u8, bool)> = Vec::new();
        for letter in &self.0 {
            match letters.last_mut() {
                Some(last) if *last == (b'\\', false) && b"*?[]\\".contains(&letter.0) => {
                    *last = (letter.0, true)
                }
                _ => letters.push(*letter),
            }
        }
        Word(letters)
    }

    /// The word with more bytes after it.
    #[must_use]
    pub fn followed_by(mut self, letters: &[(u8, bool)]) -> Word {
        self.0.extend_from_slice(letters);
        self
    }

    /// Splits the word after this many bytes.
    #[must_use]
    pub fn split_at(&self, at: usize) -> (Word, Word) {
        let (first, others) = self.0.split_at(at.min(self.0.len()));
        (Word(first.to_vec()), Word(others.to_vec()))
    }

    /// The bytes of the word.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().map(|letter| letter.0).collect()
    }

    /// The bytes, each with whether it was quoted.
    #[must_use]
    pub fn letters(&self) -> &[(u8, bool)] {
        &self.0
    }

    /// Whether it is a pattern.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.0.iter().any(|(byte, quoted)| !quoted && b"*?[".contains(byte))
    }
}

/// A line that may be unfinished, for completion.
#[derive(Debug, Default)]
pub struct Partial {
    /// The words before the last one.
    pub before: Vec<Word>,
    /// The word that is being typed; empty after a space.
    pub last: Word,
    /// The start of that word in the line, in bytes.
    pub start: usize,
}

/// The words of a line, up to a comment: a `#` that begins a word and is not quoted.
///
/// # Errors
/// If a quote is not closed, the line ends in a backslash, or `$'…'` has an unknown escape.
pub fn split(line: &[u8]) -> Result<Vec<Word>, WordsError> {
    // In a script it belongs to a name, as in sftp.
    let mut lexer = Lexer { stops_at_pipe: false, ..Lexer::new(line) };
    lexer.run()?;
    lexer.words()
}

/// A line of the prompt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The words of the command.
    pub words: Vec<Word>,
    /// The local command line after an unquoted `|`, unchanged.
    pub pipe: Option<Vec<u8>>,
    /// Whether the line ends in an unquoted `&`.
    pub background: bool,
}

/// The parts of a line of the prompt.
///
/// # Errors
/// As of [`split`]; or if a `|` has no command on one side.
pub fn command_line(line: &[u8]) -> Result<CommandLine, WordsError> {
    let mut lexer = Lexer::new(line);
    lexer.run()?;
    let pipe = lexer.pipe.map(|at| line.get(at + 1..).unwrap_or_default().trim_ascii().to_vec());
    let mut words = lexer.words()?;
    let is_empty = pipe.as_ref().is_some_and(|local| local.is_empty() || local.starts_with(b"|"));
    if is_empty || pipe.is_some() && words.is_empty() {
        return Err(WordsError::Pipe);
    }
    let background =
        words.last_mut().is_some_and(|last| last.0.pop_if(|last| *last == (b'&', false)).is_some());
    if background {
        words.pop_if(|last| last.0.is_empty());
    }
    Ok(CommandLine { words, pipe, background })
}

/// The words of a line up to the cursor; `None` if it is invalid, or the cursor is in a comment.
#[must_use]
pub fn partial(line: &[u8]) -> Option<Partial> {
    let mut lexer = Lexer::new(line);
    lexer.run().ok()?;
    if lexer.commented || lexer.pipe.is_some() {
        return None;
    }
    let typing = lexer.open.is_some() || lexer.in_word;
    let last = if typing { lexer.words.pop() } else { None };
    let (start, last) = last.unwrap_or((line.len(), Word::default()));
    Some(Partial { before: lexer.words.into_iter().map(|(_, word)| word).collect(), last, start })
}

/// Quotes bytes so that [`split`] reads them back as one word: special characters get a backslash, and unprintable
/// bytes are escaped in `$'…'`.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "''".to_owned();
    }
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut encoded = [0; 4];
            let text: &str = c.encode_utf8(&mut encoded);
            if sshome_wire::display::Escaped(text.as_bytes()).to_string() != text {
                quote_bytes(&mut out, text.as_bytes());
            } else {
                let first = out.is_empty() && "#~".contains(c);
                // Some of them are special only in other shells, into which a line may be pasted.
                if first || " \t\"'\\*?[]$`&|;<>(){}!".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
        }
        quote_bytes(&mut out, chunk.invalid());
    }
    out
}

fn quote_bytes(out: &mut String, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    out.push_str("$'");
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
    out.push('\'');
}

struct Lexer<'a> {
    bytes: ShellLexer<'a>,
    /// Whether the line ends in a comment.
    commented: bool,
    /// Whether an unquoted `|` ends the words.
    stops_at_pipe: bool,
    /// The position of that `|`.
    pipe: Option<usize>,
    /// The words, each with its start.
    words: Vec<(usize, Word)>,
    /// Whether the last word may continue.
    in_word: bool,
    /// The unfinished part at the end of the line.
    open: Option<WordsError>,
}

impl<'a> Lexer<'a> {
    fn new(line: &'a [u8]) -> Lexer<'a> {
        let bytes = ShellLexer::new(line);
        let (stops_at_pipe, words) = (true, Vec::new());
        Lexer { bytes, commented: false, stops_at_pipe, pipe: None, words, in_word: false, open: None }
    }

    fn words(self) -> Result<Vec<Word>, WordsError> {
        self.open.map_or(Ok(()), Err)?;
        Ok(self.words.into_iter().map(|(_, word)| word).collect())
    }

    fn run(&mut self) -> Result<(), WordsError> {
        loop {
            let at = self.bytes.position();
            match self.bytes.token() {
                Ok(None) => return Ok(()),
                Ok(Some(ShellToken::Byte(byte, Quoting::Unquoted))) if byte.is_ascii_whitespace() => {
                    self.in_word = false;
                }
                Ok(Some(ShellToken::Byte(b'#', Quoting::Unquoted))) if !self.in_word => {
                    self.commented = true;
                    return Ok(());
                }
                Ok(Some(ShellToken::Byte(b'|', Quoting::Unquoted))) if self.stops_at_pipe => {
                    self.pipe = Some(at);
                    return Ok(());
                }
                Ok(Some(token)) => {
                    self.begin_word(at);
                    self.take(token)?;
                }
                Err(line) => {
                    self.begin_word(at);
                    self.open = Some(line.into());
                    return Ok(());
                }
            }
        }
    }

    fn begin_word(&mut self, at: usize) {
        if !self.in_word {
            self.in_word = true;
            self.words.push((at, Word::default()));
        }
    }

    /// Adds a token to the current word.
    fn take(&mut self, token: ShellToken) -> Result<(), WordsError> {
        match token {
            ShellToken::OpeningQuote => {}
            ShellToken::Byte(b'$', Quoting::Unquoted) if self.bytes.rest().first() == Some(&b'\'') => {
                self.bytes.byte();
                self.escaped()?;
            }
            ShellToken::Byte(byte, quoting) => self.push(byte, quoting != Quoting::Unquoted),
        }
        Ok(())
    }

    fn push(&mut self, byte: u8, quoted: bool) {
        if let Some((_, word)) = self.words.last_mut() {
            word.0.push((byte, quoted));
        }
    }

    fn escaped(&mut self) -> Result<(), WordsError> {
        loop {
            let byte = match self.bytes.byte() {
                Some(b'\'') => return Ok(()),
                Some(b'\\') => self.escape()?,
                byte => byte,
            };
            let Some(byte) = byte else {
                self.open = Some(WordsError::Open("$'…'"));
                return Ok(());
            };
            self.push(byte, true);
        }
    }

    /// The byte of the escape after a backslash in `$'…'`; `None` at the end of the line.
    fn escape(&mut self) -> Result<Option<u8>, WordsError> {
        Ok(match self.bytes.byte() {
            Some(b'x') => match (self.bytes.byte(), self.bytes.byte()) {
                (Some(high), Some(low)) => Some(hex(high, low).ok_or(WordsError::Escape)?),
                _ => None,
            },
            Some(b'n') => Some(b'\n'),
            Some(b't') => Some(b'\t'),
            Some(b'r') => Some(b'\r'),
            Some(b'e') => Some(0x1b),
            Some(b'a') => Some(0x07),
            Some(b'b') => Some(0x08),
            Some(byte @ (b'\\' | b'\'' | b'"')) => Some(byte),
            Some(_) => return Err(WordsError::Escape),
            None => None,
        })
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests;
