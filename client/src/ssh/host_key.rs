//! Checks the server's host key.

use super::ask::{AskError, Asker};
use super::config::UnknownHost;
use super::error::LoginError;
use super::known_hosts::{self, CertificateVerdict, KnownHost, KnownHostLine, Verdict};
use super::settings::Settings;
use crate::conversation::LossReason;
use crate::messages::warn;
use crate::names::shown;
use russh::client::{self, DisconnectReason};
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};
use sshome_wire::display::Escaped;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// The handler of a connection, which checks the host key.
pub(super) struct HostCheck {
    /// The name of its lines.
    name: String,
    /// The name in a certificate.
    host: String,
    known: KnownHost,
    unknown_host: UnknownHost,
    /// The file for new hosts.
    file: Option<PathBuf>,
    asker: Asker,
    quiet: bool,
    /// The accepted key. On further connections of the process no other key is accepted.
    accepted: AcceptedHostKey,
    /// The reason for the end of the connection.
    pub(super) loss: LossReason,
}

/// The key of a host, once it was accepted. Clones share it.
pub(super) type AcceptedHostKey = Arc<OnceLock<PublicKey>>;

impl HostCheck {
    /// Reads the known keys of the host.
    ///
    /// # Errors
    /// If a file of known hosts exists and cannot be read.
    pub(super) fn new(
        settings: &Settings,
        asker: Asker,
        accepted: AcceptedHostKey,
    ) -> Result<HostCheck, LoginError> {
        let (name, host) = match &settings.host_key_alias {
            Some(alias) => (alias.to_ascii_lowercase(), alias.clone()),
            None => (known_hosts::name(&settings.host, settings.port), settings.host.clone()),
        };
        let files = [settings.known_hosts.as_slice(), &settings.global_known_hosts].concat();
        let read = KnownHost::read(&files, &name).and_then(|mut known| {
            settings.revoked_host_keys.iter().try_for_each(|file| known.revoke(file)).map(|()| known)
        });
        let known = read.map_err(|error| {
            LoginError::HostKey(format!(
                "the known hosts cannot be read, so the host cannot be checked: {error}"
            ))
        })?;
        Ok(HostCheck {
            name,
            host,
            known,
            unknown_host: settings.unknown_host,
            file: settings.known_hosts.first().cloned(),
            asker,
            quiet: settings.quiet,
            accepted,
            loss: LossReason::default(),
        })
    }

    /// Moves the algorithms of known keys to the front: a host with several keys then uses one that can be checked.
    #[must_use]
    pub(super) fn prefer_known(&self, algorithms: &[Algorithm]) -> Vec<Algorithm> {
        let known = |algorithm: &&Algorithm| {
            self.known.keys().any(|line| match (line.key.algorithm(), algorithm) {
                // An RSA key can be used with each of its hashes.
                (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                (of_line, algorithm) => of_line == **algorithm,
            })
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = algorithms.iter().partition(known);
        first.extend(rest);
        first.into_iter().cloned().collect()
    }

    /// The algorithms of certificates to offer: none if no authority is known, since a server would then show a
    /// certificate that cannot be checked.
    #[must_use]
    pub(super) fn certificate_algorithms(&self, algorithms: &[Algorithm]) -> Vec<Algorithm> {
        if self.known.has_authorities() { algorithms.to_vec() } else { Vec::new() }
    }

    /// Whether a certificate proves the host's key. If not, the key has to be known itself.
    fn is_certified(&self, certificate: &Certificate) -> Result<bool, LoginError> {
        // A clock before 1970 makes every certificate invalid.
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
        match self.known.judge_certificate(certificate, &self.host, now) {
            CertificateVerdict::Valid => Ok(true),
            CertificateVerdict::Revoked(line) => {
                Err(LoginError::HostKey(revoked(&self.name, &line.key, line)))
            }
            CertificateVerdict::Invalid(flaw) => {
                if !self.quiet {
                    let name = Escaped(self.name.as_bytes());
                    warn(format_args!("the certificate of {name} is not used: {flaw}"));
                }
                Ok(false)
            }
        }
    }

    async fn check(&self, key: &PublicKey) -> Result<(), LoginError> {
        match self.known.judge(key) {
            Verdict::Known => return Ok(()),
            Verdict::Revoked(line) => return Err(LoginError::HostKey(revoked(&self.name, key, line))),
            Verdict::Changed(line) => return Err(LoginError::HostKey(changed(&self.name, key, line))),
            Verdict::Unknown => {}
        }
        match self.unknown_host {
            UnknownHost::Accept => {}
            UnknownHost::Ask => self.ask(key).await?,
            UnknownHost::Refuse => {
                return Err(self.unknown(key, "StrictHostKeyChecking in the configuration forbids new hosts"));
            }
        }
        self.remember(key);
        Ok(())
    }

    async fn ask(&self, key: &PublicKey) -> Result<(), LoginError> {
        let fingerprint = fingerprint(key);
        let mut question = format!(
            "The host {} is not known. Its {} key has the fingerprint\n    {fingerprint}\n\
             Trust this key? (yes / no / paste the expected fingerprint) ",
            Escaped(self.name.as_bytes()),
            kind(key)
        );
        loop {
            let answer = match self.asker.line(question).await {
                Ok(answer) => answer,
                Err(AskError::NobodyThere) => {
                    return Err(self.unknown(key, "no terminal to ask on; --accept-new accepts unknown keys"));
                }
                Err(error) => return Err(self.unknown(key, &error.to_string())),
            };
            match answer.as_str() {
                "yes" => return Ok(()),
                "no" => return Err(self.unknown(key, "you did not accept it")),
                given if given == fingerprint => return Ok(()),
                given if given.starts_with("SHA256:") => {
                    return Err(self.unknown(key, "its fingerprint is not the expected one"));
                }
                _ => question = "Please type yes, no or the fingerprint: ".to_owned(),
            }
        }
    }

    /// Stores a host's key. If that fails, the user is asked again the next time.
    fn remember(&self, key: &PublicKey) {
        let Some(file) = &self.file else { return };
        let (name, kind, shown) = (Escaped(self.name.as_bytes()), kind(key), shown(file));
        match known_hosts::remember(file, &self.name, key) {
            Ok(()) if self.quiet => {}
            Ok(()) => {
                warn(format_args!("remembered the {kind} key of {name} in {shown}: {}", fingerprint(key)))
            }
            Err(error) => warn(format_args!("the key of {name} cannot be remembered in {shown}: {error}")),
        }
    }

    fn unknown(&self, key: &PublicKey, why: &str) -> LoginError {
        let (name, kind, fingerprint) = (Escaped(self.name.as_bytes()), kind(key), fingerprint(key));
        LoginError::HostKey(format!("the host {name} is not known ({kind} key, {fingerprint}): {why}"))
    }
}

impl client::Handler for HostCheck {
    type Error = LoginError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, LoginError> {
        let key = shown.public_key();
        if let Some(certificate) = shown.certificate()
            && self.is_certified(certificate)?
        {
            // A host may have several machines, each with a key of its own. The first is kept.
            let _ = self.accepted.set(key);
            return Ok(true);
        }
        if let Some(accepted) = self.accepted.get() {
            return match accepted.key_data() == key.key_data() {
                true => Ok(true),
                false => Err(LoginError::HostKey(another(&self.name, &key))),
            };
        }
        self.check(&key).await?;
        // It is empty.
        let _ = self.accepted.set(key.clone());
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<LoginError>) -> Result<(), LoginError> {
        Err(match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                self.loss.said(format!("the server ended it: {}", Escaped(said.message.as_bytes())));
                LoginError::Ended(said.message)
            }
            DisconnectReason::Error(error) => {
                let words = match &error {
                    LoginError::Ssh(russh::Error::KeepaliveTimeout) => {
                        "the server has not answered the keepalives".to_owned()
                    }
                    error => error.to_string(),
                };
                self.loss.fault(|| words);
                error
            }
        })
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), LoginError> {
        if !self.quiet {
            banner.lines().for_each(|line| warn(Escaped(line.as_bytes())));
        }
        Ok(())
    }
}

fn another(name: &str, key: &PublicKey) -> String {
    format!(
        "{} shows a different {} key than on the previous connection, {}: disconnected",
        Escaped(name.as_bytes()),
        kind(key),
        fingerprint(key)
    )
}

fn kind(key: &PublicKey) -> String {
    match key.algorithm() {
        Algorithm::Ed25519 => "ED25519".to_owned(),
        Algorithm::Ecdsa { .. } => "ECDSA".to_owned(),
        Algorithm::Rsa { .. } => "RSA".to_owned(),
        other => other.to_string(),
    }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn changed(name: &str, key: &PublicKey, line: &KnownHostLine) -> String {
    format!(
        "\
THE KEY OF THE HOST HAS CHANGED. Nothing was sent to it.
    host           {}
    it shows       {} {}
    it is known by {} {}
    that is in     {}:{}
Either somebody intercepts the connection, or the host was reinstalled. Ask its administrator for the
fingerprint of its key. If the new one is right, remove that line and connect again.",
        Escaped(name.as_bytes()),
        kind(key),
        fingerprint(key),
        kind(&line.key),
        fingerprint(&line.key),
        shown(&line.file),
        line.number
    )
}

fn revoked(name: &str, key: &PublicKey, line: &KnownHostLine) -> String {
    format!(
        "THE KEY THAT THE HOST SHOWS IS REVOKED. Nothing was sent to it.\n    host      {}\n    \
         it shows  {} {}\n    revoked   in {}:{}\nDo not use this host until its administrator has explained it.",
        Escaped(name.as_bytes()),
        kind(key),
        fingerprint(key),
        shown(&line.file),
        line.number
    )
}

#[cfg(test)]
mod tests {
    use super::super::settings::Environment;
    use super::*;
    use crate::cli::ClientCli;
    use clap::Parser;
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::EcdsaCurve;

    fn key(algorithm: Algorithm) -> PublicKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).unwrap().public_key().clone()
    }

    /// A check in a home of its own, where nobody can be asked.
    fn check(home: &std::path::Path, unknown_host: UnknownHost) -> HostCheck {
        let cli = ClientCli::try_parse_from(["sshome", "-q", "-F", "none", "alex@host"]).unwrap();
        let environment = Environment { home: Some(home.to_owned()), ..Environment::default() };
        let mut settings = Settings::resolve(&cli, &environment).unwrap();
        settings.unknown_host = unknown_host;
        HostCheck::new(&settings, Asker::current(true), AcceptedHostKey::default()).unwrap()
    }

    #[tokio::test]
    async fn an_unknown_host_is_accepted_only_with_consent() {
        let home = tempfile::tempdir().unwrap();
        let (first, second) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        for unknown_host in [UnknownHost::Ask, UnknownHost::Refuse] {
            let refused = check(home.path(), unknown_host).check(&first).await.unwrap_err();
            assert!(refused.to_string().contains(&fingerprint(&first)), "{refused}");
            assert!(!home.path().join(".ssh").exists());
        }
        check(home.path(), UnknownHost::Accept).check(&first).await.unwrap();
        // The host is known by now, so a different key is a change, whatever the policy.
        check(home.path(), UnknownHost::Refuse).check(&first).await.unwrap();
        let changed = check(home.path(), UnknownHost::Accept).check(&second).await.unwrap_err();
        let said = changed.to_string();
        for part in ["CHANGED", "known_hosts:1", &fingerprint(&first), &fingerprint(&second)] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[tokio::test]
    async fn known_key_types_are_requested_first() {
        let home = tempfile::tempdir().unwrap();
        let p256 = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        check(home.path(), UnknownHost::Accept).check(&key(p256.clone())).await.unwrap();
        let all = [Algorithm::Ed25519, Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, p256.clone()];
        let preferred = check(home.path(), UnknownHost::Ask).prefer_known(&all);
        assert_eq!(preferred, [p256, all[0].clone(), all[1].clone()]);
    }
}
