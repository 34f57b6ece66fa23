//! Splits a command line into words with the quoting rules of a POSIX shell (POSIX.1-2024, XCU 2.2 and 2.3).
//! Expansions, pipes, redirections and anything else that needs a shell are refused and never taken literally.

use sshome_ssh::{IncompleteLine, Quoting, ShellLexer, ShellToken};

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

impl From<IncompleteLine> for SyntaxError {
    fn from(line: IncompleteLine) -> SyntaxError {
        match line {
            IncompleteLine::OpenQuote(quote) => SyntaxError::Unclosed(quote),
            IncompleteLine::Backslash => SyntaxError::Dangling,
        }
    }
}

/// The words of a line. `~` and `~/NAME` are the home, whose path is `/`.
///
/// # Errors
/// If the line is not a single plain command.
pub(super) fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, SyntaxError> {
    let (mut lexer, end) = (ShellLexer::new(line), line.trim_ascii_end().len());
    let (mut words, mut word) = (Vec::new(), None::<Vec<u8>>);
    // No word begins in the white space at the end.
    while (word.is_some() || lexer.position() < end)
        && let Some(token) = lexer.token()?
    {
        let (at, rest) = (lexer.position(), lexer.rest());
        let byte = match token {
            ShellToken::OpeningQuote => None,
            ShellToken::Byte(b' ' | b'\t', Quoting::Unquoted) => {
                words.extend(word.take());
                continue;
            }
            ShellToken::Byte(b'\n', Quoting::Unquoted) if at >= end => break,
            ShellToken::Byte(byte, Quoting::Unquoted) => Some(unquoted(byte, rest, word.is_none())?),
            ShellToken::Byte(b'`', Quoting::Double) => return Err(SyntaxError::Expansion('`')),
            ShellToken::Byte(b'$', Quoting::Double) => Some(dollar(rest)?),
            ShellToken::Byte(byte, _) => Some(byte),
        };
        word.get_or_insert_default().extend(byte);
    }
    words.extend(word);
    Ok(words)
}

/// What an unquoted byte means. `rest` is behind it, and `first` says whether it begins a word.
fn unquoted(byte: u8, rest: &[u8], first: bool) -> Result<u8, SyntaxError> {
    match byte {
        b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' => Err(SyntaxError::Operator(byte.into())),
        b'\n' => Err(SyntaxError::Operator('\u{23ce}')),
        b'#' if first => Err(SyntaxError::Operator('#')),
        b'*' | b'?' | b'[' | b'`' => Err(SyntaxError::Expansion(byte.into())),
        b'$' => dollar(rest),
        b'~' if first => match rest.first() {
            None | Some(b'/' | b' ' | b'\t') => Ok(b'/'),
            // Another user's home.
            Some(_) => Err(SyntaxError::Expansion('~')),
        },
        byte => Ok(byte),
    }
}

/// A dollar sign is literal if nothing follows that a shell would expand.
fn dollar(rest: &[u8]) -> Result<u8, SyntaxError> {
    match rest.first() {
        None | Some(b' ' | b'\t' | b'"' | b'/' | b'.' | b',' | b':' | b'=' | b'%' | b'+') => Ok(b'$'),
        Some(_) => Err(SyntaxError::Expansion('$')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<String>, SyntaxError> {
        Ok(split(line)?.iter().map(|word| word.escape_ascii().to_string()).collect())
    }

    #[test]
    fn words_are_split_as_by_a_shell() {
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
    fn a_word_may_begin_on_the_next_line() {
        for (line, wanted) in
            [("ls \\\n", &["ls"][..]), ("ls \\\n a", &["ls", "a"]), ("ls \\\n~/a", &["ls", "//a"])]
        {
            assert_eq!(words(line.as_bytes()).unwrap(), wanted, "{line:?}");
        }
        assert_eq!(words(b"ls \\\n# a"), Err(SyntaxError::Operator('#')));
    }

    #[test]
    fn shell_features_are_refused_and_never_misread() {
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
