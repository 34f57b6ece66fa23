//! Names as GNU ls shows them on a terminal.

use sshome_wire::display::Escaped;
use std::fmt::Write;

/// A name as GNU ls shows it on a terminal: as it is, or quoted so that a shell, and our prompt, read it as one word.
/// Unprintable bytes are escaped in `$'…'`.
#[must_use]
pub(super) fn quoted(name: &[u8]) -> String {
    let is_plain = |c: char| !" !\"$&'()*;<=>?[\\^`|".contains(c);
    let text = std::str::from_utf8(name).unwrap_or("");
    let shown = Escaped(name).to_string();
    let begins = text.starts_with(['#', '~']) || matches!(text, "" | "{" | "}");
    if shown == text && !begins && text.chars().all(is_plain) {
        return shown;
    }
    // An apostrophe is more readable between quotation marks, unless a character is special there.
    if shown == text && text.contains('\'') && !text.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{text}\"");
    }
    let mut out = Quoted { text: String::from("'"), escaping: false };
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            // `Escaped` leaves a backslash as it is.
            match c == '\\' || !Escaped(bytes).to_string().starts_with('\\') {
                true => out.text(c),
                false => out.bytes(bytes),
            }
        }
        out.bytes(chunk.invalid());
    }
    out.text + "'"
}

/// Builds a quoted name: between apostrophes, or in `$'…'` while bytes are escaped.
struct Quoted {
    text: String,
    escaping: bool,
}

impl Quoted {
    fn text(&mut self, c: char) {
        if std::mem::take(&mut self.escaping) {
            self.text.push_str("''");
        }
        match c {
            '\'' => self.text.push_str("'\\''"),
            c => self.text.push(c),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !std::mem::replace(&mut self.escaping, true) {
                self.text.push_str("'$'");
            }
            match byte {
                b'\n' => self.text.push_str("\\n"),
                b'\t' => self.text.push_str("\\t"),
                b'\r' => self.text.push_str("\\r"),
                // Writing into a String cannot fail.
                byte => drop(write!(self.text, "\\x{byte:02x}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::{Word, split};
    use super::*;

    #[test]
    fn names_are_quoted_as_by_gnu_ls_and_read_back() {
        for (name, shown) in [
            (&b"plain"[..], "plain"),
            (b"a b", "'a b'"),
            (b" ", "' '"),
            (b"it's", "\"it's\""),
            (b"it's $1", "'it'\\''s $1'"),
            (b"#a", "'#a'"),
            (b"a#~b", "a#~b"),
            (b"a\nb", "'a'$'\\n''b'"),
            (b"a\n", "'a'$'\\n'"),
            (b"\x1b[2J", "''$'\\x1b''[2J'"),
            (b"\xff\xfe", "''$'\\xff\\xfe'"),
            (b"a\\b", "'a\\b'"),
            (b"[1]", "'[1]'"),
            ("日本".as_bytes(), "日本"),
        ] {
            assert_eq!(quoted(name), shown);
            let words = split(shown.as_bytes()).unwrap();
            assert_eq!(words.iter().map(Word::bytes).collect::<Vec<_>>(), [name], "{shown}");
        }
    }
}
