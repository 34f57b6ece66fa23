//! The table `[server.log]`.

use super::location::resolve;
use super::section::{Section, is_not, set};
use super::settings::{LOG_SETTINGS, names};
use super::value::{boolean, integer, path, string};
use super::{ConfigLocation, Diagnostics, parse_limit};
use std::path::PathBuf;
use toml::de::DeValue;

/// The smallest file that is kept, in bytes.
const MIN_FILE_BYTES: u64 = 4 << 10;

/// The largest number of rotated files.
pub(super) const MAX_KEPT_FILES: u64 = 1000;

/// The settings of `[server.log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The format of lines on standard error.
    pub format: LogFormat,
    /// A file that gets them as JSON as well.
    pub file: Option<PathBuf>,
    /// The size at which it is rotated, in bytes.
    pub max_size: u64,
    /// The number of rotated files to keep.
    pub keep: usize,
    /// Whether downloads are logged.
    pub reads: bool,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { format: LogFormat::Text, file: None, max_size: 100 << 20, keep: 5, reads: true }
    }
}

pub(super) fn read(
    server: &Section<'_>,
    location: &ConfigLocation,
    mistakes: &mut Diagnostics,
) -> LogSettings {
    let mut log = LogSettings::default();
    let Some(section) = server.table("log", mistakes) else { return log };
    section.only(&names(&[LOG_SETTINGS], &[]), mistakes);
    set(&mut log.format, section.get("format", format, mistakes));
    let file = |value| file(location, path(value)?).map(Some);
    set(&mut log.file, section.get("file", file, mistakes));
    set(&mut log.max_size, section.get("max-size", max_size, mistakes));
    set(&mut log.keep, section.get("keep", keep, mistakes));
    set(&mut log.reads, section.get("reads", boolean, mistakes));
    log
}

/// A file in a folder that the server may write to as a whole: files of the log are renamed there.
fn file(location: &ConfigLocation, path: &str) -> Result<PathBuf, String> {
    let full = location.path(path);
    let folder = full.parent().map(resolve).unwrap_or_default();
    if location.file.starts_with(&folder) || location.dir.starts_with(&folder) {
        return Err(format!("{path} must be in a folder without the server's own files, such as log/audit"));
    }
    Ok(full)
}

fn format(value: &DeValue<'_>) -> Result<LogFormat, String> {
    match string(value)? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        text => Err(format!("\"{text}\" is not a choice: write \"text\" or \"json\"")),
    }
}

fn max_size(value: &DeValue<'_>) -> Result<u64, String> {
    let text = string(value)?;
    match parse_limit(text) {
        Ok(Some(size)) if size >= MIN_FILE_BYTES => Ok(size),
        _ => Err(format!(
            "\"{text}\" is not a size of at least {} KiB, such as \"100 MiB\"",
            MIN_FILE_BYTES >> 10
        )),
    }
}

fn keep(value: &DeValue<'_>) -> Result<usize, String> {
    let want = format!("a number of files from 1 to {MAX_KEPT_FILES}");
    let number = integer(value).ok_or_else(|| is_not(value, &want))?;
    let fitting = u64::try_from(number).ok().filter(|number| (1..=MAX_KEPT_FILES).contains(number));
    let fitting = fitting.and_then(|number| usize::try_from(number).ok());
    fitting.ok_or_else(|| format!("{number} is not {want}"))
}
