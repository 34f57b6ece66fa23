//! The login attempts of one connection: logs each user name that was tried, with the keys that were rejected.

use crate::audit::Audit;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The attempts that were not logged yet. An agent offers all its keys: rejected keys are logged in one line, and not at
/// all if one of them succeeds.
#[derive(Debug, Default)]
pub(super) struct LoginAttempts(Mutex<PendingAttempts>);

#[derive(Debug, Default)]
struct PendingAttempts {
    /// Whether the client has requested the auth service.
    begun: bool,
    /// The user name of the latest attempt.
    user: Option<String>,
    /// Whether an attempt of that user was logged.
    logged: bool,
    /// Fingerprints of rejected keys.
    refused: Vec<String>,
    /// The fingerprint of an acceptable key that the client has not signed with yet.
    unsigned: Option<String>,
}

impl LoginAttempts {
    /// Notes that the client requests the auth service.
    pub(super) fn begin(&self) {
        self.lock().begun = true;
    }

    /// Whether the client has requested the auth service.
    pub(super) fn has_begun(&self) -> bool {
        self.lock().begun
    }

    /// Notes an attempt for this user by any method.
    pub(super) fn of_user(&self, user: &str, audit: &Audit) {
        let mut pending = self.lock();
        if pending.user.as_deref() != Some(user) {
            pending.log(audit);
            *pending =
                PendingAttempts { begun: true, user: Some(user.to_owned()), ..PendingAttempts::default() };
        }
    }

    /// Notes a rejected key.
    pub(super) fn key_refused(&self, fingerprint: String) {
        self.lock().refused.push(fingerprint);
    }

    /// Notes an acceptable key.
    pub(super) fn key_accepted(&self, fingerprint: String, audit: &Audit) {
        let mut pending = self.lock();
        if pending.unsigned.as_ref().is_some_and(|before| *before != fingerprint) {
            pending.log_unsigned(audit);
        }
        pending.unsigned = Some(fingerprint);
    }

    /// Notes that the client has signed with the key.
    pub(super) fn signed(&self) {
        self.lock().unsigned = None;
    }

    /// Notes that a refused login of the user was logged elsewhere.
    pub(super) fn logged(&self) {
        self.lock().logged = true;
    }

    /// Whether the client offered an acceptable key and never signed with it. russh rejects a bad signature without
    /// an event.
    pub(super) fn unsigned(&self) -> bool {
        self.lock().unsigned.is_some()
    }

    /// The user name of the latest attempt.
    pub(super) fn user(&self) -> Option<String> {
        self.lock().user.clone()
    }

    /// Logs all attempts that were not logged yet. Call it when the connection ends without a login.
    pub(super) fn end(&self, audit: &Audit) {
        self.lock().log(audit);
    }

    fn lock(&self) -> MutexGuard<'_, PendingAttempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingAttempts {
    fn log(&mut self, audit: &Audit) {
        self.log_unsigned(audit);
        let Some(user) = &self.user else { return };
        let keys = std::mem::take(&mut self.refused);
        if !keys.is_empty() {
            audit.login_refused(user, "publickey", None, &keys);
        } else if !self.logged {
            // Only "none", which asks for the list of methods.
            audit.login_refused(user, "none", Some("nothing else was tried"), &[]);
        }
        self.logged = true;
    }

    fn log_unsigned(&mut self, audit: &Audit) {
        let (Some(user), Some(key)) = (&self.user, self.unsigned.take()) else { return };
        let why = "the key is accepted, but no valid signature followed";
        audit.login_refused(user, "publickey", Some(why), &[key]);
        self.logged = true;
    }
}
