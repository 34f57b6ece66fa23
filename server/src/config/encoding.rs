//! A file that is not UTF-8: which encoding it has instead, and how to convert it.

/// The name that iconv(1) has for an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// With a byte order mark: Windows' Notepad and PowerShell write it.
    Utf16,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Utf16 => "UTF-16",
            Encoding::Utf16Le => "UTF-16LE",
            Encoding::Utf16Be => "UTF-16BE",
        }
    }

    /// Settings are mostly ASCII: in UTF-16 every second byte of them is zero.
    fn of(bytes: &[u8]) -> Option<Encoding> {
        match bytes {
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some(Encoding::Utf16),
            [_, 0, _, 0, ..] => Some(Encoding::Utf16Le),
            [0, _, 0, _, ..] => Some(Encoding::Utf16Be),
            _ => None,
        }
    }
}

/// Why a file cannot be read as text, with the command that converts it; `None` if it is UTF-8.
pub(super) fn problem(bytes: &[u8], file: &str) -> Option<String> {
    // The copy keeps owner and mode of the file.
    let convert = |from| {
        format!("iconv -f {from} -t UTF-8 {file} > {file}.utf8 && cp {file}.utf8 {file} && rm {file}.utf8")
    };
    if let Some(encoding) = Encoding::of(bytes) {
        let name = encoding.name();
        return Some(format!(
            "the file is {name}, and must be UTF-8: save it as UTF-8, or `{}`",
            convert(name)
        ));
    }
    let error = str::from_utf8(bytes).err()?;
    let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
    let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
    Some(format!(
        "line {line} is not UTF-8 (byte {byte:#04x}): save the file as UTF-8, or, if it is Latin-1, `{}`",
        convert("ISO-8859-1")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_reported_with_the_command_that_converts_it() {
        let utf16: Vec<u8> = "[server]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "[server]\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, want) in [
            ([&[0xFF, 0xFE], &utf16[..]].concat(), "the file is UTF-16, "),
            ([&[0xFE, 0xFF], &big[..]].concat(), "the file is UTF-16, "),
            (utf16.clone(), "iconv -f UTF-16LE -t UTF-8 users.toml"),
            (big.clone(), "iconv -f UTF-16BE -t UTF-8 users.toml"),
            (b"[server]\n# J\xfcrgen\n".to_vec(), "line 2 is not UTF-8 (byte 0xfc)"),
        ] {
            let found = problem(&bytes, "users.toml").unwrap();
            assert!(found.contains(want), "{found}");
        }
        for text in ["", "[server]\n", "# Jürgen\n", "\u{feff}[server]\n"] {
            assert_eq!(problem(text.as_bytes(), "users.toml"), None, "{text}");
        }
    }
}
