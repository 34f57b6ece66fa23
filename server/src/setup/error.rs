//! Why a server cannot be set up.

use crate::admin::AdminError;
use crate::config::{ConfigError, shown};
use crate::host_key::HostKeyError;
use std::io;
use std::path::PathBuf;

/// Why a server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Nobody can be asked.
    #[error("{option} is missing: {why}; give it, or --yes for the defaults. Nothing was changed")]
    NoAnswer {
        /// The option that answers the question.
        option: &'static str,
        /// Why the question was not answered.
        why: &'static str,
    },
    /// An answer is refused.
    #[error("{option}: {why}. Nothing was changed")]
    Answer {
        /// The option with the answer.
        option: &'static str,
        /// The reason.
        why: String,
    },
    /// A key or password is refused.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The settings would be invalid.
    #[error("nothing was changed, since the settings would be invalid:\n{0}")]
    Settings(ConfigError),
    /// A file exists that would be replaced.
    #[error("{} exists and is not replaced: {remedy}. Nothing was changed", shown(.file))]
    Exists {
        /// The file.
        file: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// A file cannot be created.
    #[error("{}: cannot be created: {error}", shown(.file))]
    Create {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The host key.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// A command failed.
    #[error("`{command}` failed: {why}")]
    Command {
        /// The command.
        command: String,
        /// The reason.
        why: String,
    },
    /// The server does not answer.
    #[error("everything is set up, but the server does not run: {why}")]
    NotRunning {
        /// The reason, with what to do.
        why: String,
    },
}
