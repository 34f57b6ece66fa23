//! The login with keys and their certificates.

use super::LoginAttempt;
use crate::messages::warn;
use crate::ssh::agent::Agent;
use crate::ssh::ask::{AskError, Asker};
use crate::ssh::error::LoginError;
use crate::ssh::key_file::SignError;
use crate::ssh::keys::{self, Attended, KeyCandidate, Problem};
use russh::client::AuthResult;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use russh::{MethodKind, Signer};

/// What is offered to the server.
struct Offer {
    public: PublicKey,
    certificate: Option<Certificate>,
    /// The hash of a signature with RSA.
    hash: Option<HashAlg>,
}

impl LoginAttempt<'_> {
    pub(super) async fn with_keys(&mut self, asker: &Asker) -> Result<Option<KeyCandidate>, LoginError> {
        let mut problems = Vec::new();
        let mut agent = keys::agent(self.settings, &mut problems).await;
        let candidates = keys::candidates(self.settings, &mut agent, asker, &mut problems).await;
        for Problem { text, at_once } in problems {
            match at_once {
                true => warn(text),
                false => self.notes.push(text),
            }
        }
        for mut candidate in candidates {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            if self.try_key(&mut candidate, agent.as_mut(), asker).await? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    pub(super) async fn try_key(
        &mut self,
        candidate: &mut KeyCandidate,
        agent: Option<&mut Agent>,
        asker: &Asker,
    ) -> Result<bool, LoginError> {
        let tried =
            asker.within(self.settings.response_timeout(), self.with_key(candidate, agent, asker)).await;
        tried.unwrap_or_else(|| Err(self.too_long()))
    }

    async fn with_key(
        &mut self,
        candidate: &mut KeyCandidate,
        agent: Option<&mut Agent>,
        asker: &Asker,
    ) -> Result<bool, LoginError> {
        let public = match candidate.public().await {
            Err(SignError::Passphrase { error: AskError::Interrupted, .. }) => {
                return Err(LoginError::Interrupted);
            }
            Err(error) => {
                self.notes.push(error.to_string());
                return Ok(false);
            }
            Ok(public) => public,
        };
        let KeyCandidate { origin, file, certificate, .. } = candidate;
        self.offered += 1;
        if self.settings.verbose {
            warn(format_args!("trying {origin} ({})", public.fingerprint(HashAlg::Sha256)));
        }
        let hash = match public.algorithm() {
            // A server that does not list its hashes accepts SHA-512, as every server since 2016.
            Algorithm::Rsa { .. } => {
                self.handle.best_supported_rsa_hash().await?.unwrap_or(Some(HashAlg::Sha512))
            }
            _ => None,
        };
        if hash.is_none() && matches!(public.algorithm(), Algorithm::Rsa { .. }) {
            self.notes.push(format!("{origin}: the server takes RSA only with SHA-1, which is broken"));
            return Ok(false);
        }
        let offer = Offer { public, certificate: certificate.clone(), hash };
        let result = match (file, agent) {
            (Some(file), _) => match self.sign(offer, file).await {
                Err(SignError::Passphrase { error: AskError::Interrupted, .. }) => {
                    return Err(LoginError::Interrupted);
                }
                result => result.map_err(|error| error.to_string()),
            },
            (None, Some(agent)) => {
                let result = self.sign(offer, &mut Attended { agent, asker }).await;
                result.map_err(|error| format!("{origin}: {error}"))
            }
            (None, None) => return Ok(false),
        };
        match result {
            Ok(result) => self.judge(result),
            Err(note) => {
                self.notes.push(note);
                self.connected()?;
                Ok(false)
            }
        }
    }

    /// Offers a key or its certificate, and signs if the server accepts it.
    async fn sign<S: Signer>(&mut self, offer: Offer, signer: &mut S) -> Result<AuthResult, S::Error> {
        let (user, Offer { public, certificate, hash }) = (self.settings.user.clone(), offer);
        match certificate {
            Some(certificate) => {
                self.handle.authenticate_certificate_with(user, certificate, hash, signer).await
            }
            None => self.handle.authenticate_publickey_with(user, public, hash, signer).await,
        }
    }
}
