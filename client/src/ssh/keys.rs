//! The keys that a login can be tried with: those of the agent, and those in files.

use super::ask::{AskError, Asker};
use super::settings::{Identity, Settings};
use crate::names::shown;
use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Error as KeyError, HashAlg, PrivateKey, PublicKey, decode_secret_key, signature};
use std::path::{Path, PathBuf};

/// How often a passphrase is asked for.
const PASSPHRASES: usize = 3;

/// A key to try.
pub(super) struct Candidate {
    /// What the server is asked about.
    pub public: PublicKey,
    /// Where it comes from, as people may see it.
    pub origin: String,
    /// The file, unless the agent has it.
    pub file: Option<KeyFile>,
}

/// A private key in a file, perhaps behind a passphrase.
pub(super) struct KeyFile {
    path: PathBuf,
    text: String,
    key: Option<PrivateKey>,
    asker: Asker,
}

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The connection is gone.
    #[error("the connection is lost")]
    Send(#[from] russh::SendError),
    /// The key is encrypted and stays so.
    #[error("{file} needs its passphrase: {error}")]
    Passphrase {
        /// The file.
        file: String,
        /// Why there is none.
        error: AskError,
    },
    /// No passphrase fitted.
    #[error("none of the passphrases opens {0}")]
    WrongPassphrase(String),
    /// The key cannot sign.
    #[error("the key cannot sign: {0}")]
    Signature(String),
}

/// The keys to try, in the order of OpenSSH: named files first, then the agent's other keys, then the
/// usual files. What the agent has is signed by the agent, wherever it was named.
pub(super) async fn candidates(
    settings: &Settings,
    agent: Option<&mut Agent>,
    asker: &Asker,
    notes: &mut Vec<String>,
) -> Vec<Candidate> {
    let mut held: Vec<PublicKey> = Vec::new();
    if let Some(agent) = agent {
        match agent.request_identities().await {
            Ok(identities) => held.extend(identities.iter().filter_map(|identity| match identity {
                AgentIdentity::PublicKey { key, .. } => Some(key.clone()),
                AgentIdentity::Certificate { .. } => None,
            })),
            Err(error) => notes.push(format!("the agent does not tell its keys: {error}")),
        }
    }
    let mut named: Vec<Candidate> = Vec::new();
    let mut usual = Vec::new();
    for identity in &settings.identities {
        match read(identity, &held, asker) {
            Ok(Some(candidate)) if identity.named => named.push(candidate),
            Ok(Some(candidate)) => usual.push(candidate),
            Ok(None) => {}
            Err(note) => notes.push(note),
        }
    }
    let agents = held.into_iter().filter(|_| !settings.identities_only).map(|public| {
        let comment = sshome_wire::display::Escaped(public.comment().as_bytes()).to_string();
        Candidate { origin: format!("the agent's {comment}"), public, file: None }
    });
    let mut all: Vec<Candidate> = Vec::new();
    for candidate in named.into_iter().chain(agents).chain(usual) {
        if !all.iter().any(|known| known.public.key_data() == candidate.public.key_data()) {
            all.push(candidate);
        }
    }
    all
}

/// A connection to an agent.
pub(super) type Agent = AgentClient<Box<dyn russh::keys::agent::client::AgentStream + Send + Unpin>>;

/// Connects to the agent, if there is one.
pub(super) async fn agent(socket: Option<&Path>, notes: &mut Vec<String>) -> Option<Agent> {
    #[cfg(unix)]
    match AgentClient::connect_uds(socket?).await {
        Ok(agent) => return Some(agent.dynamic()),
        Err(error) => notes.push(format!("the agent cannot be reached: {error}")),
    }
    #[cfg(not(unix))]
    let _ = (socket, notes);
    None
}

/// Reads a key's public half without its passphrase; none where one of the usual files is missing.
fn read(identity: &Identity, held: &[PublicKey], asker: &Asker) -> Result<Option<Candidate>, String> {
    let path = &identity.file;
    let origin = shown(path);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !identity.named => return Ok(None),
        Err(error) => return Err(format!("{origin}: {error}")),
    };
    let in_agent = |public: &PublicKey| held.iter().any(|key| key.key_data() == public.key_data());
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        // A public key names one of the agent's.
        return if in_agent(&public) {
            Ok(Some(Candidate { public, origin, file: None }))
        } else {
            Err(format!("{origin} is a public key, and the agent does not have the private one"))
        };
    }
    let (public, key) = match decode_secret_key(&text, None) {
        Ok(key) => (key.public_key().clone(), Some(key)),
        Err(error) => match (PrivateKey::from_openssh(&text), beside(path)) {
            (Ok(key), _) => (key.public_key().clone(), None),
            (Err(_), Some(public)) => (public, None),
            (Err(_), None) if matches!(error, KeyError::KeyIsEncrypted) => {
                return Err(format!("{origin} is encrypted, and its public key is not beside it"));
            }
            (Err(_), None) => return Err(format!("{origin} is no private key that can be read: {error}")),
        },
    };
    let file = KeyFile { path: path.clone(), text, key, asker: asker.clone() };
    Ok(Some(Candidate { file: (!in_agent(&public)).then_some(file), public, origin }))
}

/// The public key in the file beside, where ssh-keygen leaves it.
fn beside(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PublicKey::from_openssh(std::fs::read_to_string(name).ok()?.trim()).ok()
}

impl KeyFile {
    /// The private key. Only now is a passphrase asked for: the server has said that it wants the key.
    async fn open(&mut self) -> Result<&PrivateKey, SignError> {
        let shown = shown(&self.path);
        if self.key.is_none() {
            for _ in 0..PASSPHRASES {
                let asked = self.asker.secret(format!("Passphrase of {shown}: ")).await;
                let secret = asked.map_err(|error| SignError::Passphrase { file: shown.clone(), error })?;
                if let Ok(key) = decode_secret_key(&self.text, Some(secret.expose())) {
                    self.key = Some(key);
                    break;
                }
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
