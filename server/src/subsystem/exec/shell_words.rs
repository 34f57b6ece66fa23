//! Splits a command line into words with the quoting rules of a POSIX shell (POSIX.1-2024, XCU 2.2 and 2.3).
//! Expansions, pipes, redirections and anything else that needs a shell are refused and never taken literally.

use std::collections::VecDeque;

/// The syntax error of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    /// An unclosed quote.
    #[error("a {0} is never closed")]
    Unclosed(char),
    /// A backslash at the end of the line.
    #[error("there is nothing after the last \\")]
    Dangling,
    /// A second command, a pipe or a redirection.
    #[error("there is no shell here, and one command at a time: quote the {0} if it belongs to a name")]
    Operator(char),
    /// An expansion.
    #[error("there is no shell here, and nothing is expanded: quote the {0} if it belongs to a name")]
    Expansion(char),
}

/// The words of a line. `~` and `~/NAME` are the home, whose path is `/`.
///
/// # Errors
/// If the line is not a single plain command.
pub(super) fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, SyntaxError> {
    let mut reader = WordReader { rest: line.iter().copied().collect(), words: Vec::new() };
    while reader.word()? {}
    Ok(reader.words)
}

struct WordReader {
    rest: VecDeque<u8>,
    words: Vec<Vec<u8>>,
}

impl WordReader {
    /// Reads one word; returns whether there was one.
    fn word(&mut self) -> Result<bool, SyntaxError> {
        if self.is_blank() {
            return Ok(false);
        }
        while matches!(self.rest.front(), Some(b' ' | b'\t')) {
            self.rest.pop_front();
        }
        let mut word = Vec::new();
        self.tilde(&mut word)?;
        let mut first = true;
        while let Some(byte) = self.rest.pop_front() {
            match byte {
                b' ' | b'\t' => break,
                b'\'' => self.single(&mut word)?,
                b'"' => self.double(&mut word)?,
                b'\\' => match self.rest.pop_front() {
                    Some(b'\n') => {}
                    Some(byte) => word.push(byte),
                    None => return Err(SyntaxError::Dangling),
                },
                b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' => {
                    return Err(SyntaxError::Operator(byte.into()));
                }
                b'\n' if self.is_blank() => break,
                b'\n' => return Err(SyntaxError::Operator('\u{23ce}')),
                b'#' if first => return Err(SyntaxError::Operator('#')),
                b'*' | b'?' | b'[' | b'`' => return Err(SyntaxError::Expansion(byte.into())),
                b'$' => word.push(self.dollar()?),
                byte => word.push(byte),
            }
            first = false;
        }
        self.words.push(word);
        Ok(true)
    }

    fn is_blank(&self) -> bool {
        self.rest.iter().all(u8::is_ascii_whitespace)
    }

    /// A tilde at the beginning of a word.
    fn tilde(&mut self, word: &mut Vec<u8>) -> Result<(), SyntaxError> {
        if self.rest.front() == Some(&b'~') {
            self.rest.pop_front();
            match self.rest.front() {
                None | Some(b'/' | b' ' | b'\t') => word.push(b'/'),
                // Another user's home.
                Some(_) => return Err(SyntaxError::Expansion('~')),
            }
        }
        Ok(())
    }

    fn single(&mut self, word: &mut Vec<u8>) -> Result<(), SyntaxError> {
        loop {
            match self.rest.pop_front() {
                Some(b'\'') => return Ok(()),
                Some(byte) => word.push(byte),
                None => return Err(SyntaxError::Unclosed('\'')),
            }
        }
    }

    fn double(&mut self, word: &mut Vec<u8>) -> Result<(), SyntaxError> {
        loop {
            match self.rest.pop_front() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => match self.rest.pop_front() {
                    Some(b'\n') => {}
                    Some(byte @ (b'$' | b'`' | b'"' | b'\\')) => word.push(byte),
                    Some(byte) => word.extend([b'\\', byte]),
                    None => return Err(SyntaxError::Unclosed('"')),
                },
                Some(b'`') => return Err(SyntaxError::Expansion('`')),
                Some(b'$') => word.push(self.dollar()?),
                Some(byte) => word.push(byte),
                None => return Err(SyntaxError::Unclosed('"')),
            }
        }
    }

    /// A dollar sign is literal if nothing follows that a shell would expand.
    fn dollar(&self) -> Result<u8, SyntaxError> {
        match self.rest.front() {
            None | Some(b' ' | b'\t' | b'"' | b'/' | b'.' | b',' | b':' | b'=' | b'%' | b'+') => Ok(b'$'),
            Some(_) => Err(SyntaxError::Expansion('$')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<String>, SyntaxError> {
        Ok(split(line)?.iter().map(|word| word.escape_ascii().to_string()).collect())
    }

    #[test]
    fn words_are_those_that_a_shell_would_pass_on() {
        let cases: [(&str, &[&str]); 17] = [
            ("", &[]),
            (" \t ", &[]),
            ("ls -l  a\tb\n", &["ls", "-l", "a", "b"]),
            ("md5sum '/with space/it'\\''s'", &["md5sum", "/with space/it\\'s"]),
            (r#"get "a \"b\" \$x \\ \n""#, &["get", r#"a \"b\" $x \\ \\n"#]),
            (r"get a\ b\'c\$d", &["get", r"a b\'c$d"]),
            ("get ''", &["get", ""]),
            ("get a''b\"\"c", &["get", "abc"]),
            ("get 'a|b;c&d*e?[f]$g`h`(i)<j>'", &["get", "a|b;c&d*e?[f]$g`h`(i)<j>"]),
            ("get \\*\\?\\[", &["get", "*?["]),
            ("get a\\\nb", &["get", "ab"]),
            ("get 'a\nb'", &["get", "a\\nb"]),
            ("get a#b x=y {a} !", &["get", "a#b", "x=y", "{a}", "!"]),
            ("get ~ ~/x '~' a~", &["get", "/", "//x", "~", "a~"]),
            ("get a$ $", &["get", "a$", "$"]),
            ("get a\\ ", &["get", "a "]),
            ("scp -p -t -- dir", &["scp", "-p", "-t", "--", "dir"]),
        ];
        for (line, wanted) in cases {
            assert_eq!(words(line.as_bytes()).unwrap(), wanted, "{line:?}");
        }
        assert_eq!(split(b"get \xff'\xfe'").unwrap(), [b"get".to_vec(), b"\xff\xfe".to_vec()]);
    }

    #[test]
    fn what_needs_a_shell_is_refused_and_never_misread() {
        use SyntaxError::{Dangling, Expansion, Operator, Unclosed};
        for (line, wanted) in [
            ("ls | wc", Operator('|')),
            ("cd x && ls", Operator('&')),
            ("ls; rm x", Operator(';')),
            ("get a>b", Operator('>')),
            ("put a<b", Operator('<')),
            ("(ls)", Operator('(')),
            ("ls\nrm x", Operator('\u{23ce}')),
            ("ls # all", Operator('#')),
            ("rm *", Expansion('*')),
            ("rm a?", Expansion('?')),
            ("rm [a]", Expansion('[')),
            ("rm `x`", Expansion('`')),
            ("rm \"`x`\"", Expansion('`')),
            ("rm $HOME", Expansion('$')),
            ("rm \"$HOME\"", Expansion('$')),
            ("echo ${ShellId}%ComSpec%", Expansion('$')),
            ("rm $'a'", Expansion('$')),
            ("rm ~root", Expansion('~')),
            ("rm 'a", Unclosed('\'')),
            ("rm \"a", Unclosed('"')),
            ("rm \"a\\", Unclosed('"')),
            ("rm a\\", Dangling),
        ] {
            assert_eq!(words(line.as_bytes()), Err(wanted), "{line:?}");
        }
    }
}
