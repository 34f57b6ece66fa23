//! The logins that are tried on one connection: each user name that was tried reaches the log, with the keys that
//! were refused.

use crate::audit::Audit;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The attempts that were not logged yet. An agent offers all the keys that it holds: they are logged together, and
/// not at all if one of them logs in.
#[derive(Debug, Default)]
pub(super) struct LoginAttempts(Mutex<PendingAttempts>);

#[derive(Debug, Default)]
struct PendingAttempts {
    /// Whether the client has asked for the service that logs in.
    begun: bool,
    /// The user name of the latest attempt.
    user: Option<String>,
    /// Whether something was logged of that user.
    logged: bool,
    /// Fingerprints of keys that were refused.
    refused: Vec<String>,
    /// The fingerprint of a key that would log in once the client has signed with it.
    unsigned: Option<String>,
}

impl LoginAttempts {
    /// The client asks for the service that logs in.
    pub(super) fn begin(&self) {
        self.lock().begun = true;
    }

    /// Whether the client has asked for it.
    pub(super) fn has_begun(&self) -> bool {
        self.lock().begun
    }

    /// The client asks for this user, by whatever method.
    pub(super) fn of_user(&self, user: &str, audit: &Audit) {
        let mut pending = self.lock();
        if pending.user.as_deref() != Some(user) {
            pending.log(audit);
            *pending =
                PendingAttempts { begun: true, user: Some(user.to_owned()), ..PendingAttempts::default() };
        }
    }

    /// A key that does not log in was offered.
    pub(super) fn key_refused(&self, fingerprint: String) {
        self.lock().refused.push(fingerprint);
    }

    /// A key that logs in was offered.
    pub(super) fn key_accepted(&self, fingerprint: String, audit: &Audit) {
        let mut pending = self.lock();
        if pending.unsigned.as_ref().is_some_and(|before| *before != fingerprint) {
            pending.log_unsigned(audit);
        }
        pending.unsigned = Some(fingerprint);
    }

    /// The client has shown that it holds the key.
    pub(super) fn signed(&self) {
        self.lock().unsigned = None;
    }

    /// A refused login of the user was logged by itself.
    pub(super) fn logged(&self) {
        self.lock().logged = true;
    }

    /// Whether a login was tried in vain that nothing was said of: a key that was accepted, and never signed with.
    /// russh refuses a bad signature without asking.
    pub(super) fn unsigned(&self) -> bool {
        self.lock().unsigned.is_some()
    }

    /// The user name of the latest attempt.
    pub(super) fn user(&self) -> Option<String> {
        self.lock().user.clone()
    }

    /// Logs what was not logged yet: the connection has ended without a login.
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
            // Only "none", which asks for the methods.
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
