//! Untrusted names made safe to show on a terminal and in a log.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

/// Shows bytes as text. Control characters, characters that change the writing direction, and bytes that are not UTF-8
/// are shown as escapes (`\x1b`, `\u{202e}`), a backslash stays itself.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", c as u32)?,
                    c if c.is_control() || deceives(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                    c => f.write_char(c)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Bidirectional controls, line separators and zero-width characters: they make a name look like a different one.
fn deceives(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows a number of bytes in the largest unit that keeps it above 1: `512 B`, `31.2 MiB`.
#[derive(Clone, Copy)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_size(f, self.0, 1)
    }
}

/// Two different numbers of bytes with enough digits to distinguish them: `100.0 MiB` and `99.9 MiB`, or `104857601 B`
/// and `104857600 B`.
#[must_use]
pub fn apart(a: u64, b: u64) -> (String, String) {
    for digits in 1..=3 {
        let shown = (Digits(a, digits).to_string(), Digits(b, digits).to_string());
        if shown.0 != shown.1 || a == b {
            return shown;
        }
    }
    (format!("{a} B"), format!("{b} B"))
}

/// A number of bytes with this many decimal places.
struct Digits(u64, usize);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_size(f, self.0, self.1)
    }
}

fn write_size(f: &mut fmt::Formatter<'_>, bytes: u64, digits: usize) -> fmt::Result {
    const BINARY_UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return write!(f, "{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = BINARY_UNITS.iter();
    let mut unit = units.next().unwrap_or(&"KiB");
    // 1023.95 would be printed as 1024.0.
    while value >= 1023.95 {
        let Some(next) = units.next() else { break };
        value /= 1024.0;
        unit = next;
    }
    write!(f, "{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;

    #[test]
    fn control_sequences_are_escaped() {
        assert_eq!(Escaped(b"\x1b[2J").to_string(), "\\x1b[2J");
        assert_eq!(Escaped("\u{9b}2J".as_bytes()).to_string(), "\\u{9b}2J");
        assert_eq!(Escaped("a\u{202e}b".as_bytes()).to_string(), "a\\u{202e}b");
        assert_eq!(Escaped(b"\xff\xfea\nb").to_string(), "\\xff\\xfea\\x0ab");
        assert_eq!(Escaped("grüße 日本".as_bytes()).to_string(), "grüße 日本");
    }

    #[test]
    fn sizes_are_readable_at_every_boundary() {
        let shown =
            [0, 1023, 1024, 1536, 1_048_575, 1 << 20, 700 << 20, u64::MAX].map(|n| Size(n).to_string());
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "700.0 MiB", "16.0 EiB"]
        );
    }

    #[test]
    fn two_different_sizes_are_shown_differently() {
        const MIB: u64 = 1 << 20;
        for (a, b, want) in [
            (100 * MIB, 7 * MIB, ("100.0 MiB", "7.0 MiB")),
            (100 * MIB, 100 * MIB - 20_000, ("100.00 MiB", "99.98 MiB")),
            (100 * MIB + 1, 100 * MIB, ("104857601 B", "104857600 B")),
            (1024 * MIB, 1024 * MIB - 1, ("1073741824 B", "1073741823 B")),
            (2000, 2000, ("2.0 KiB", "2.0 KiB")),
            (12, 0, ("12 B", "0 B")),
        ] {
            assert_eq!(apart(a, b), (want.0.to_owned(), want.1.to_owned()));
        }
    }
}
