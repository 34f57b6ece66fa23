//! The quoting of a POSIX shell (POSIX.1-2024, XCU 2.2): apostrophes keep everything, quotation marks everything but
//! some bytes after a backslash, and a backslash outside keeps the byte after it. What a byte means is up to the caller.

/// A step through a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellToken {
    /// A byte.
    Byte(u8, Quoting),
    /// The beginning of a quoted part, which may be empty.
    OpeningQuote,
}

/// How a byte is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Not at all.
    Unquoted,
    /// Between quotation marks, where `$` and a backtick expand.
    Double,
    /// Between apostrophes, or after a backslash.
    Literal,
}

/// The end of a line that is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncompleteLine {
    /// This quote is not closed.
    OpenQuote(char),
    /// A backslash is the last byte.
    Backslash,
}

/// Reads a command line.
#[derive(Debug)]
pub struct ShellLexer<'a> {
    line: &'a [u8],
    at: usize,
    quote: Option<u8>,
}

impl<'a> ShellLexer<'a> {
    /// A lexer at the beginning of a line.
    #[must_use]
    pub fn new(line: &'a [u8]) -> ShellLexer<'a> {
        ShellLexer { line, at: 0, quote: None }
    }

    /// The next token. `None` at the end of the line.
    ///
    /// # Errors
    /// If a quote is not closed, or a backslash is the last byte.
    pub fn token(&mut self) -> Result<Option<ShellToken>, IncompleteLine> {
        loop {
            let byte = self.byte();
            let token = match (self.quote, byte) {
                (None, None) => return Ok(None),
                (Some(quote), None) => return Err(IncompleteLine::OpenQuote(quote.into())),
                (Some(quote), Some(byte)) if quote == byte => {
                    self.quote = None;
                    continue;
                }
                (None, Some(b'\\')) => match self.byte() {
                    // A backslash and a line feed continue the line.
                    Some(b'\n') => continue,
                    Some(byte) => ShellToken::Byte(byte, Quoting::Literal),
                    None => return Err(IncompleteLine::Backslash),
                },
                (None, Some(quote @ (b'\'' | b'"'))) => {
                    self.quote = Some(quote);
                    ShellToken::OpeningQuote
                }
                (None, Some(byte)) => ShellToken::Byte(byte, Quoting::Unquoted),
                (Some(b'"'), Some(b'\\')) => match self.rest().first() {
                    Some(b'\n') => {
                        self.at += 1;
                        continue;
                    }
                    Some(&byte @ (b'$' | b'`' | b'"' | b'\\')) => {
                        self.at += 1;
                        ShellToken::Byte(byte, Quoting::Literal)
                    }
                    Some(_) => ShellToken::Byte(b'\\', Quoting::Double),
                    None => return Err(IncompleteLine::OpenQuote('"')),
                },
                (Some(b'"'), Some(byte)) => ShellToken::Byte(byte, Quoting::Double),
                (Some(_), Some(byte)) => ShellToken::Byte(byte, Quoting::Literal),
            };
            return Ok(Some(token));
        }
    }

    /// The next byte as it is, for syntax that POSIX does not have.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = self.line.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    /// The number of bytes that were read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The bytes that were not read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens as text: `'` for an opening quote, each other byte after the first letter of its quoting.
    fn tokens(line: &[u8]) -> Result<String, IncompleteLine> {
        let (mut lexer, mut text) = (ShellLexer::new(line), String::new());
        while let Some(token) = lexer.token()? {
            match token {
                ShellToken::OpeningQuote => text.push('\''),
                ShellToken::Byte(byte, quoting) => {
                    text.push(match quoting {
                        Quoting::Unquoted => 'u',
                        Quoting::Double => 'd',
                        Quoting::Literal => 'l',
                    });
                    text.push(byte.into());
                }
            }
        }
        assert_eq!((lexer.position(), lexer.rest()), (line.len(), &b""[..]));
        Ok(text)
    }

    #[test]
    fn quoting_follows_posix() {
        for (line, wanted) in [
            ("", ""),
            ("a b", "uau ub"),
            ("'a\\'\"b\"", "'lal\\'db"),
            ("''\"\"", "''"),
            (r#""a\b\"\\\$\`""#, "'dad\\dbl\"l\\l$l`"),
            (r"\a\ \'", "lal l'"),
            ("\"'\"'\"'", "'d''l\""),
            ("a\\\nb\"\\\n\"", "uaub'"),
            ("$x`", "u$uxu`"),
        ] {
            assert_eq!(tokens(line.as_bytes()).as_deref(), Ok(wanted), "{line:?}");
        }
    }

    #[test]
    fn an_incomplete_line_is_an_error_with_the_reason() {
        use IncompleteLine::{Backslash, OpenQuote};
        for (line, wanted) in
            [("'a", OpenQuote('\'')), ("a\"'", OpenQuote('"')), ("\"\\", OpenQuote('"')), ("a\\", Backslash)]
        {
            assert_eq!(tokens(line.as_bytes()), Err(wanted), "{line:?}");
        }
    }
}
