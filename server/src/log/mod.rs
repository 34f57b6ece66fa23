//! The log: standard error, and a file of JSON lines with rotation.

mod fields;
mod file;
mod queue;

pub use queue::lost_lines;

use crate::audit::READ_LOG_TARGET;
use crate::config::{LogFormat, LogSettings};
use fields::QuotedFields;
use file::LogFile;
use jiff::Timestamp;
use queue::LogQueue;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// The default filter, without `RUST_LOG`. russh's own lines lack the peer; `session` logs the same events with it.
const DEFAULT_FILTER: &str = "warn,russh=off,sshomed=info,sshome_store=info";

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` is invalid.
    #[error("invalid RUST_LOG: {0}")]
    Filter(#[from] ParseError),
    /// The file.
    #[error(
        "the log {}: {}; server.log.file sets a different file",
        crate::config::shown(.file), crate::permission::CannotCreate(.file, .error)
    )]
    File {
        /// The file.
        file: std::path::PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// No thread can be started.
    #[error("the log cannot be written: {0}")]
    Thread(io::Error),
    /// A log is set up already.
    #[error("the log is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// The log of this process. Dropping it flushes the queued lines, with a timeout.
pub struct Log {
    queues: Vec<LogQueue>,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queues.iter().for_each(LogQueue::flush);
    }
}

/// Standard error. A line that was written partially is ended before the next one.
struct StandardError {
    torn: bool,
}

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if self.torn {
            stderr.write_all(b"\n")?;
        }
        self.torn = true;
        stderr.write_all(line)?;
        self.torn = false;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The message of a line about lost lines.
const LOST_LINES_MESSAGE: &str = "lines of the log were lost: they could not be written, or not in time";

fn lost_as_text(lost: u64) -> String {
    format!("{} WARN {}: {LOST_LINES_MESSAGE} lost={lost}\n", Timestamp::now(), module_path!())
}

fn lost_as_json(lost: u64) -> String {
    let (timestamp, target) = (Timestamp::now().to_string(), module_path!());
    let line = json!({ "timestamp": timestamp, "level": "WARN", "message": LOST_LINES_MESSAGE, "lost": lost, "target": target });
    format!("{line}\n")
}

/// Sets up the log. `RUST_LOG` filters standard error; the file always gets the default lines.
///
/// # Errors
/// If the file cannot be opened or `RUST_LOG` is invalid.
pub fn begin(settings: &LogSettings) -> Result<Log, LogError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let report = match settings.format {
        LogFormat::Text => lost_as_text,
        LogFormat::Json => lost_as_json,
    };
    let queue =
        LogQueue::begin("log-stderr", StandardError { torn: false }, report).map_err(LogError::Thread)?;
    let stderr = fmt::layer().with_writer(queue.share()).with_ansi(io::stderr().is_terminal());
    let mut queues = vec![queue];
    let stderr = match settings.format {
        // The journal has a time for each line already.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            stderr.without_time().fmt_fields(QuotedFields).boxed()
        }
        LogFormat::Text => stderr.fmt_fields(QuotedFields).boxed(),
        LogFormat::Json => stderr.json().flatten_event(true).boxed(),
    };
    let file = match &settings.file {
        None => None,
        Some(path) => {
            let file = LogFile::open(path, settings.max_size, settings.keep);
            let file = file.map_err(|error| LogError::File { file: path.clone(), error })?;
            let queue = LogQueue::begin("log-file", file, lost_as_json).map_err(LogError::Thread)?;
            let layer = fmt::layer().with_writer(queue.share()).json().flatten_event(true);
            queues.push(queue);
            Some(layer.with_filter(filter(DEFAULT_FILTER, settings.reads)?))
        }
    };
    tracing_subscriber::registry()
        .with(stderr.with_filter(filter(&wanted, settings.reads)?))
        .with(file)
        .try_init()?;
    Ok(Log { queues })
}

fn filter(wanted: &str, reads: bool) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::try_new(wanted)?;
    match reads {
        true => Ok(filter),
        false => Ok(filter.add_directive(format!("{READ_LOG_TARGET}=off").parse()?)),
    }
}
