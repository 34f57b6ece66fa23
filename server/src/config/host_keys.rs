//! The host keys: the files, and whether each is usable.

use super::{Algorithms, ConfigLocation, Diagnostics, shown};
use crate::host_key::{HostKeyType, read as read_host_key};
use crate::regular_file;
use russh::keys::{Algorithm, Error as KeyError};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The default files. A mistake in one that exists is a mistake of the configuration.
pub(super) fn usual(
    location: &ConfigLocation,
    algorithms: Algorithms,
    mistakes: &mut Diagnostics,
) -> Vec<PathBuf> {
    let files = match algorithms {
        Algorithms::Strict => &["keys/host_ed25519"][..],
        Algorithms::Compatible => &["keys/host_ed25519", "keys/host_ecdsa", "keys/host_rsa"],
    };
    let mut found = Vec::new();
    for file in files {
        match named(location, algorithms, file) {
            Ok(path) => found.push(path),
            Err(message) => mistakes.add(None, "server.host-keys", message),
        }
    }
    found
}

/// A host key that is fit for use, or does not exist yet: the server makes it when it starts.
pub(super) fn named(
    location: &ConfigLocation,
    algorithms: Algorithms,
    path: &str,
) -> Result<PathBuf, String> {
    let full = location.path(path);
    let found = match fs::metadata(&full) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(full),
        // Once the server runs, the file may be root's: it was read at the start.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(full),
        Err(error) => return Err(format!("{path} cannot be read: {error}")),
        Ok(found) => found,
    };
    if !found.is_file() {
        return Err(format!("{path} is not a file: name a private key, or a file for the server to create"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        return Err(format!("{path} can be read by other users of this machine: chmod 600 {}", shown(&full)));
    }
    check_type(&full, algorithms, path)?;
    Ok(full)
}

/// The message for a file that is not a private key. It may be the damaged key that all clients know, so the message
/// must not suggest removing it.
fn not_a_host_key(path: &str, full: &Path, error: &KeyError) -> String {
    let bytes = regular_file::read(full).unwrap_or_default();
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return format!(
            "{path} begins with a byte order mark, which an editor put there: sed -i '1s/^\\xef\\xbb\\xbf//' {}",
            shown(full)
        );
    }
    let why = if bytes.is_empty() { "it is empty".to_owned() } else { error.to_string() };
    format!(
        "{path} is not a private key in OpenSSH's format: {why}; restore it from a backup. If it is lost, move the file away: the server creates a new key, and every client warns that the host has changed"
    )
}

fn check_type(full: &Path, algorithms: Algorithms, path: &str) -> Result<(), String> {
    let key = match read_host_key(full) {
        Err(KeyError::IO(error)) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        Err(KeyError::KeyIsEncrypted) => {
            return Err(format!(
                "{path} has a passphrase, which nobody could type when the server starts: remove it with ssh-keygen -p -f {}",
                shown(full)
            ));
        }
        Err(error) => return Err(not_a_host_key(path, full, &error)),
        Ok(key) => key,
    };
    match (HostKeyType::of(&key), algorithms) {
        (Some(HostKeyType::Ed25519), _) => Ok(()),
        (Some(_), Algorithms::Compatible) => Ok(()),
        (Some(_), Algorithms::Strict) => Err(format!(
            "{path} is a key of type {}: host keys are ed25519, unless algorithms = \"compatible\"",
            key.algorithm()
        )),
        (None, _) if matches!(key.algorithm(), Algorithm::Rsa { .. }) => {
            Err(format!("{path} is an RSA key of less than 2048 bits: remove it, and the server creates one"))
        }
        (None, _) => {
            Err(format!("{path} is a key of type {}: host keys are ed25519, ecdsa or rsa", key.algorithm()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use russh::keys::ssh_key::LineEnding;
    use russh::keys::{EcdsaCurve, PrivateKey};
    use tempfile::TempDir;

    fn folder(text: &str) -> TempDir {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        fs::write(dir.path().join("etc/users.toml"), text).unwrap();
        dir
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_also_by_default() {
        let dir = folder("");
        let file = dir.path().join("keys/host_ed25519");
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        key.write_openssh_file(&file, LineEnding::LF).unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let loaded = load(dir.path(), None, &[]);
            assert_eq!(loaded.is_ok(), fine, "{mode:o}");
            let said = loaded.err().map(|error| error.to_string()).unwrap_or("chmod 600".to_owned());
            assert!(said.contains("chmod 600"), "{said}");
        }
    }

    #[test]
    fn older_clients_get_keys_of_more_types() {
        let dir = folder("[server]\nalgorithms = \"compatible\"\n");
        let names = |config: crate::config::Config| -> Vec<String> {
            config.host_keys.iter().map(|key| key.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let usual = names(load(dir.path(), None, &[]).unwrap());
        assert_eq!(usual, ["host_ed25519", "host_ecdsa", "host_rsa"]);
        let key =
            PrivateKey::random(&mut rand::rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap();
        key.write_openssh_file(dir.path().join("keys/host_ecdsa"), LineEnding::LF).unwrap();
        load(dir.path(), None, &[]).unwrap();
        let conflict = folder("[server]\nalgorithms = \"compatible\"\nkex = \"post-quantum\"\n");
        let said = load(conflict.path(), None, &[]).unwrap_err().to_string();
        assert!(said.contains(":3: server.kex: ") && said.contains("remove one of them"), "{said}");
        let said =
            load(folder("[server]\nalgorithms = \"old\"\n").path(), None, &[]).unwrap_err().to_string();
        assert!(said.contains("write \"strict\" or \"compatible\""), "{said}");
    }
}
