//! Single values of the file.

use super::section::is_not;
use super::{Algorithms, Confine, Kex, SizeError, parse_limit};
use crate::accounts::{Access, Expiry, NamePattern, Origin, PathPattern, SftpUploads, parse_folder};
use sshome_wire::RemotePath;
use std::net::SocketAddr;
use std::time::Duration;
use toml::de::DeValue;

/// The largest number of seconds of a setting: a day.
pub(super) const MAX_SECONDS: u64 = 86_400;

/// The lowest rate, in bytes a second: a cancelled transfer waits for its bytes in flight.
const MIN_RATE: u64 = 64 << 10;

/// The largest `part-expiry`, in days.
pub(super) const MAX_DAYS: u64 = 3650;

pub(super) fn string<'a>(value: &'a DeValue<'a>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| is_not(value, "a string: \"…\""))
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| is_not(value, "true or false"))
}

/// A path, not empty.
pub(super) fn path<'a>(value: &'a DeValue<'a>) -> Result<&'a str, String> {
    match string(value)? {
        "" => Err("is empty: set a path, relative to sshomed's folder".into()),
        path => Ok(path),
    }
}

/// Bytes, `None` for no limit.
pub(super) fn quota(value: &DeValue<'_>) -> Result<Option<u64>, String> {
    let text = match (value, integer(value)) {
        (DeValue::String(text), _) => text.to_string(),
        (_, Some(bytes)) => bytes.to_string(),
        _ => return Err(is_not(value, "a size: \"100 MiB\", a number of bytes, or \"unlimited\"")),
    };
    parse_limit(&text).map_err(|error| error.to_string())
}

/// Bytes a second, `None` for no limit.
pub(super) fn rate(value: &DeValue<'_>) -> Result<Option<u64>, String> {
    let want = "a rate: \"10 MiB/s\" or \"unlimited\"";
    let text = value.as_str().ok_or_else(|| is_not(value, want))?;
    if text == "unlimited" {
        return Ok(None);
    }
    let size = text.strip_suffix("/s").map(|size| parse_limit(size.trim_end()));
    match size.ok_or_else(|| format!("\"{text}\" is not {want}"))? {
        Ok(Some(rate)) if rate >= MIN_RATE => Ok(Some(rate)),
        Ok(Some(_)) | Err(SizeError::Zero) => {
            Err(format!("\"{text}\" is too slow: the minimum is {} KiB/s", MIN_RATE >> 10))
        }
        _ => Err(format!("\"{text}\" is not {want}")),
    }
}

/// A number of entries, `None` for no limit.
pub(super) fn max_files(value: &DeValue<'_>) -> Result<Option<u64>, String> {
    let want = "a number of files (at least 1), or \"unlimited\"";
    match (value.as_str(), integer(value)) {
        (Some("unlimited"), _) => Ok(None),
        (Some(text), _) => Err(format!("\"{text}\" is not {want}")),
        (_, Some(number)) => match u64::try_from(number) {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("{number} is not {want}")),
        },
        _ => Err(is_not(value, want)),
    }
}

pub(super) fn access(value: &DeValue<'_>) -> Result<Access, String> {
    match string(value)? {
        "read-only" => Ok(Access::ReadOnly),
        "read-write" => Ok(Access::ReadWrite),
        text => Err(format!("invalid access \"{text}\": use \"read-only\" or \"read-write\"")),
    }
}

/// The time from which an account or key is not accepted.
pub(super) fn expiry(value: &DeValue<'_>) -> Result<Expiry, String> {
    let time = value.as_datetime().and_then(|time| Expiry::parse_date(&time.to_string()));
    time.ok_or_else(|| is_not(value, "a date, or a date and a time, without quotes: 2027-01-01"))
}

/// The permissions of a key.
pub(super) fn key_access(value: &DeValue<'_>) -> Result<Access, String> {
    let text = string(value)?;
    let found = Access::OF_KEYS.into_iter().find(|access| access.name() == text);
    let names = Access::OF_KEYS.map(|access| format!("\"{}\"", access.name())).join(", ");
    found.ok_or_else(|| format!("invalid access \"{text}\": use one of {names}"))
}

pub(super) fn path_pattern(value: &DeValue<'_>) -> Result<PathPattern, String> {
    let text = string(value)?;
    PathPattern::parse(text)
        .ok_or_else(|| format!("\"{text}\" is not a pattern of a path: write it as \"locks/*\""))
}

pub(super) fn name_pattern(value: &DeValue<'_>) -> Result<NamePattern, String> {
    let text = string(value)?;
    NamePattern::parse(text)
        .ok_or_else(|| format!("\"{text}\" is not a pattern of a name: write it as \"*.partial\""))
}

/// The folder at which the view of a key begins.
pub(super) fn folder(value: &DeValue<'_>) -> Result<RemotePath, String> {
    let text = string(value)?;
    parse_folder(text)
        .ok_or_else(|| format!("\"{text}\" is not a folder of the home: write it as \"/laptop\""))
}

/// The addresses that a key may come from.
pub(super) fn origin(value: &DeValue<'_>) -> Result<Origin, String> {
    Origin::parse(string(value)?).map_err(|error| error.to_string())
}

pub(super) fn sftp_uploads(value: &DeValue<'_>) -> Result<SftpUploads, String> {
    match string(value)? {
        "in-place" => Ok(SftpUploads::InPlace),
        "atomic" => Ok(SftpUploads::Atomic),
        text => Err(format!("\"{text}\" is not a choice: write \"in-place\" or \"atomic\"")),
    }
}

pub(super) fn kex(value: &DeValue<'_>) -> Result<Kex, String> {
    match string(value)? {
        "compatible" => Ok(Kex::Compatible),
        "post-quantum" => Ok(Kex::PostQuantum),
        text => Err(format!("\"{text}\" is not a choice: write \"compatible\" or \"post-quantum\"")),
    }
}

pub(super) fn algorithms(value: &DeValue<'_>) -> Result<Algorithms, String> {
    match string(value)? {
        "strict" => Ok(Algorithms::Strict),
        "compatible" => Ok(Algorithms::Compatible),
        text => Err(format!("\"{text}\" is not a choice: write \"strict\" or \"compatible\"")),
    }
}

pub(super) fn confine(value: &DeValue<'_>) -> Result<Confine, String> {
    match string(value)? {
        "off" => Ok(Confine::Off),
        "best-effort" => Ok(Confine::BestEffort),
        "required" => Ok(Confine::Required),
        text => Err(format!("\"{text}\" is not a choice: write \"best-effort\", \"required\" or \"off\"")),
    }
}

/// A number of seconds: `10`, `"10 s"`.
pub(super) fn seconds(value: &DeValue<'_>) -> Result<Duration, String> {
    let want = format!("a number of seconds up to {MAX_SECONDS}: 10 or \"10 s\"");
    let number = match value.as_str() {
        Some(text) => text.strip_suffix('s').map_or(text, str::trim_end).parse().ok(),
        None => integer(value).and_then(|number| u64::try_from(number).ok()),
    };
    match (number, value.as_str()) {
        (Some(number), _) if number <= MAX_SECONDS => Ok(Duration::from_secs(number)),
        (_, Some(text)) => Err(format!("\"{text}\" is not {want}")),
        _ => Err(is_not(value, &want)),
    }
}

/// A number of days, bare or with the word.
pub(super) fn days(value: &DeValue<'_>) -> Result<Duration, String> {
    let want = format!("a number of days from 1 to {MAX_DAYS}: 7 or \"7 days\"");
    let number = match value.as_str() {
        Some(text) => {
            let number =
                text.strip_suffix("days").or_else(|| text.strip_suffix("day")).map_or(text, str::trim_end);
            number.parse().ok()
        }
        None => integer(value).and_then(|number| u64::try_from(number).ok()),
    };
    match (number, value.as_str()) {
        (Some(number), _) if (1..=MAX_DAYS).contains(&number) => Ok(Duration::from_secs(number * 24 * 3600)),
        (_, Some(text)) => Err(format!("\"{text}\" is not {want}")),
        _ => Err(is_not(value, &want)),
    }
}

/// An address and a port.
pub(super) fn address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    super::parse_address(string(value)?)
}

pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
