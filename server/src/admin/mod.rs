//! What `sshomed user` and `sshomed check` do: read `etc/users.toml`, tell of it, and edit it.
//!
//! An edit keeps the file's comments and order. It is judged by the same code that the server
//! starts with, and only then replaces the file, by one rename.

mod check;
mod commented;
mod comments;
mod edit;
mod keys;
mod list;
mod password;
mod replace;
mod settings;
mod startup_check;
mod table_text;
mod users;

pub use check::{CheckReport, check};
pub(crate) use list::columns;
pub use password::{ask_password, read_password};
pub use settings::UserSettings;
pub use startup_check::{StartupCheck, examine_start};
pub use users::NewUser;

use crate::accounts::{HashError, KeyError, OwnKeysError};
use crate::config::{ConfigError, ConfigLocation, SizeError, shown};
use crate::permission::{CannotWrite, wrong_account};
use sshome_wire::display::Escaped;
use std::io;
use std::path::{Path, PathBuf};

/// The file that holds the users, for reading and editing. What its methods return is text for
/// the administrator.
#[derive(Debug)]
pub struct Admin {
    location: ConfigLocation,
}

impl Admin {
    /// The file of the folder `dir`: `file`, or `etc/users.toml` in the folder.
    ///
    /// # Errors
    /// If there is no such folder or file.
    pub fn open(dir: &Path, file: Option<&Path>) -> Result<Admin, AdminError> {
        Ok(Admin { location: ConfigLocation::new(dir, file)? })
    }
}

/// Why a command of the administrator failed. Nothing has been changed then.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The configuration cannot be read, or has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The edit would put a mistake into the file.
    #[error("nothing was changed, since the result would be wrong:\n{0}")]
    Rejected(ConfigError),
    /// What is to be edited has a form that cannot be.
    #[error("{} in {} is not of the form that can be edited: correct it by hand", escaped(.0), shown(.1))]
    Form(String, PathBuf),
    /// There is no user of that name.
    #[error("there is no user {}: `sshomed user list` lists them", escaped(.0))]
    NoUser(String),
    /// There is one already.
    #[error("there is a user {0} already: use `sshomed user passwd|key|set {0}`, or choose another name")]
    UserExists(String),
    /// It cannot be a user's name.
    #[error("{}", escaped(.0))]
    Name(String),
    /// Nothing was to be changed.
    #[error("nothing to set: `sshomed user set --help` lists the settings")]
    NothingToSet,
    /// A home that would not be served.
    #[error("{}: is no directory that can be opened: make or mount it first; only homes/NAME is made by the server", shown(.0))]
    Root(PathBuf),
    /// A home that is not the user's to have.
    #[error("{} cannot be a home: {}; nothing was changed", shown(.root), escaped(.why))]
    UnfitRoot {
        /// The folder.
        root: PathBuf,
        /// Why, with what to do.
        why: String,
    },
    /// It is no size.
    #[error("{}", escaped(&.0.to_string()))]
    Size(SizeError),
    /// A key's file cannot be read.
    #[error("{}: cannot be read: {error}", shown(.file))]
    KeyFile {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What a key's file holds is refused.
    #[error("{}: line {line} {}", shown(.file), escaped(&.error.in_file(&shown(.file).to_string())))]
    Key {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1 on.
        line: usize,
        /// Why.
        error: KeyError,
    },
    /// A key's file holds none.
    #[error("{}: holds no key: give the file that ends in .pub", shown(.0))]
    EmptyKeyFile(PathBuf),
    /// The user has the key already.
    #[error("{user} has the key {fingerprint} already")]
    KeyExists {
        /// Whose.
        user: String,
        /// Which.
        fingerprint: String,
    },
    /// The user has no such key.
    #[error("{user} has no key with the fingerprint or comment \"{}\": `sshomed user key {user} list` lists them", escaped(.key))]
    NoSuchKey {
        /// Whose.
        user: String,
        /// What was asked for.
        key: String,
    },
    /// Several keys have that comment.
    #[error("{user} has several keys with the comment \"{}\": name one by its fingerprint, as `sshomed user key {user} list` shows it", escaped(.key))]
    ManyKeys {
        /// Whose.
        user: String,
        /// What was asked for.
        key: String,
    },
    /// The key stands in a file with others.
    #[error("the key stands in {} beside others: remove its line there", escaped(.file))]
    SharedKeyFile {
        /// The file, as the configuration names it.
        file: String,
    },
    /// The keys that a user has installed.
    #[error("{}: {}; nothing was changed", shown(.file), escaped(&own_keys_text(.file, .error)))]
    OwnKeys {
        /// The user's file.
        file: PathBuf,
        /// Why.
        error: OwnKeysError,
    },
    /// Too easy to guess.
    #[error("the password is too short: {} characters at least", crate::accounts::MIN_PASSWORD_CHARS)]
    ShortPassword,
    /// Two entries of it differ.
    #[error("the two passwords differ: nothing was changed")]
    PasswordsDiffer,
    /// Standard input holds something else than one password.
    #[error("standard input should hold one line of text, the password, and nothing else")]
    PasswordInput,
    /// There is nobody to ask.
    #[error("the password cannot be asked for: {0}; where there is no terminal, use --password-stdin")]
    NoPrompt(io::Error),
    /// It cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The file cannot be replaced.
    #[error("{}: cannot be written: {}; nothing was changed", shown(.file), CannotWrite(.file, .error))]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why the keys that a user has installed are not read or not changed, with the account that can.
fn own_keys_text(file: &Path, error: &OwnKeysError) -> String {
    let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    match error {
        OwnKeysError::Disk(io) if denied(io) => match wrong_account(file) {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        },
        error => error.to_string(),
    }
}

/// What an argument or the file said, harmless on a terminal.
fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}

#[cfg(test)]
mod layout_tests;
#[cfg(test)]
mod tests;
