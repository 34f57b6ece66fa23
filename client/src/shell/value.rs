//! The values of options. An error says what the option wants.

use sshome_wire::Digest;

/// Reads a length in bytes.
///
/// # Errors
/// What is wanted instead.
pub(super) fn size(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "wants a number of bytes".to_owned())
}

/// Reads a length in bytes, or with a suffix in KiB, MiB, GiB or TiB: `K`, `M`, `G`, `T`.
///
/// # Errors
/// What is wanted instead.
pub(super) fn scaled_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.chars().last().map(|last| last.to_ascii_uppercase()) {
        Some('K') => (text.get(..text.len() - 1), 10),
        Some('M') => (text.get(..text.len() - 1), 20),
        Some('G') => (text.get(..text.len() - 1), 30),
        Some('T') => (text.get(..text.len() - 1), 40),
        _ => (Some(text), 0),
    };
    let number = digits.and_then(|digits| digits.parse::<u64>().ok());
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "wants a size, such as 4096, 64K or 5M".to_owned())
}

/// Reads a number.
///
/// # Errors
/// What is wanted instead.
pub(super) fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "wants a number".to_owned())
}

/// Reads a number of directory levels.
///
/// # Errors
/// What is wrong with it.
pub(super) fn depth(text: &str) -> Result<(), String> {
    text.parse::<usize>().map(drop).map_err(|_| "it is not a number of directory levels".to_owned())
}

/// Reads a digest in hexadecimal, as `hash` and `b3sum` print it.
///
/// # Errors
/// What is wanted instead.
pub(super) fn digest(text: &str) -> Result<Digest, String> {
    let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        let pair = text.get(2 * at..2 * at + 2).filter(|_| digits);
        let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = value.ok_or("wants a BLAKE3 digest (64 digits of 0-9 and a-f)")?;
    }
    Ok(Digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("64K", 64 << 10), ("5m", 5 << 20), ("2G", 2 << 30)] {
            assert_eq!(scaled_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "K", "-1", "1.5M", "1KB", "99999999999T", "ä"] {
            assert!(scaled_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_are_read_as_they_are_printed() {
        let text = blake3::hash(b"abc").to_hex();
        assert_eq!(digest(&text).unwrap().to_string(), text.as_str());
        assert_eq!(digest(&text.to_uppercase()).unwrap().to_string(), text.as_str());
        for bad in
            [&text[1..], &format!("{text}0"), &text.replace(|c: char| c == text.chars().next().unwrap(), "+")]
        {
            assert!(digest(bad).is_err(), "{bad}");
        }
    }
}
