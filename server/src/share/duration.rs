//! Durations on the command line.

use jiff::{Span, SpanRelativeTo};
use std::time::Duration;

/// Parses a duration: `90s`, `30m`, `2h`, `1h 30m`, `1d`.
///
/// # Errors
/// If it is not one, or not positive.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>().ok();
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("\"{text}\" is not a duration: write 30m, 2h or 1d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_is_positive() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400), ("1d", 86400)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "2", "0s", "-1h", "h", "2 parsecs", "1 month"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
