//! The keys that users have installed: a file `keys/authorized/NAME` for each user with one key per line, as in
//! `authorized_keys` (sshd(8)) but without options.
//!
//! A file is replaced atomically by a rename, under a lock on the folder, because sessions and `sshomed user` change it
//! concurrently.

use super::name::check_name;
use super::{AuthorizedKey, KeyError};
use crate::regular_file;
use sshome_wire::public_key;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// The largest number of keys that a user may install.
const MAX_KEYS: usize = 32;

/// The longest line, in bytes: an RSA key of 16,384 bits takes some 2800, and the comment the rest.
const MAX_LINE_BYTES: usize = 4096;

/// The longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = (MAX_KEYS * (MAX_LINE_BYTES + 1)) as u64;

/// The folder of these files.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    folder: PathBuf,
}

/// Why a user's own keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum OwnKeysError {
    /// The account's settings do not allow it.
    #[error(
        "only the administrator can change this account's keys: ask for the change, or for own-keys = true"
    )]
    NotAllowed,
    /// The login itself is restricted.
    #[error(
        "only a login with full access, from everywhere and without an end, can change this account's keys: use your password or another key, \
         or ask the administrator"
    )]
    RestrictedLogin,
    /// The key is not accepted.
    #[error("the line to be installed {0}")]
    Refused(KeyError),
    /// The key has an option with an effect, which only the administrator may set.
    #[error(
        "the key has the option from=\"…\" or expiry-time=\"…\" before it: install the line without it, as it is in the file .pub"
    )]
    Options,
    /// It is too long.
    #[error("the key and its comment take more than {MAX_LINE_BYTES} bytes: shorten the comment")]
    TooLong,
    /// Too many keys.
    #[error("{MAX_KEYS} keys are installed, which is the limit: remove one first")]
    TooMany,
    /// The administrator has set the key.
    #[error("the key {0} was set by the administrator, who alone can remove it")]
    Administrators(String),
    /// The key is not installed.
    #[error("no key {0} is installed")]
    NoSuchKey(String),
    /// It is the last credential of the user.
    #[error("{0} is the only way to log in to this account: install another key first")]
    LastWayIn(String),
    /// The file contains an invalid line.
    #[error("the installed keys cannot be read, line {line} {error}: ask the administrator to correct them")]
    Broken {
        /// The line, from 1 on.
        line: usize,
        /// The reason.
        error: KeyError,
    },
    /// The disk refused.
    #[error("the installed keys cannot be read or changed: {0}")]
    Disk(#[from] io::Error),
}

impl OwnKeys {
    /// The installed keys of the server in the folder `dir`. Their folder is created when it is first needed.
    #[must_use]
    pub fn of(dir: &Path) -> OwnKeys {
        OwnKeys { folder: dir.join("keys/authorized") }
    }

    /// The folder of the files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The keys that a user has installed, the oldest first.
    ///
    /// # Errors
    /// If the file is unreadable or has an invalid line. Then accept none of its keys.
    pub fn read(&self, user: &str) -> Result<Vec<AuthorizedKey>, OwnKeysError> {
        let file = match regular_file::open(&self.file(user)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let text = format!("the file of {user}'s keys is larger than the server writes");
            return Err(io::Error::new(ErrorKind::InvalidData, text).into());
        }
        let keys = AuthorizedKey::parse_file(&public_key::text(&bytes));
        let keys = keys.map_err(|(line, error)| OwnKeysError::Broken { line, error })?;
        match keys.iter().any(AuthorizedKey::has_options) {
            true => Err(OwnKeysError::Options),
            false => Ok(keys),
        }
    }

    /// Adds a key, and returns it. Does nothing if it is installed already.
    ///
    /// # Errors
    /// If it is not accepted, there are too many, or the disk fails.
    pub fn install(&self, user: &str, line: &str) -> Result<AuthorizedKey, OwnKeysError> {
        let key = AuthorizedKey::parse(line).map_err(OwnKeysError::Refused)?;
        if key.has_options() {
            return Err(OwnKeysError::Options);
        }
        if key.to_line().map_err(OwnKeysError::Refused)?.len() > MAX_LINE_BYTES {
            return Err(OwnKeysError::TooLong);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let folder = self.lock()?;
        let mut keys = self.read(user)?;
        if keys.iter().any(|known| known.is(key.public_key())) {
            return Ok(key);
        }
        if keys.len() >= MAX_KEYS {
            return Err(OwnKeysError::TooMany);
        }
        keys.push(key.clone());
        self.write(user, &folder, &keys)?;
        Ok(key)
    }

    /// Removes the key with a fingerprint. With `keep_one`, the last key stays.
    ///
    /// # Errors
    /// If there is no such key, it is the last and must stay, or the disk fails.
    pub fn remove(&self, user: &str, fingerprint: &str, keep_one: bool) -> Result<(), OwnKeysError> {
        let no_key = || OwnKeysError::NoSuchKey(fingerprint.to_owned());
        if self.read(user)?.is_empty() {
            return Err(no_key());
        }
        let folder = self.lock()?;
        let mut keys = self.read(user)?;
        let position = keys.iter().position(|key| key.fingerprint() == fingerprint).ok_or_else(no_key)?;
        if keep_one && keys.len() == 1 {
            return Err(OwnKeysError::LastWayIn(fingerprint.to_owned()));
        }
        keys.remove(position);
        self.write(user, &folder, &keys)
    }

    /// Removes all keys of a deleted user, so that a later user with the same name does not inherit them.
    /// Returns whether there were any.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn forget(&self, user: &str) -> Result<bool, OwnKeysError> {
        match fs::remove_file(self.file(user)?) {
            Ok(()) => {
                File::open(&self.folder)?.sync_all()?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A user's file. The name is one component without a leading dot.
    fn file(&self, user: &str) -> io::Result<PathBuf> {
        check_name(user).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        Ok(self.folder.join(user))
    }

    fn lock(&self) -> io::Result<File> {
        let folder = File::open(&self.folder)?;
        folder.lock()?;
        Ok(folder)
    }

    /// Replaces a user's file. `folder` is locked.
    fn write(&self, user: &str, folder: &File, keys: &[AuthorizedKey]) -> Result<(), OwnKeysError> {
        let file = self.file(user)?;
        // No user's name begins with a dot.
        let new = self.folder.join(format!(".{user}.new"));
        let lines = keys.iter().map(|key| key.to_line().map(|line| line + "\n"));
        let text = lines.collect::<Result<String, _>>().map_err(OwnKeysError::Refused)?;
        let written = write_new(&new, &folder.metadata()?, text.as_bytes());
        if let Err(error) = written.and_then(|()| fs::rename(&new, &file)) {
            // Ignored: the first error is the one to report, and the next change overwrites a leftover.
            let _ = fs::remove_file(&new);
            return Err(error.into());
        }
        Ok(folder.sync_all()?)
    }
}

/// Writes a file that only its owner can read, and syncs it. The owner is that of the folder, even if root writes.
fn write_new(path: &Path, folder: &fs::Metadata, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    if file.metadata()?.uid() != folder.uid() {
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::{Algorithm, PrivateKey};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn line(comment: &str) -> String {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        format!("{} {comment}", key.public_key().to_openssh().unwrap().trim())
    }

    fn comments(keys: &OwnKeys, user: &str) -> Vec<String> {
        let text = |key: &AuthorizedKey| String::from_utf8(key.comment().to_vec()).unwrap();
        keys.read(user).unwrap().iter().map(text).collect()
    }

    #[test]
    fn installed_keys_are_readable_by_the_owner_only() {
        let dir = TempDir::new().unwrap();
        let keys = OwnKeys::of(dir.path());
        assert!(keys.read("alex").unwrap().is_empty());
        assert!(!keys.forget("alex").unwrap());
        let first = line("first");
        let installed = keys.install("alex", &first).unwrap();
        keys.install("alex", &line("second\x1b[2J")).unwrap();
        keys.install("alex", &format!("{first} again")).unwrap();
        keys.install("zcl", &first).unwrap();
        assert_eq!(comments(&keys, "alex"), ["first", "second\x1b[2J"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = dir.path().join("keys/authorized");
        assert_eq!((mode(&folder), mode(&folder.join("alex"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "something is left behind");

        let print = installed.fingerprint();
        keys.remove("alex", &print, true).unwrap();
        assert!(matches!(keys.remove("alex", &print, true), Err(OwnKeysError::NoSuchKey(_))));
        assert_eq!(comments(&keys, "alex"), ["second\x1b[2J"]);
        assert_eq!(comments(&keys, "zcl"), ["first"]);
        assert!(matches!(keys.remove("zcl", &print, true), Err(OwnKeysError::LastWayIn(_))));
        keys.remove("zcl", &print, false).unwrap();
        assert!(comments(&keys, "zcl").is_empty());
        assert!(keys.forget("alex").unwrap());
        assert!(comments(&keys, "alex").is_empty());
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let dir = TempDir::new().unwrap();
        let keys = OwnKeys::of(dir.path());
        keys.install("alex", &line("")).unwrap();
        fs::write(dir.path().join("keys/secret"), line("")).unwrap();
        for name in ["../secret", "", ".", "..", ".alex.new", "a/b", "/etc/passwd", "alex\0", "Alex", "-a"] {
            assert!(matches!(keys.read(name), Err(OwnKeysError::Disk(_))), "{name}");
            assert!(matches!(keys.install(name, &line("")), Err(OwnKeysError::Disk(_))), "{name}");
            assert!(matches!(keys.remove(name, "", false), Err(OwnKeysError::Disk(_))), "{name}");
            assert!(matches!(keys.forget(name), Err(OwnKeysError::Disk(_))), "{name}");
        }
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 2);
    }

    #[test]
    fn an_invalid_key_is_refused() {
        let dir = TempDir::new().unwrap();
        let keys = OwnKeys::of(dir.path());
        for options in ["from=\"*\"", "from=\"192.0.2.1\",restrict", "expiry-time=\"20300101\""] {
            let result = keys.install("alex", &format!("{options} {}", line("")));
            assert!(matches!(result, Err(OwnKeysError::Options)), "{options}");
        }
        let (harmless, plain) = ("restrict,pty,no-X11-forwarding", line("mine"));
        keys.install("harmless", &format!("{harmless} {plain}")).unwrap();
        assert_eq!(fs::read_to_string(keys.folder().join("harmless")).unwrap().trim_end(), plain);
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----";
        let result = keys.install("alex", private);
        assert!(matches!(result, Err(OwnKeysError::Refused(KeyError::Private))));
        let result = keys.install("alex", &line(&"x".repeat(MAX_LINE_BYTES)));
        assert!(matches!(result, Err(OwnKeysError::TooLong)));
        // Two lines are one key: the second line becomes part of the comment.
        keys.install("alex", &format!("{}\n{}", line("one"), line("two"))).unwrap();
        assert_eq!(keys.read("alex").unwrap().len(), 1);
        for _ in 1..MAX_KEYS {
            keys.install("alex", &line("")).unwrap();
        }
        assert!(matches!(keys.install("alex", &line("")), Err(OwnKeysError::TooMany)));
    }

    #[test]
    fn a_file_with_anything_but_keys_grants_no_login_and_is_kept() {
        let dir = TempDir::new().unwrap();
        let keys = OwnKeys::of(dir.path());
        keys.install("alex", &line("mine")).unwrap();
        let file = keys.folder().join("alex");
        for (add, what) in [("junk\n".to_owned(), "line 2"), (format!("from=\"*\" {}", line("")), "from=")] {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, format!("{text}{add}")).unwrap();
            let error = keys.read("alex").unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            keys.install("alex", &line("")).unwrap_err();
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{text}{add}"));
            fs::write(&file, text).unwrap();
        }
    }

    #[test]
    fn concurrent_changes_all_survive() {
        let dir = TempDir::new().unwrap();
        let keys = OwnKeys::of(dir.path());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let keys = &keys;
                scope.spawn(move || keys.install("alex", &line(&number.to_string())).unwrap());
            }
        });
        let mut found = comments(&keys, "alex");
        found.sort();
        assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }
}
