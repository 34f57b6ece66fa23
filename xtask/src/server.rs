//! The command line of `sshomed`.

use clap::{Command, CommandFactory};
use sshomed::cli::ServerCli;

/// The command line that shells complete.
pub(crate) fn command() -> Command {
    ServerCli::command().name("sshomed")
}
