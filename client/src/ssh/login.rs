//! Logging in: the keys, then the password.

use super::ask::{AskError, Asker, Secret};
use super::error::LoginError;
use super::host_key::HostCheck;
use super::keys::{self, Agent, Attended, Candidate, SignError};
use super::settings::Settings;
use crate::tell::tell;
use russh::client::{AuthResult, Handle};
use russh::keys::{Algorithm, HashAlg};
use russh::{MethodKind, MethodSet};
use sshome_wire::display::Escaped;

/// How many keys are shown to a server: it counts each, and most hang up after six attempts.
const KEYS: usize = 5;

/// How often the password is asked for.
const PASSWORDS: usize = 3;

/// What somebody was let in with; it serves for other connections as well.
#[derive(Clone)]
pub(super) enum Proof {
    /// A key, opened if it was behind a passphrase, or one of the agent's.
    Key(Box<Candidate>),
    /// A password that was typed.
    Password(Secret),
}

/// Logs in. Returns what with.
///
/// # Errors
/// If the server accepts nothing that there is to offer, the connection breaks, or an answer takes
/// longer than the settings' [patience](Settings::patience).
pub(super) async fn authenticate(
    handle: &mut Handle<HostCheck>,
    settings: &Settings,
    asker: &Asker,
) -> Result<Proof, LoginError> {
    let mut login = Login { handle, settings, notes: Vec::new(), remaining: None };
    if settings.public_key
        && let Some(key) = login.with_keys(asker).await?
    {
        return Ok(Proof::Key(Box::new(key)));
    }
    if settings.password
        && login.may(MethodKind::Password)
        && let Some(password) = login.with_password(asker).await?
    {
        return Ok(Proof::Password(password));
    }
    Err(login.refused())
}

/// Logs in once more, with what has served before. Nobody is asked.
///
/// # Errors
/// As of [`authenticate`].
pub(super) async fn authenticate_again(
    handle: &mut Handle<HostCheck>,
    settings: &Settings,
    proof: &mut Proof,
    asker: &Asker,
) -> Result<(), LoginError> {
    let mut login = Login { handle, settings, notes: Vec::new(), remaining: None };
    let accepted = match proof {
        Proof::Password(password) => login.try_password(password, asker).await?,
        Proof::Key(candidate) => {
            let mut agent = match candidate.file {
                Some(_) => None,
                None => keys::agent(settings.agent.as_deref(), &mut login.notes).await,
            };
            login.try_key(candidate, agent.as_mut(), asker).await?
        }
    };
    if accepted { Ok(()) } else { Err(login.refused()) }
}

struct Login<'a> {
    handle: &'a mut Handle<HostCheck>,
    settings: &'a Settings,
    /// What went wrong on the way, for the error at the end.
    notes: Vec<String>,
    /// The methods that the server still takes, once it has said so.
    remaining: Option<MethodSet>,
}

impl Login<'_> {
    async fn with_keys(&mut self, asker: &Asker) -> Result<Option<Candidate>, LoginError> {
        let mut agent = keys::agent(self.settings.agent.as_deref(), &mut self.notes).await;
        let candidates = keys::candidates(self.settings, agent.as_mut(), asker, &mut self.notes).await;
        if candidates.len() > KEYS {
            self.notes.push(format!(
                "only the first {KEYS} keys were tried: -i KEY names one, IdentitiesOnly keeps to those named"
            ));
        }
        for mut candidate in candidates.into_iter().take(KEYS) {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            if self.try_key(&mut candidate, agent.as_mut(), asker).await? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    async fn try_key(
        &mut self,
        candidate: &mut Candidate,
        agent: Option<&mut Agent>,
        asker: &Asker,
    ) -> Result<bool, LoginError> {
        let tried = asker.within(self.settings.patience(), self.with_key(candidate, agent, asker)).await;
        tried.unwrap_or_else(|| Err(self.too_long()))
    }

    async fn with_key(
        &mut self,
        candidate: &mut Candidate,
        agent: Option<&mut Agent>,
        asker: &Asker,
    ) -> Result<bool, LoginError> {
        let Candidate { public, origin, file } = candidate;
        let public = public.clone();
        if self.settings.verbose {
            tell(format_args!("trying {origin} ({})", public.fingerprint(HashAlg::Sha256)));
        }
        let hash = match public.algorithm() {
            // A server that does not say what it takes takes SHA-512, as every one since 2016.
            Algorithm::Rsa { .. } => {
                self.handle.best_supported_rsa_hash().await?.unwrap_or(Some(HashAlg::Sha512))
            }
            _ => None,
        };
        if hash.is_none() && matches!(public.algorithm(), Algorithm::Rsa { .. }) {
            self.notes.push(format!("{origin}: the server takes RSA only with SHA-1, which is broken"));
            return Ok(false);
        }
        let user = self.settings.user.clone();
        let result = match (file, agent) {
            (Some(file), _) => {
                match self.handle.authenticate_publickey_with(user, public, hash, file).await {
                    Err(SignError::Passphrase { error: AskError::Interrupted, .. }) => {
                        return Err(LoginError::Interrupted);
                    }
                    result => result.map_err(|error| error.to_string()),
                }
            }
            (None, Some(agent)) => {
                let mut agent = Attended { agent, asker };
                let result = self.handle.authenticate_publickey_with(user, public, hash, &mut agent).await;
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

    async fn with_password(&mut self, asker: &Asker) -> Result<Option<Secret>, LoginError> {
        let (user, host) = (&self.settings.user, &self.settings.host);
        let question = format!("Password of {}@{}: ", Escaped(user.as_bytes()), Escaped(host.as_bytes()));
        for attempt in 1..=PASSWORDS {
            let password = match asker.secret(question.clone()).await {
                Ok(password) => password,
                Err(AskError::Interrupted) => return Err(LoginError::Interrupted),
                Err(error) => {
                    self.notes.push(format!("no password: {error}. A key needs no terminal: -i KEY"));
                    return Ok(None);
                }
            };
            if self.try_password(&password, asker).await? {
                return Ok(Some(password));
            }
            if !self.may(MethodKind::Password) {
                break;
            }
            if attempt < PASSWORDS {
                tell("the password was not accepted, please try again");
            }
        }
        Ok(None)
    }

    async fn try_password(&mut self, password: &Secret, asker: &Asker) -> Result<bool, LoginError> {
        let trying = self.handle.authenticate_password(self.settings.user.clone(), password.expose());
        let Some(result) = asker.within(self.settings.patience(), trying).await else {
            return Err(self.too_long());
        };
        self.judge(result?)
    }

    /// Whether the server may take this method.
    fn may(&self, method: MethodKind) -> bool {
        self.remaining.as_ref().is_none_or(|methods| methods.contains(&method))
    }

    fn judge(&mut self, result: AuthResult) -> Result<bool, LoginError> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, .. } => {
                self.connected()?;
                self.remaining = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    /// russh reports a connection that broke as a refusal.
    fn connected(&self) -> Result<(), LoginError> {
        if self.handle.is_closed() {
            let user = Escaped(self.settings.user.as_bytes());
            let notes = self.notes.iter().map(|note| format!("\n    {note}")).collect::<String>();
            let refused = self.remaining.is_some();
            let why = if refused { "too many attempts, or too slow" } else { "try again later" };
            let what = format!("{user} was logging in: {why}{notes}");
            return Err(LoginError::Closed { what, refused });
        }
        Ok(())
    }

    fn too_long(&self) -> LoginError {
        LoginError::TimeOut { place: self.settings.place(), limit: self.settings.patience() }
    }

    fn refused(self) -> LoginError {
        let (user, host) = (Escaped(self.settings.user.as_bytes()), Escaped(self.settings.host.as_bytes()));
        let mut text = format!("authentication failed: {host} does not let {user} in (400)");
        let methods: Vec<&str> =
            self.remaining.iter().flat_map(|methods| methods.iter()).map(<&str>::from).collect();
        if !methods.is_empty() {
            text.push_str(&format!(". It takes: {}", methods.join(", ")));
        }
        self.notes.iter().for_each(|note| text.push_str(&format!("\n    {note}")));
        LoginError::Authentication(text)
    }
}
