//! The keys for a login: those of the agent, and those in files.

use super::agent::{Agent, AgentError, AgentKeys};
use super::ask::Asker;
use super::certificates;
use super::key_file::{KeyFile, SignError, exposed, public_half};
use super::private_key::{self, PrivateKeyError};
use super::settings::{Identity, IdentitySource, Settings};
use crate::names::shown;
use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, HashAlg, PublicKey};
use sshome_wire::display::Escaped;
use sshome_wire::public_key;
use std::io::ErrorKind;
use zeroize::Zeroizing;

/// A key to try.
#[derive(Clone)]
pub(super) struct KeyCandidate {
    /// The public key; `None` if it is only known once the file is decrypted.
    public: Option<PublicKey>,
    /// The certificate that is offered instead of the key.
    pub certificate: Option<Certificate>,
    /// Its origin, safe to show.
    pub origin: String,
    /// The file, unless the agent has it.
    pub file: Option<KeyFile>,
}

/// Why a key cannot be used.
pub(super) struct Problem {
    /// The problem and the remedy.
    pub text: String,
    /// Whether it is reported at once, as ssh does, and not only if the login fails.
    pub at_once: bool,
}

impl Problem {
    pub(super) fn later(text: String) -> Problem {
        Problem { text, at_once: false }
    }
}

/// The keys to try, in OpenSSH's order: named files first, then the agent's other keys, then the usual files; each after
/// its certificates. If the agent has a key, it signs, also if a file was named.
pub(super) async fn candidates(
    settings: &Settings,
    agent: &mut Option<Agent>,
    asker: &Asker,
    problems: &mut Vec<Problem>,
) -> Vec<KeyCandidate> {
    let mut held = AgentKeys::default();
    if let Some(asked) = agent {
        match asked.identities().await {
            Ok(keys) => held = keys,
            Err(error) => {
                let at_once = matches!(error, AgentError::Silent(_));
                problems.push(Problem { text: format!("the agent's keys are not tried: {error}"), at_once });
                *agent = None;
            }
        }
    }
    let mut named: Vec<KeyCandidate> = Vec::new();
    let mut usual = Vec::new();
    for identity in &settings.identities {
        match read(identity, &held.keys, asker) {
            Ok(Some(candidate)) if identity.source != IdentitySource::Usual => named.push(candidate),
            Ok(Some(candidate)) => usual.push(candidate),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    let certificates = certificates::read(settings, problems);
    let AgentKeys { keys, certificates: agents_certificates } = held;
    let agents = keys.into_iter().map(|public| {
        let comment = Escaped(public.comment().as_bytes()).to_string();
        let origin = format!("the agent's {comment}");
        KeyCandidate { origin, public: Some(public), certificate: None, file: None }
    });
    // A named certificate also names its key.
    let is_wanted = |key: &KeyCandidate| {
        !settings.identities_only || certificates.iter().any(|(certificate, _)| key.has(certificate))
    };
    let agents: Vec<_> = agents.filter(is_wanted).collect();
    let mut all: Vec<KeyCandidate> = Vec::new();
    if !settings.identities_only {
        all.extend(agents_certificates.into_iter().map(KeyCandidate::certified_by_agent));
    }
    for candidate in named.into_iter().chain(agents).chain(usual) {
        let own = certificates.iter().filter(|(certificate, _)| candidate.has(certificate));
        for certified in own.map(|(certificate, origin)| candidate.certified(certificate, origin)) {
            if !all.iter().any(|known| known.is_same(&certified)) {
                all.push(certified);
            }
        }
        if !all.iter().any(|known| known.is_same(&candidate)) {
            all.push(candidate);
        }
    }
    all
}

/// The keys to install on a server, chosen as ssh-copy-id does: the named ones; if there are none, the
/// agent's; if it has none, those in files with a usual name.
pub(super) async fn to_install(settings: &Settings, notes: &mut Vec<String>) -> Vec<PublicKey> {
    let mut problems = Vec::new();
    let mut agent = agent(settings, &mut problems).await;
    let named = settings.identities.iter().any(|identity| identity.source != IdentitySource::Usual);
    // Each without the keys of the other kind.
    let only_files = Settings { identities_only: true, ..settings.clone() };
    let only_agent = Settings { identities: Vec::new(), ..settings.clone() };
    let mut found = Vec::new();
    if !named {
        found = candidates(&only_agent, &mut agent, &Asker::silent(), &mut problems).await;
    }
    if found.is_empty() {
        found = candidates(&only_files, &mut agent, &Asker::silent(), &mut problems).await;
    }
    notes.extend(problems.into_iter().map(|problem| problem.text));
    let plain = found.into_iter().filter(|candidate| candidate.certificate.is_none());
    plain.filter_map(|candidate| candidate.public).collect()
}

/// An agent that may ask the user before it signs: for a passphrase, or to touch a token.
pub(super) struct Attended<'a> {
    pub agent: &'a mut Agent,
    pub asker: &'a Asker,
}

impl Signer for Attended<'_> {
    type Error = AgentError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let _asking = self.asker.asking();
        self.agent.auth_sign(key, hash, request).await
    }
}

/// Connects to the agent, if there is one.
pub(super) async fn agent(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Agent> {
    #[cfg(unix)]
    match tokio::net::UnixStream::connect(settings.agent.as_deref()?).await {
        Ok(stream) => return Some(Agent::over(stream, settings.timeout)),
        Err(error) => problems.push(Problem::later(format!("the agent cannot be reached: {error}"))),
    }
    #[cfg(not(unix))]
    let _ = (settings, problems);
    None
}

/// Reads a key file, without its passphrase if possible; `None` if one of the usual files is missing.
fn read(identity: &Identity, held: &[PublicKey], asker: &Asker) -> Result<Option<KeyCandidate>, Problem> {
    let path = &identity.file;
    let origin = shown(path);
    let problem = |text: String| Problem { text, at_once: identity.source != IdentitySource::Configuration };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound && identity.source == IdentitySource::Usual => {
            return Ok(None);
        }
        // The same words as ssh.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = format!("no such identity: {origin}: No such file or directory");
            return Err(Problem { text, at_once: true });
        }
        Err(error) => return Err(Problem { text: format!("{origin}: {error}"), at_once: true }),
    };
    let text = Zeroizing::new(public_key::text(&bytes));
    let in_agent = |public: &PublicKey| held.iter().any(|key| key.key_data() == public.key_data());
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        // A public key selects a key of the agent.
        return match in_agent(&public) {
            true => Ok(Some(KeyCandidate { public: Some(public), certificate: None, origin, file: None })),
            false => {
                Err(problem(format!("{origin} is a public key, and the agent does not have the private one")))
            }
        };
    }
    if let Some(mode) = exposed(path) {
        let text = format!(
            "{origin} can be read by others (mode {mode:04o}), so this private key is not used: chmod 600 {origin}"
        );
        return Err(Problem { text, at_once: true });
    }
    let (public, key) = match private_key::decode(&text, None) {
        Ok(key) => (Some(key.public_key().clone()), Some(key)),
        Err(PrivateKeyError::Encrypted) => (public_half(&text, path), None),
        Err(error) => return Err(problem(format!("{origin} {error}").replace("FILE", &origin))),
    };
    let held = public.as_ref().is_some_and(in_agent);
    let file = KeyFile { path: path.clone(), text, key, asker: asker.clone() };
    Ok(Some(KeyCandidate { file: (!held).then_some(file), certificate: None, public, origin }))
}

impl KeyCandidate {
    /// The public key. If only the decrypted file contains it, its passphrase is asked for.
    ///
    /// # Errors
    /// If the file has to be decrypted, and that fails.
    pub(super) async fn public(&mut self) -> Result<PublicKey, SignError> {
        if let (None, Some(file)) = (&self.public, &mut self.file) {
            self.public = Some(file.open().await?.public_key().clone());
        }
        self.public.clone().ok_or_else(|| SignError::Signature("there is none".to_owned()))
    }

    /// Whether a certificate is for this key.
    fn has(&self, certificate: &Certificate) -> bool {
        self.public.as_ref().is_some_and(|public| public.key_data() == certificate.public_key())
    }

    /// The same key with a certificate, which is in this file.
    fn certified(&self, certificate: &Certificate, origin: &str) -> KeyCandidate {
        KeyCandidate { certificate: Some(certificate.clone()), origin: origin.to_owned(), ..self.clone() }
    }

    /// A key that the agent has together with a certificate.
    fn certified_by_agent(certificate: Certificate) -> KeyCandidate {
        KeyCandidate {
            public: Some(PublicKey::new(certificate.public_key().clone(), "")),
            origin: format!("the agent's certificate {}", Escaped(certificate.key_id().as_bytes())),
            certificate: Some(certificate),
            file: None,
        }
    }

    fn is_same(&self, other: &KeyCandidate) -> bool {
        if self.certificate != other.certificate {
            return false;
        }
        match (&self.public, &other.public) {
            (Some(public), Some(other)) => public.key_data() == other.key_data(),
            _ => self.origin == other.origin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ask::AskError;
    use super::super::settings::Environment;
    use super::*;
    use crate::cli::ClientCli;
    use clap::Parser;
    use russh::keys::key::safe_rng;
    use russh::keys::signature::Verifier;
    use russh::keys::ssh_encoding::Decode;
    use russh::keys::ssh_key::{LineEnding, Signature};
    use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};
    use std::path::Path;

    /// A new key in a file, and perhaps a passphrase before it.
    fn keep(file: &Path, algorithm: Algorithm, passphrase: Option<&str>) -> PublicKey {
        let key = PrivateKey::random(&mut safe_rng(), algorithm).unwrap();
        let kept = passphrase.map(|passphrase| key.encrypt(&mut safe_rng(), passphrase).unwrap());
        kept.as_ref().unwrap_or(&key).write_openssh_file(file, LineEnding::LF).unwrap();
        key.public_key().clone()
    }

    fn make_private(file: &Path) {
        #[cfg(unix)]
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn read_one(identity: &Identity, held: &[PublicKey]) -> KeyCandidate {
        read(identity, held, &Asker::current(true)).map_err(|problem| problem.text).unwrap().unwrap()
    }

    fn settings(home: &Path, named: &[&str]) -> Settings {
        let mut arguments = vec!["sshome".into(), "-F".into(), "none".into(), "alex@host".into()];
        named.iter().for_each(|name| {
            arguments.splice(1..1, ["-i".into(), home.join(name).into_os_string()]).for_each(drop)
        });
        let environment = Environment { home: Some(home.to_owned()), ..Environment::default() };
        Settings::resolve(&ClientCli::try_parse_from(arguments).unwrap(), &environment).unwrap()
    }

    #[tokio::test]
    async fn the_public_half_needs_no_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let open = keep(&dir.path().join("open"), Algorithm::Ed25519, None);
        let shut = keep(&dir.path().join("shut"), Algorithm::Ed25519, Some("sesame"));
        std::fs::write(dir.path().join("half"), shut.to_openssh().unwrap()).unwrap();
        std::fs::write(dir.path().join("junk"), "junk").unwrap();
        make_private(&dir.path().join("junk"));
        let settings = settings(dir.path(), &["open", "shut", "open", "half", "junk", "missing"]);
        let mut notes = Vec::new();
        let found = candidates(&settings, &mut None, &Asker::current(true), &mut notes).await;
        let mut keys: Vec<_> =
            found.iter().map(|found| found.public.as_ref().unwrap().key_data().clone()).collect();
        keys.sort();
        let mut want = [open.key_data().clone(), shut.key_data().clone()];
        want.sort();
        assert_eq!(keys, want);
        let notes: Vec<_> = notes.iter().map(|problem| (problem.at_once, problem.text.as_str())).collect();
        assert!(notes.len() == 3 && notes.iter().all(|(at_once, _)| *at_once), "{notes:?}");
    }

    #[tokio::test]
    async fn the_usual_files_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".ssh")).unwrap();
        keep(&dir.path().join(".ssh/id_ed25519"), Algorithm::Ed25519, None);
        let mut notes = Vec::new();
        let found =
            candidates(&settings(dir.path(), &[]), &mut None, &Asker::current(true), &mut notes).await;
        assert_eq!((found.len(), notes.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_key_file_signs() {
        let dir = tempfile::tempdir().unwrap();
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }] {
            let file = dir.path().join("key");
            let public = keep(&file, algorithm, None);
            let identity = Identity { file, source: IdentitySource::CommandLine };
            let candidate = read_one(&identity, &[]);
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
    async fn a_missing_passphrase_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shut");
        let public = keep(&file, Algorithm::Ed25519, Some("sesame"));
        let identity = Identity { file, source: IdentitySource::CommandLine };
        let mut candidate = read_one(&identity, &[]);
        let error =
            candidate.file.as_mut().unwrap().auth_sign(&public.clone().into(), None, Vec::new()).await;
        assert!(matches!(error, Err(SignError::Passphrase { error: AskError::Forbidden, .. })));
        // Keys that the agent has are left to it.
        assert!(read_one(&identity, &[public]).file.is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        keep(&file, Algorithm::Ed25519, None);
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let identity = Identity { file: file.clone(), source: IdentitySource::Usual };
            let read = read(&identity, &[], &Asker::current(true));
            assert_eq!(read.is_ok(), fine, "{mode:o}");
            let problem = read.err();
            assert!(
                problem.is_none_or(|problem| problem.at_once && problem.text.contains("chmod 600")),
                "{mode:o}"
            );
        }
    }
}
