//! A private key in a file, which can sign once it is decrypted.

use super::ask::{AskError, Asker};
use super::private_key::{self, PrivateKeyError};
use crate::messages::warn;
use crate::names::shown;
use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PublicKey, signature};
use sshome_wire::public_key;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The largest number of passphrase prompts.
const MAX_PASSPHRASE_ATTEMPTS: usize = 3;

/// A private key in a file, possibly encrypted.
#[derive(Clone)]
pub(super) struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub text: Zeroizing<String>,
    /// The key, once it is decrypted.
    pub key: Option<PrivateKey>,
    /// Asks for the passphrase.
    pub asker: Asker,
}

/// Why a key cannot sign.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The connection is lost.
    #[error("the connection is lost")]
    Send(#[from] russh::SendError),
    /// The key is encrypted, and there is no passphrase.
    #[error("{file} needs its passphrase: {error}")]
    Passphrase {
        /// The file.
        file: String,
        /// Why there is none.
        error: AskError,
    },
    /// All passphrases were wrong.
    #[error("none of the passphrases opens {0}")]
    WrongPassphrase(String),
    /// No passphrase can decrypt it.
    #[error("{file} {}", .error.to_string().replace("FILE", .file))]
    Unusable {
        /// The file.
        file: String,
        /// The reason.
        error: PrivateKeyError,
    },
    /// The key cannot sign.
    #[error("the key cannot sign: {0}")]
    Signature(String),
}

/// The mode of a file of ours that other users can access. As in OpenSSH, files of other users are not checked.
#[cfg(unix)]
pub(super) fn exposed(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    (is_ours && found.mode() & 0o077 != 0).then_some(found.mode() & 0o7777)
}

#[cfg(not(unix))]
pub(super) fn exposed(_: &Path) -> Option<u32> {
    None
}

/// The public key of an encrypted key: OpenSSH's format contains it; for others it is in the file beside it.
pub(super) fn public_half(text: &str, path: &Path) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text.trim()) {
        return Some(key.public_key().clone());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PublicKey::from_openssh(public_key::text(&std::fs::read(name).ok()?).trim()).ok()
}

impl KeyFile {
    /// Decrypts the private key. The passphrase is asked for only now that the server accepts the key.
    pub(super) async fn open(&mut self) -> Result<&PrivateKey, SignError> {
        let shown = shown(&self.path);
        for attempt in 1..=MAX_PASSPHRASE_ATTEMPTS {
            if self.key.is_some() {
                break;
            }
            let asked = self.asker.secret(format!("Passphrase of {shown}: ")).await;
            let secret = asked.map_err(|error| SignError::Passphrase { file: shown.clone(), error })?;
            match private_key::decode(&self.text, Some(secret.expose())) {
                Ok(key) => self.key = Some(key),
                Err(PrivateKeyError::WrongPassphrase) if attempt < MAX_PASSPHRASE_ATTEMPTS => {
                    warn(format_args!("that passphrase does not open {shown}, please try again"));
                }
                Err(PrivateKeyError::WrongPassphrase) => {}
                Err(error) => return Err(SignError::Unusable { file: shown, error }),
            }
        }
        self.key.as_ref().ok_or(SignError::WrongPassphrase(shown))
    }
}

impl Signer for KeyFile {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut request: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let key = self.open().await?;
        let signed = match key.key_data() {
            KeypairData::Rsa(rsa) => signature::Signer::try_sign(&(rsa, hash), &request),
            key => signature::Signer::try_sign(key, &request),
        };
        let failed = |error: &dyn std::fmt::Display| SignError::Signature(error.to_string());
        let signature: russh::keys::ssh_key::Signature = signed.map_err(|error| failed(&error))?;
        signature.encode_prefixed(&mut request).map_err(|error| failed(&error))?;
        Ok(request)
    }
}
