//! Where lines of the log go to: standard error, and a file of JSON lines.

mod file;

use crate::audit::READS;
use crate::config::{Format, LogSettings};
use file::LogFile;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// What is logged unless `RUST_LOG` says otherwise. russh does not know whose connection it is: what it says of one
/// is said by `session`, with the peer.
const LOGGED: &str = "warn,russh=off,sshomed=info";

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The variable makes no sense.
    #[error("RUST_LOG cannot be understood: {0}")]
    Filter(#[from] ParseError),
    /// The file.
    #[error(
        "the log {}: {}; server.log.file names another one",
        crate::config::shown(.file), crate::permission::Unmakeable(.file, .error)
    )]
    File {
        /// Which.
        file: std::path::PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody else logs already.
    #[error("the log is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins to log. What standard error gets says `RUST_LOG`, if it is set; the file gets the same lines
/// whatever that says.
///
/// # Errors
/// If the file cannot be opened, or `RUST_LOG` makes no sense.
pub fn begin(settings: &LogSettings) -> Result<(), LogError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| LOGGED.to_owned());
    let stderr = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let stderr = match settings.format {
        // The journal has a time for each line already.
        Format::Text if std::env::var_os("JOURNAL_STREAM").is_some() => stderr.without_time().boxed(),
        Format::Text => stderr.boxed(),
        Format::Json => stderr.json().flatten_event(true).boxed(),
    };
    let file = match &settings.file {
        None => None,
        Some(path) => {
            let file = LogFile::open(path, settings.max_size, settings.keep);
            let file = file.map_err(|error| LogError::File { file: path.clone(), error })?;
            let layer = fmt::layer().with_writer(Mutex::new(file)).json().flatten_event(true);
            Some(layer.with_filter(filter(LOGGED, settings.reads)?))
        }
    };
    tracing_subscriber::registry()
        .with(stderr.with_filter(filter(&wanted, settings.reads)?))
        .with(file)
        .try_init()?;
    Ok(())
}

fn filter(wanted: &str, reads: bool) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::try_new(wanted)?;
    match reads {
        true => Ok(filter),
        false => Ok(filter.add_directive(format!("{READS}=off").parse()?)),
    }
}
