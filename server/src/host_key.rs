//! The host keys of the server: loads them, and generates missing ones.

use crate::config::Algorithms;
use crate::permission::{CannotCreate, CannotRead};
use crate::regular_file;
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, EcdsaCurve, Error as KeyError, PrivateKey, decode_secret_key, ssh_key};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Why a host key cannot be loaded or generated.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file exists and cannot be read.
    #[error("the host key {path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// Others can read the file.
    #[error("the host key {path} can be read by other users of this machine: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
    },
    /// The file is missing and cannot be created.
    #[error("the host key {path} cannot be created: {why}")]
    NotMade {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
}

/// The type of a host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKeyType {
    Ed25519,
    /// ECDSA, with any of the curves of RFC 5656.
    Ecdsa,
    Rsa,
}

/// The smallest accepted RSA key, in bits.
const MIN_RSA: u32 = 2048;

/// The size of a generated RSA key, in bits.
const RSA_BITS: usize = 3072;

impl HostKeyType {
    /// The type of a key. `None` if it cannot be a host key.
    pub(crate) fn of(key: &PrivateKey) -> Option<HostKeyType> {
        match key.algorithm() {
            Algorithm::Ed25519 => Some(HostKeyType::Ed25519),
            Algorithm::Ecdsa { .. } => Some(HostKeyType::Ecdsa),
            Algorithm::Rsa { .. } => {
                key.public_key().key_data().rsa().filter(|rsa| rsa.key_size() >= MIN_RSA)?;
                Some(HostKeyType::Rsa)
            }
            _ => None,
        }
    }

    /// The type of a key to generate in this file, derived from its name: `host_rsa`, `ssh_host_ecdsa_key`.
    pub(crate) fn to_make(path: &Path, algorithms: Algorithms) -> HostKeyType {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match algorithms {
            Algorithms::Compatible if name.contains("ecdsa") => HostKeyType::Ecdsa,
            Algorithms::Compatible if name.contains("rsa") => HostKeyType::Rsa,
            _ => HostKeyType::Ed25519,
        }
    }

    pub(crate) fn generate(self) -> Result<PrivateKey, ssh_key::Error> {
        let rng = &mut rand::rng();
        match self {
            HostKeyType::Ed25519 => PrivateKey::random(rng, Algorithm::Ed25519),
            HostKeyType::Ecdsa => PrivateKey::random(rng, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
            HostKeyType::Rsa => RsaKeypair::random(rng, RSA_BITS).map(PrivateKey::from),
        }
    }
}

/// Loads a host key. If the file is missing, generates one that only the owner can read. Also returns whether it was
/// generated.
///
/// # Errors
/// If it can be neither loaded nor generated, or others can read it. An existing file is never replaced.
pub(crate) fn load_or_make(path: &Path, algorithms: Algorithms) -> Result<(PrivateKey, bool), HostKeyError> {
    let found = fs::metadata(path);
    // If the folder is inaccessible, the file may exist: it is not missing.
    let missing = found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if let (Err(error), false) = (&found, missing) {
        let why = CannotRead(path, error).to_string();
        return Err(HostKeyError::Unreadable { path: path.display().to_string(), why });
    }
    if missing {
        make(path, HostKeyType::to_make(path, algorithms)).map_err(|error| HostKeyError::NotMade {
            path: path.display().to_string(),
            why: CannotCreate(path, &error).to_string(),
        })?;
    }
    if fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        return Err(HostKeyError::Exposed { path: path.display().to_string() });
    }
    let key = read(path).map_err(|error| HostKeyError::Unreadable {
        path: path.display().to_string(),
        why: match &error {
            KeyError::IO(error) => CannotRead(path, error).to_string(),
            error => error.to_string(),
        },
    })?;
    Ok((key, missing))
}

/// Reads a key without a passphrase. Its text is erased from memory.
///
/// # Errors
/// If it cannot be read or is not a key.
pub(crate) fn read(path: &Path) -> Result<PrivateKey, KeyError> {
    let bytes = Zeroizing::new(regular_file::read(path)?);
    let text = std::str::from_utf8(&bytes).map_err(io::Error::other)?;
    match PrivateKey::from_openssh(text.as_bytes()) {
        Ok(key) if !key.is_encrypted() => Ok(key),
        // Formats other than OpenSSH's. Decoding them leaves copies in memory, so this comes second.
        _ => decode_secret_key(text, None),
    }
}

fn make(path: &Path, kind: HostKeyType) -> io::Result<()> {
    let key = kind.generate().map_err(io::Error::other)?;
    let text = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).map_err(io::Error::other)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Written under a temporary name and then linked, so that nobody finds a half-written key, and a key that another
    // process has just made is not replaced.
    let beside = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let written = write(&beside, text.as_bytes()).and_then(|()| match fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    });
    let removed = fs::remove_file(&beside);
    // If writing failed, the file may not exist to be removed, so the first error is reported.
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
    fn a_key_is_made_once_and_readable_by_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/host_ed25519");
        let (first, made) = load_or_make(&path, Algorithms::Strict).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (second, again) = load_or_make(&path, Algorithms::Strict).unwrap();
        assert!(made && !again);
        assert_eq!(first.public_key(), second.public_key());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_invalid_key_is_an_error_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host");
        fs::write(&path, "no key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(load_or_make(&path, Algorithms::Strict).unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "no key");
    }

    #[test]
    fn a_key_in_an_inaccessible_folder_is_not_missing_and_its_owner_is_reported() {
        if rustix::process::geteuid().is_root() {
            eprintln!(
                "skipped: a_key_in_an_inaccessible_folder_is_not_missing_and_its_owner_is_reported: root passes modes"
            );
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let path = keys.join("host");
        load_or_make(&path, Algorithms::Strict).unwrap();
        let close = |mode| fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).unwrap();
        close(0o000);
        let error = load_or_make(&path, Algorithms::Strict).unwrap_err().to_string();
        close(0o700);
        assert!(error.contains("cannot be read: Permission denied"), "{error}");
        let remedy = format!(
            "{0}: its mode denies its owner, {1}, access: chmod -R u+rwX {0}",
            keys.display(),
            crate::permission::account()
        );
        assert!(error.contains(&remedy), "{error}");
        close(0o500);
        let error = load_or_make(&keys.join("other"), Algorithms::Strict).unwrap_err().to_string();
        close(0o700);
        assert!(error.contains("cannot be created: Permission denied") && error.contains("chmod"), "{error}");
    }

    #[test]
    fn the_file_name_selects_the_key_type_for_older_clients() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str, algorithms| {
            let (key, _) = load_or_make(&folder.path().join(name), algorithms).unwrap();
            HostKeyType::of(&key).unwrap()
        };
        assert_eq!(kind("host_ecdsa", Algorithms::Compatible), HostKeyType::Ecdsa);
        assert_eq!(kind("host_rsa", Algorithms::Compatible), HostKeyType::Rsa);
        assert_eq!(kind("host", Algorithms::Compatible), HostKeyType::Ed25519);
        assert_eq!(kind("other_rsa", Algorithms::Strict), HostKeyType::Ed25519);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host");
        load_or_make(&path, Algorithms::Strict).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load_or_make(&path, Algorithms::Strict).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{mode:o}: {error}");
        }
    }
}
