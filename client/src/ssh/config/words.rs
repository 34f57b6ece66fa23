//! The words of a line.

/// Splits a line into its keyword, in lower case, and the rest; `None` if it is empty or a comment.
pub(super) fn keyword(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    Some((keyword.to_ascii_lowercase(), rest))
}

/// The words of a text, up to a comment. Both kinds of quotes group; a backslash makes a quote, a backslash or a space
/// literal.
///
/// # Errors
/// If a quote is not closed.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// The first word, and the text after it.
fn word(text: &str) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let escaped = chars.peek().map(|(_, next)| *next).filter(|next| {
            c == '\\' && (matches!(next, '"' | '\'' | '\\') || (*next == ' ' && quote.is_none()))
        });
        match (quote, escaped) {
            (_, Some(next)) => {
                word.push(next);
                chars.next();
            }
            (None, None) if c.is_whitespace() => return Ok((word, text.get(at..).unwrap_or_default())),
            (None, None) if matches!(c, '"' | '\'') => quote = Some(c),
            (Some(open), None) if c == open => quote = None,
            _ => word.push(c),
        }
    }
    match quote {
        None => Ok((word, "")),
        Some(_) => Err("a quote is not closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_end_at_a_space_or_an_equals_sign() {
        assert_eq!(keyword("  HostName = a b "), Some(("hostname".to_owned(), "a b")));
        assert_eq!(keyword("Port=22"), Some(("port".to_owned(), "22")));
        assert_eq!(keyword("User\t= =x"), Some(("user".to_owned(), "=x")));
        assert_eq!((keyword("   "), keyword(" # Host x")), (None, None));
    }

    #[test]
    fn quotes_and_backslashes_group_words() {
        for (text, want) in [
            ("a b\tc", &["a", "b", "c"][..]),
            ("\"a b\"c d", &["a bc", "d"]),
            ("'a \"b' \"it's\"", &["a \"b", "it's"]),
            (r#"a\ b \"c\\ "#, &["a b", r#""c\"#]),
            (r"C:\dir", &[r"C:\dir"]),
            ("a # b", &["a"]),
            ("a#b \"\"", &["a#b", ""]),
        ] {
            assert_eq!(words(text).unwrap(), want, "{text}");
        }
        assert!(words("\"open").is_err() && words("it's").is_err());
    }
}
