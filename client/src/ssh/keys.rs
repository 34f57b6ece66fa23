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
use zeroize::Zeroizing;

/// How often a passphrase is asked for.
const PASSPHRASES: usize = 3;

/// A key to try.
#[derive(Clone)]
pub(super) struct Candidate {
    /// What the server is asked about.
    pub public: PublicKey,
    /// Where it comes from, as people may see it.
    pub origin: String,
    /// The file, unless the agent has it.
    pub file: Option<KeyFile>,
}

/// A private key in a file, perhaps behind a passphrase.
#[derive(Clone)]
pub(super) struct KeyFile {
    path: PathBuf,
    text: Zeroizing<String>,
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
            Ok(identities) => held.extend(identities.into_iter().filter_map(|identity| match identity {
                AgentIdentity::PublicKey { key, comment } => {
                    Some(PublicKey::new(key.key_data().clone(), comment))
                }
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

/// The keys to install on a server, chosen as ssh-copy-id does: the named ones; if there are none, the
/// agent's; if it has none, those in files with a usual name.
pub(super) async fn to_install(settings: &Settings, notes: &mut Vec<String>) -> Vec<PublicKey> {
    let mut agent = agent(settings.agent.as_deref(), notes).await;
    let named = settings.identities.iter().any(|identity| identity.named);
    // Each with all that would come before or after it left out.
    let only_files = Settings { identities_only: true, ..settings.clone() };
    let only_agent = Settings { identities: Vec::new(), ..settings.clone() };
    let mut found = Vec::new();
    if !named {
        found = candidates(&only_agent, agent.as_mut(), &Asker::silent(), notes).await;
    }
    if found.is_empty() {
        found = candidates(&only_files, agent.as_mut(), &Asker::silent(), notes).await;
    }
    found.into_iter().map(|candidate| candidate.public).collect()
}

/// A connection to an agent.
pub(super) type Agent = AgentClient<Box<dyn russh::keys::agent::client::AgentStream + Send + Unpin>>;

/// An agent that may ask a person before it signs: for a passphrase, or to touch a token.
pub(super) struct Attended<'a> {
    pub agent: &'a mut Agent,
    pub asker: &'a Asker,
}

impl Signer for Attended<'_> {
    type Error = <Agent as Signer>::Error;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let _asking = self.asker.asking();
        self.agent.auth_sign(key, hash, request).await
    }
}

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
        Ok(text) => Zeroizing::new(text),
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
        Err(error) => match (PrivateKey::from_openssh(text.as_bytes()), beside(path)) {
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

#[cfg(test)]
mod tests {
    use super::super::settings::Environment;
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;
    use russh::keys::key::safe_rng;
    use russh::keys::signature::Verifier;
    use russh::keys::ssh_encoding::Decode;
    use russh::keys::ssh_key::{LineEnding, Signature};
    use russh::keys::{Algorithm, EcdsaCurve};

    /// A new key in a file, and perhaps a passphrase before it.
    fn keep(file: &Path, algorithm: Algorithm, passphrase: Option<&str>) -> PublicKey {
        let key = PrivateKey::random(&mut safe_rng(), algorithm).unwrap();
        let kept = passphrase.map(|passphrase| key.encrypt(&mut safe_rng(), passphrase).unwrap());
        kept.as_ref().unwrap_or(&key).write_openssh_file(file, LineEnding::LF).unwrap();
        key.public_key().clone()
    }

    fn settings(home: &Path, named: &[&str]) -> Settings {
        let mut arguments = vec!["sshome".into(), "-F".into(), "none".into(), "alex@host".into()];
        named.iter().for_each(|name| {
            arguments.splice(1..1, ["-i".into(), home.join(name).into_os_string()]).for_each(drop)
        });
        let environment = Environment { home: Some(home.to_owned()), ..Environment::default() };
        Settings::resolve(&Cli::try_parse_from(arguments).unwrap(), &environment).unwrap()
    }

    #[tokio::test]
    async fn the_public_half_needs_no_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let open = keep(&dir.path().join("open"), Algorithm::Ed25519, None);
        let shut = keep(&dir.path().join("shut"), Algorithm::Ed25519, Some("sesame"));
        std::fs::write(dir.path().join("half"), shut.to_openssh().unwrap()).unwrap();
        std::fs::write(dir.path().join("junk"), "junk").unwrap();
        let settings = settings(dir.path(), &["open", "shut", "open", "half", "junk", "missing"]);
        let mut notes = Vec::new();
        let found = candidates(&settings, None, &Asker::current(true), &mut notes).await;
        let mut keys: Vec<_> = found.iter().map(|found| found.public.key_data().clone()).collect();
        keys.sort();
        let mut want = [open.key_data().clone(), shut.key_data().clone()];
        want.sort();
        assert_eq!(keys, want);
        assert_eq!(notes.len(), 3, "{notes:?}");
    }

    #[tokio::test]
    async fn the_usual_files_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".ssh")).unwrap();
        keep(&dir.path().join(".ssh/id_ed25519"), Algorithm::Ed25519, None);
        let mut notes = Vec::new();
        let found = candidates(&settings(dir.path(), &[]), None, &Asker::current(true), &mut notes).await;
        assert_eq!((found.len(), notes.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_file_signs_what_it_is_asked_to() {
        let dir = tempfile::tempdir().unwrap();
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }] {
            let file = dir.path().join("key");
            let public = keep(&file, algorithm, None);
            let identity = Identity { file, named: true };
            let candidate = read(&identity, &[], &Asker::current(true)).unwrap().unwrap();
            let agent_identity = AgentIdentity::from(public.clone());
            let signed =
                candidate.file.unwrap().auth_sign(&agent_identity, None, b"request".to_vec()).await.unwrap();
            let blob = signed.strip_prefix(b"request").unwrap();
            let blob = Vec::<u8>::decode(&mut &blob[..]).unwrap();
            let signature = Signature::try_from(blob.as_slice()).unwrap();
            Verifier::verify(&public, b"request", &signature).unwrap();
        }
    }

    #[tokio::test]
    async fn a_passphrase_that_nobody_gives_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shut");
        let public = keep(&file, Algorithm::Ed25519, Some("sesame"));
        let identity = Identity { file, named: true };
        let mut candidate = read(&identity, &[], &Asker::current(true)).unwrap().unwrap();
        let error =
            candidate.file.as_mut().unwrap().auth_sign(&public.clone().into(), None, Vec::new()).await;
        assert!(matches!(error, Err(SignError::Passphrase { error: AskError::Forbidden, .. })));
        // What the agent has is left to the agent.
        assert!(read(&identity, &[public], &Asker::current(true)).unwrap().unwrap().file.is_none());
    }
}
