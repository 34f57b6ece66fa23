//! Errors of the sandbox.

use super::account::AccountError;
use crate::config::ConfigError;
use crate::invocation;
use crate::permission;
use ::landlock::RulesetError;
use sshome_wire::display::Escaped;
use std::io;
use std::path::PathBuf;

/// Why the sandbox cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The account is invalid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A folder cannot be created.
    #[error("{}: cannot be created: {}", sshome_store::shown(.folder), permission::CannotCreate(.folder, .error))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Files that the server writes belong to another account.
    #[error(
        "the server runs as {}, which cannot use these files of its own; nothing was changed:\n{}",
        Escaped(.account.as_bytes()), .complaints.join("\n")
    )]
    NotTheirs {
        /// The account.
        account: String,
        /// One line each, with the remedy.
        complaints: Vec<String>,
    },
    /// Root would create files that the folder's owner cannot use.
    #[error(
        "{} belongs to {owner}, and this is root: {owner} could not use files that root creates here. Run it as \
         {owner}, `{}`, or set account = \"{owner}\" in [server]",
        sshome_store::shown(.path), invocation::as_account(.owner)
    )]
    Foreign {
        /// The server's folder, or its file of settings.
        path: PathBuf,
        /// Its owner.
        owner: String,
    },
    /// This is not the server's account.
    #[error(
        "{} belongs to {owner}, and this is {account}, which cannot use the server's files: run it as {owner}, `{}`",
        sshome_store::shown(.path), invocation::as_account(.owner), account = permission::account()
    )]
    ForeignAccount {
        /// The server's folder, or its file of settings.
        path: PathBuf,
        /// Its owner.
        owner: String,
    },
    /// The account cannot read the settings again, so a reload would fail.
    #[error(
        "the settings could be read at the start, but not after dropping privileges \
         ({confinement}): {error}\n\
         let the account read them and the keys that they name, for example with chgrp and chmod g+r, and keep the keys in keys/"
    )]
    Settings {
        /// The sandbox that is active.
        confinement: String,
        /// The error of reading them.
        error: ConfigError,
    },
    /// A system call failed.
    #[error("the server cannot {what}: {error}; confine = \"off\" disables it")]
    Kernel {
        /// The attempted action.
        what: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// The kernel does not support Landlock completely.
    #[error(
        "the server cannot confine itself with Landlock: {0}; Linux 6.12 and later can do all of it, and \
         confine = \"best-effort\" starts with what this kernel can do"
    )]
    Landlock(#[from] RulesetError),
}
