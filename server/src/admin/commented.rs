//! Which comment lines are commented settings, and which are prose.

use toml_edit::DocumentMut;

/// The setting in a commented line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// Text for people.
    Prose,
    /// A key with its value, or a part of one.
    Key,
    /// The header of a table.
    Header,
}

pub(super) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

pub(super) fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// The kinds of comment lines that follow each other.
pub(super) fn kinds(lines: &[&str]) -> Vec<LineKind> {
    let mut kinds = Vec::new();
    while let Some(line) = lines.get(kinds.len()) {
        let (content, rest) = (content(line), lines.get(kinds.len()..).unwrap_or_default());
        let is_header = content.trim_start().starts_with('[') && is_toml(content);
        // `#quota = 5   # why`, and the rest of the explanation below, as `#   # and why else`.
        let explains = content.trim_start().starts_with('#') && kinds.last() == Some(&LineKind::Key);
        match key_lines(rest) {
            _ if is_header => kinds.push(LineKind::Header),
            Some(length) => kinds.extend(std::iter::repeat_n(LineKind::Key, length)),
            None if explains => kinds.push(LineKind::Key),
            None => kinds.push(LineKind::Prose),
        }
    }
    kinds
}

/// The comment without its mark.
fn content(line: &str) -> &str {
    line.trim_start().strip_prefix('#').unwrap_or(line)
}

/// How many lines the commented key takes that begins in the first; `None` if there is none.
fn key_lines(lines: &[&str]) -> Option<usize> {
    let (key, _) = content(lines.first()?).split_once('=')?;
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || "-_.\"'".contains(c);
    if key.trim().is_empty() || !key.trim().chars().all(is_key_char) {
        return None;
    }
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        text += content(line);
        if is_toml(&text) {
            return Some(index + 1);
        }
    }
    Some(1)
}

fn is_toml(text: &str) -> bool {
    text.parse::<DocumentMut>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commented_settings_are_distinguished_from_prose() {
        let text = "# All of a user's:\n#\n#[users.sam]\n# quota = 5   # small\n#             # or large\n\
                    #authorized-keys = [\n#    \"a.pub\",   # a file\n#]\n# [see above] quota = all\n# a quota = 5\n";
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        use LineKind::{Header, Key, Prose};
        assert_eq!(kinds(&lines), [Prose, Prose, Header, Key, Key, Key, Key, Key, Prose, Prose]);
    }
}
