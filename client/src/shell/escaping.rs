//! The content of files on a terminal: it is untrusted, so nothing in it may control the terminal.

use sshome_wire::display::Escaped;
use std::io::{self, Write};

/// The longest UTF-8 sequence, less one byte.
const MAX_INCOMPLETE: usize = 3;

/// Writes text to a terminal or a pager. Line feeds and tabs stay; other control characters, and bytes that are not
/// UTF-8, become escapes. When it is dropped, it ends the last line, because a prompt follows.
pub(super) struct EscapingWriter<W: Write> {
    output: W,
    /// The bytes at the end whose meaning depends on the next one.
    pending: Vec<u8>,
    in_line: bool,
}

impl<W: Write> EscapingWriter<W> {
    pub(super) fn new(output: W) -> EscapingWriter<W> {
        EscapingWriter { output, pending: Vec::new(), in_line: false }
    }

    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut text = String::with_capacity(bytes.len());
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                // A text file from Windows has a carriage return before the line feed.
                text.truncate(text.strip_suffix("\\x0d").map_or(text.len(), str::len));
                text.push('\n');
            }
            for (index, piece) in line.split(|byte| *byte == b'\t').enumerate() {
                if index > 0 {
                    text.push('\t');
                }
                text.push_str(&Escaped(piece).to_string());
            }
        }
        if let Some(last) = text.chars().last() {
            self.in_line = last != '\n';
        }
        self.output.write_all(text.as_bytes())
    }
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(buffer);
        self.pending = bytes.split_off(bytes.len() - incomplete(&bytes));
        self.show(&bytes)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write> Drop for EscapingWriter<W> {
    fn drop(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        // A closed terminal shows nothing.
        let _ = self.show(&pending);
        if self.in_line {
            let _ = self.output.write_all(b"\n");
        }
        let _ = self.output.flush();
    }
}

/// The number of bytes at the end that begin a character, or are a carriage return.
fn incomplete(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    let length = |lead: u8| match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let tail = bytes.iter().rev().take(MAX_INCOMPLETE).enumerate();
    let lead = tail.map(|(back, byte)| (back + 1, *byte)).find(|(_, byte)| *byte & 0xc0 != 0x80);
    lead.filter(|(count, byte)| length(*byte) > *count).map_or(0, |(count, _)| count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chunks: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut writer = EscapingWriter::new(&mut out);
        chunks.iter().for_each(|chunk| writer.write_all(chunk).unwrap());
        drop(writer);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_stays_and_nothing_controls_the_terminal() {
        assert_eq!(shown(&["a\tb\nü\n".as_bytes()]), "a\tb\nü\n");
        assert_eq!(shown(&[b"\x1b[2J\x07\x9b1m"]), "\\x1b[2J\\x07\\x9b1m\n");
        assert_eq!(shown(&[b"dos\r\nline\r\nbare\rend"]), "dos\nline\nbare\\x0dend\n");
        assert_eq!(shown(&["\u{202e}".as_bytes()]), "\\u{202e}\n");
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let text = "ä€😀\r\nx\u{9b}\x1b[1m\n".as_bytes();
        let whole = shown(&[text]);
        for at in 0..text.len() {
            assert_eq!(shown(&[&text[..at], &text[at..]]), whole, "{at}");
        }
        assert_eq!(shown(&[b"a\xe2\x82"]), "a\\xe2\\x82\n");
        assert_eq!(shown(&[b"a\r"]), "a\\x0d\n");
    }
}
