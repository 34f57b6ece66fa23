//! Sizes as people write them.

/// The units, and how many bytes each is. Those with an `i` are powers of 1024, the others of 1000.
const SIZE_UNITS: [(&str, u64); 13] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("EB", 1_000_000_000_000_000_000),
];

/// The largest size: the limit of a file's length on Linux.
const MAX_BYTES: u128 = i64::MAX as u128;

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is not a number with a unit.
    #[error(
        "invalid size \"{0}\": use \"100 MiB\", \"1.5 GiB\", \"700 MB\", a number of bytes, or \"unlimited\""
    )]
    NoSize(String),
    /// `700M` means one thing to some and another thing to others.
    #[error("\"{0}\" could be powers of 1000 or of 1024: write {1}B or {1}iB")]
    Ambiguous(String, String),
    /// Nothing would fit.
    #[error(
        "0 would leave no space: write \"unlimited\" for no limit, or access = \"read-only\" for no writing"
    )]
    Zero,
    /// It is more than any disk.
    #[error("\"{0}\" is too large: the limit is 8 EiB; write \"unlimited\" for no limit")]
    TooLarge(String),
}

/// Reads a size in bytes; `None` for `unlimited`. A fraction of a byte is dropped.
///
/// # Errors
/// If the text is not a size, or a nonsensical one.
pub fn parse_limit(text: &str) -> Result<Option<u64>, SizeError> {
    let text = text.trim();
    if text == "unlimited" {
        return Ok(None);
    }
    let no_size = || SizeError::NoSize(text.to_owned());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = factor(number, unit.trim_start()).ok_or_else(no_size)??;
    let bytes = times(number, factor).ok_or_else(no_size)?;
    match bytes {
        0 => Err(SizeError::Zero),
        bytes if bytes > MAX_BYTES => Err(SizeError::TooLarge(text.to_owned())),
        bytes => Ok(u64::try_from(bytes).ok()),
    }
}

/// How many bytes a unit is.
fn factor(number: &str, unit: &str) -> Option<Result<u64, SizeError>> {
    if unit.is_empty() {
        return Some(Ok(1));
    }
    if let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        return Some(Ok(*factor));
    }
    let short = SIZE_UNITS.iter().any(|(name, _)| {
        name.len() == 2 && name.strip_suffix('B').is_some_and(|name| name.eq_ignore_ascii_case(unit))
    });
    short.then(|| {
        let unit = unit.to_ascii_uppercase();
        Err(SizeError::Ambiguous(format!("{number}{unit}"), format!("{number} {unit}")))
    })
}

/// A decimal number times a factor, exact but for fractions of a byte. Saturates.
fn times(number: &str, factor: u64) -> Option<u128> {
    let (whole, fraction) = match number.split_once('.') {
        // "1." and ".5" are more often typing errors than numbers.
        Some((whole, fraction)) if !whole.is_empty() && !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let digits = |text: &str| text.chars().map(|c| c.to_digit(10)).collect::<Option<Vec<u32>>>();
    let factor = u128::from(factor);
    let bytes = digits(whole)?
        .iter()
        .fold(0u128, |sum, digit| sum.saturating_mul(10).saturating_add(u128::from(*digit)))
        .saturating_mul(factor);
    // 18 decimal places are more precise than a byte in any unit.
    let (mut value, mut scale) = (0u128, 1u128);
    for digit in digits(fraction)?.iter().take(18) {
        value = value * 10 + u128::from(*digit);
        scale *= 10;
    }
    (!whole.is_empty()).then(|| bytes.saturating_add(value * factor / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed() {
        for (text, want) in [
            ("1", 1),
            ("1048576", 1 << 20),
            ("100 MiB", 100 << 20),
            ("100MiB", 100 << 20),
            ("1.5 GiB", 3 << 29),
            ("0.5 kB", 500),
            ("700MB", 700_000_000),
            ("700 mb", 700_000_000),
            ("1.0000000001 KiB", 1024),
            ("7.999 EiB", 9_222_219_115_350_168_961),
            (" 12 B ", 12),
        ] {
            assert_eq!(parse_limit(text), Ok(Some(want)), "{text}");
        }
        assert_eq!(parse_limit("unlimited"), Ok(None));
    }

    #[test]
    fn invalid_sizes_are_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1,5 GiB",
            "1.",
            ".5 GiB",
            "1.2.3 GiB",
            "10 XB",
            "ten",
            "1 MiB x",
            "1e6",
            "١ MiB",
        ] {
            assert_eq!(parse_limit(text), Err(SizeError::NoSize(text.into())), "{text}");
        }
        assert_eq!(parse_limit("700m"), Err(SizeError::Ambiguous("700M".into(), "700 M".into())));
        for text in ["0", "0 MiB", "0.0001 B"] {
            assert_eq!(parse_limit(text), Err(SizeError::Zero), "{text}");
        }
        for text in ["8 EiB", "10 EB", "99999999999999999999999999999999999999999999999 EiB"] {
            assert_eq!(parse_limit(text), Err(SizeError::TooLarge(text.into())), "{text}");
        }
    }
}
