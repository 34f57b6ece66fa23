//! Globs: what `*`, `?` and `[a-z]` match.
//!
//! Names are bytes, so no crate for globs over text fits: `?` and `[…]` take one character if the bytes are UTF-8 and
//! one byte if they are not, and a quoted byte is literal.

/// A glob that matches one name. It never looks beyond a `/`, since a name has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This byte.
    Byte(u8),
    /// Any one character: `?`.
    One,
    /// Any number of characters: `*`.
    Many,
    /// One character of these ranges, or not of these: `[a-z]`, `[!a-z]`.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// A glob of a shell. Each byte has a flag that it is quoted and therefore literal.
    #[must_use]
    pub fn shell(letters: &[(u8, bool)]) -> Glob {
        let mut tokens = Vec::new();
        let mut rest = letters;
        while let Some((&(byte, quoted), after)) = rest.split_first() {
            rest = after;
            tokens.push(match byte {
                b'*' if !quoted => Token::Many,
                b'?' if !quoted => Token::One,
                b'[' if !quoted => match class(after) {
                    Some((token, after)) => {
                        rest = after;
                        token
                    }
                    // A bracket that is not closed is literal, as in a shell.
                    None => Token::Byte(byte),
                },
                byte => Token::Byte(byte),
            });
        }
        Glob(tokens)
    }

    /// A glob on names or addresses of hosts, where only `*` and `?` are special and case does not count.
    #[must_use]
    pub fn host(pattern: &str) -> Glob {
        let token = |byte: u8| match byte {
            b'*' => Token::Many,
            b'?' => Token::One,
            byte => Token::Byte(byte.to_ascii_lowercase()),
        };
        Glob(pattern.bytes().map(token).collect())
    }

    /// Whether the glob matches the whole name. The time is at most proportional to the product of their lengths.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let (mut tokens, mut name) = (self.0.as_slice(), name);
        // Where to continue after a mismatch: after the last `*`, one character later each time.
        let mut retry: Option<(&[Token], &[u8])> = None;
        loop {
            if let Some((Token::Many, after)) = tokens.split_first() {
                retry = Some((after, name));
                tokens = after;
                continue;
            }
            let step = match tokens.split_first() {
                None if name.is_empty() => return true,
                None => None,
                Some((token, after)) => token.take(name).map(|left| (after, left)),
            };
            if let Some(next) = step {
                (tokens, name) = next;
                continue;
            }
            let Some((after, from)) = retry else { return false };
            let Some(from) = Token::One.take(from) else { return false };
            retry = Some((after, from));
            (tokens, name) = (after, from);
        }
    }
}

impl Token {
    /// The rest of the name after the match; `None` if it does not match.
    fn take<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let (character, length) = first_character(name)?;
        let length = match self {
            Token::Byte(byte) if name.first() == Some(byte) => 1,
            Token::Byte(_) | Token::Many => return None,
            Token::One => length,
            Token::Class { negated, ranges } => {
                let within =
                    character.is_some_and(|c| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)));
                if within == *negated {
                    return None;
                }
                length
            }
        };
        name.get(length..)
    }
}

/// The class whose opening bracket has just been read, and the rest after it; `None` if it is not closed.
fn class(letters: &[(u8, bool)]) -> Option<(Token, &[(u8, bool)])> {
    let (negated, body) = match letters.split_first() {
        Some(((b'!' | b'^', false), after)) => (true, after),
        _ => (false, letters),
    };
    // A closing bracket that comes first is one of the characters.
    let close = body.iter().skip(1).position(|letter| *letter == (b']', false))? + 1;
    let inside: Vec<u8> = body.get(..close)?.iter().map(|letter| letter.0).collect();
    let mut ranges = Vec::new();
    let mut rest = inside.as_slice();
    while let Some((low, length)) = first_character(rest) {
        rest = rest.get(length..)?;
        let Some(low) = low else { continue };
        let mut high = low;
        if let Some((b'-', after)) = rest.split_first()
            && let Some((Some(end), length)) = first_character(after)
        {
            high = end;
            rest = after.get(length..)?;
        }
        ranges.push((low, high));
    }
    Some((Token::Class { negated, ranges }, body.get(close + 1..)?))
}

/// The first character and its length; no character, of length 1, where the bytes are not UTF-8.
fn first_character(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let head = bytes.get(..bytes.len().min(4))?;
    let chunk = head.utf8_chunks().next()?;
    match chunk.valid().chars().next() {
        Some(c) => Some((Some(c), c.len_utf8())),
        None => Some((None, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &[u8], name: &[u8]) -> bool {
        let letters: Vec<_> = pattern.iter().map(|byte| (*byte, false)).collect();
        Glob::shell(&letters).matches(name)
    }

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, name, want) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-cd", false),
            ("*.txt", "a.txt.txt", true),
            ("?", "", false),
            ("?", "ü", true),
            ("??", "ü", false),
            ("gr?ße*", "grüße aus 日本", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), want, "{pattern} {name}");
        }
    }

    #[test]
    fn classes_match_as_in_a_shell() {
        for (pattern, name, want) in [
            ("[a-c]", "b", true),
            ("[a-c]", "d", false),
            ("[!a-c]", "d", true),
            ("[^a-c]", "b", false),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[a-]", "-", true),
            ("[ä-ü]x", "öx", true),
            ("[", "[", true),
            ("[a", "[a", true),
            ("a[0-9][0-9].c", "a42.c", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), want, "{pattern} {name}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_match() {
        assert!(matches(b"?", b"\xff"));
        assert!(!matches(b"?", b"\xff\xfe"));
        assert!(matches(b"\xff*", b"\xff\xfe"));
        assert!(!matches(b"[a-z]", b"\xff"));
        assert!(matches(b"[!a-z]", b"\xff"));
    }

    #[test]
    fn quoted_characters_are_literal() {
        let pattern = Glob::shell(&[(b'*', true), (b'*', false)]);
        assert!(pattern.matches(b"*x"));
        assert!(!pattern.matches(b"xx"));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "a*".repeat(60) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(250).as_bytes()));
    }

    #[test]
    fn host_patterns_ignore_case() {
        assert!(Glob::host("*.Example.org").matches(b"www.example.org"));
        assert!(!Glob::host("*.example.org").matches(b"example.org"));
        assert!(Glob::host("[10.0.0.?]:2222").matches(b"[10.0.0.7]:2222"));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let glob = |pattern: &str, name: &[u8]| Glob::host(pattern).matches(name);
        assert!(!glob(&"*a".repeat(200), &[b'a'; 150]));
        assert!(glob("*a*b*", b"xxaxxbxx"));
        assert!(glob("**", b""));
        assert!(!glob("?", b""));
    }
}
