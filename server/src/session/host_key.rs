//! The keys that the server proves itself with.

use crate::permission::{Unmakeable, Unreadable};
use russh::keys::{Algorithm, Error as KeyError, PrivateKey, decode_secret_key};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// It is there and cannot be read.
    #[error("the host key {path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// It is not there and cannot be made.
    #[error("the host key {path} cannot be made: {why}")]
    NotMade {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
}

/// Loads a host key; makes an ed25519 one, readable by the owner alone, where the file is missing. Also says
/// whether it was made.
///
/// # Errors
/// If it can be neither loaded nor made. A file that is there is never replaced.
pub(super) fn load_or_make(path: &Path) -> Result<(PrivateKey, bool), HostKeyError> {
    let found = fs::metadata(path);
    // Where the folder is closed nothing can be said of the file: it is not missing.
    let missing = found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if let (Err(error), false) = (&found, missing) {
        let why = Unreadable(path, error).to_string();
        return Err(HostKeyError::Unreadable { path: path.display().to_string(), why });
    }
    if missing {
        make(path).map_err(|error| HostKeyError::NotMade {
            path: path.display().to_string(),
            why: Unmakeable(path, &error).to_string(),
        })?;
    }
    let key = read(path).map_err(|error| HostKeyError::Unreadable {
        path: path.display().to_string(),
        why: match &error {
            KeyError::IO(error) => Unreadable(path, error).to_string(),
            error => error.to_string(),
        },
    })?;
    Ok((key, missing))
}

/// Reads a key that has no passphrase. Its text does not stay in memory.
///
/// # Errors
/// If it cannot be read, or is no key.
pub(crate) fn read(path: &Path) -> Result<PrivateKey, KeyError> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    match PrivateKey::from_openssh(text.as_bytes()) {
        Ok(key) if !key.is_encrypted() => Ok(key),
        // Other forms than OpenSSH's own. This leaves copies, which is why it comes second.
        _ => decode_secret_key(&text, None),
    }
}

fn make(path: &Path) -> io::Result<()> {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(io::Error::other)?;
    let text = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).map_err(io::Error::other)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Written beside its place and linked there, so that a half-written key is never found, and one
    // that another process has just made is not replaced.
    let beside = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let written = write(&beside, text.as_bytes()).and_then(|()| match fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    });
    let removed = fs::remove_file(&beside);
    // Where nothing could be written there is nothing to remove: the first error is the reason.
    written?;
    removed?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/host_ed25519");
        let (first, made) = load_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (second, again) = load_or_make(&path).unwrap();
        assert!(made && !again);
        assert_eq!(first.public_key(), second.public_key());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_key_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host");
        fs::write(&path, "no key").unwrap();
        assert!(load_or_make(&path).unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "no key");
    }

    #[test]
    fn a_key_in_a_closed_folder_is_not_missing_and_its_owner_is_named() {
        if rustix::process::geteuid().is_root() {
            eprintln!(
                "skipped: a_key_in_a_closed_folder_is_not_missing_and_its_owner_is_named: root passes modes"
            );
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let path = keys.join("host");
        load_or_make(&path).unwrap();
        let close = |mode| fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).unwrap();
        close(0o000);
        let error = load_or_make(&path).unwrap_err().to_string();
        close(0o700);
        assert!(error.contains("cannot be read: Permission denied"), "{error}");
        assert!(error.contains(&format!("chmod o+x {}", keys.display())), "{error}");
        close(0o500);
        let error = load_or_make(&keys.join("other")).unwrap_err().to_string();
        close(0o700);
        assert!(error.contains("cannot be made: Permission denied") && error.contains("chmod"), "{error}");
    }
}
