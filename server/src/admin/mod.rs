//! `sshomed user` and `sshomed check`: read, check and edit `etc/users.toml`.
//!
//! An edit keeps the file's comments and order. The result is validated by the server's own code, and replaces the file
//! by one rename.

mod check;
mod commented;
mod comments;
mod edit;
mod key_tables;
mod keys;
mod list;
mod password;
mod replace;
mod settings;
mod startup_check;
mod table_text;
mod users;

pub use check::{CheckReport, check};
pub use key_tables::KeySettings;
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

/// The settings file, for reading and editing. The methods return text for the administrator.
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

/// Why an administrator's command failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The configuration cannot be read, or has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The edit would make the file invalid.
    #[error("nothing was changed, since the result would be invalid:\n{0}")]
    Rejected(ConfigError),
    /// The setting has a form that cannot be edited.
    #[error("{} in {} has a form that this command cannot edit: edit it by hand", escaped(.0), shown(.1))]
    Form(String, PathBuf),
    /// There is no user of that name.
    #[error("there is no user {}: `sshomed user list` lists them", escaped(.0))]
    NoUser(String),
    /// There is one already.
    #[error("the user {0} already exists: use `sshomed user passwd|key|set {0}`, or choose another name")]
    UserExists(String),
    /// The user name is invalid.
    #[error("{}", escaped(.0))]
    Name(String),
    /// The value of `--expires` is no date.
    #[error("--expires: \"{}\" is not a date; use 2027-01-01, or 2027-01-01T18:00:00Z", escaped(.0))]
    Expires(String),
    /// No setting was given.
    #[error("nothing to set: `sshomed user set --help` lists the settings")]
    NothingToSet,
    /// The root is not a directory that can be opened.
    #[error("{}: is not a directory that can be opened: create or mount it first; the server creates only homes/NAME", shown(.0))]
    Root(PathBuf),
    /// The root cannot be a home.
    #[error("{} cannot be a home: {}; nothing was changed", shown(.root), escaped(.why))]
    UnfitRoot {
        /// The folder.
        root: PathBuf,
        /// Why, with what to do.
        why: String,
    },
    /// The size is invalid.
    #[error("{}", escaped(&.0.to_string()))]
    Size(SizeError),
    /// A key's file cannot be read.
    #[error("{}: cannot be read: {error}", shown(.file))]
    KeyFile {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A key in a file is not accepted.
    #[error("{}: line {line} {}", shown(.file), escaped(&.error.in_file(&shown(.file).to_string())))]
    Key {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1 on.
        line: usize,
        /// The reason.
        error: KeyError,
    },
    /// A key file has no key.
    #[error("{}: holds no key: give the file that ends in .pub", shown(.0))]
    EmptyKeyFile(PathBuf),
    /// The user has the key already.
    #[error("{user} already has the key {fingerprint}")]
    KeyExists {
        /// The user.
        user: String,
        /// The fingerprint.
        fingerprint: String,
    },
    /// The user has no such key.
    #[error("{user} has no key with the fingerprint or comment \"{}\": `sshomed user key {user} list` lists them", escaped(.key))]
    NoSuchKey {
        /// The user.
        user: String,
        /// The fingerprint or comment.
        key: String,
    },
    /// Several keys have that comment.
    #[error("{user} has several keys with the comment \"{}\": name one by its fingerprint, as `sshomed user key {user} list` shows it", escaped(.key))]
    ManyKeys {
        /// The user.
        user: String,
        /// The request.
        key: String,
    },
    /// The key is in a file with other keys.
    #[error("the key is in {} with other keys: remove its line there", escaped(.file))]
    SharedKeyFile {
        /// The file, as the configuration names it.
        file: String,
    },
    /// The installed keys of a user cannot be read or changed.
    #[error("{}: {}; nothing was changed", shown(.file), escaped(&own_keys_text(.file, .error)))]
    OwnKeys {
        /// The user's file.
        file: PathBuf,
        /// The reason.
        error: OwnKeysError,
    },
    /// The password is too short.
    #[error("the password is too short: use at least {} characters", crate::accounts::MIN_PASSWORD_CHARS)]
    ShortPassword,
    /// The two entries of the password differ.
    #[error("the two passwords differ: nothing was changed")]
    PasswordsDiffer,
    /// Standard input is not one line.
    #[error("standard input must be one line of text, the password")]
    PasswordInput,
    /// There is no terminal to prompt on.
    #[error("the password cannot be asked for: {0}; without a terminal, use --password-stdin")]
    NoPrompt(io::Error),
    /// The password cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The file cannot be replaced.
    #[error("{}: cannot be written: {}; nothing was changed", shown(.file), CannotWrite(.file, .error))]
    Write {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

/// Why installed keys cannot be read or changed, with the account that can.
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

/// Text from an argument or the file, escaped for a terminal.
fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}

#[cfg(test)]
mod layout_tests;
#[cfg(test)]
mod tests;
