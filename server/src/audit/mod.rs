//! The audit log: one log line for each action of a user, counters for [`Metrics`], and the transfers in progress for
//! `sshomed status`.
//!
//! The service calls it, so it covers all protocols. Every line has the user, the session and the source. Names are
//! escaped before they are logged, and names from unauthenticated clients are truncated.

mod current_session;
mod disk_errors;
mod transfer;

pub use current_session::{CurrentSessionGuard, disk_error};
pub use transfer::{Transfer, TransferProgress};

use crate::auth::Login;
use crate::limits::{LogDecision, LogLimits, UserLineDecision};
use crate::metrics::{Metrics, TransferDirection};
use sshome_store::quota::QuotaExceeded;
use sshome_wire::display::Escaped;
use sshome_wire::{Digest, RemotePath};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use transfer::ActiveTransfers;

/// The log target of lines about files that were read, so that they can be disabled.
pub const READ_LOG_TARGET: &str = "sshomed::audit::reads";

/// The audit log of one session. Clones belong to the same session.
#[derive(Clone, Debug, Default)]
pub struct Audit(Arc<AuditedSession>);

#[derive(Debug, Default)]
struct AuditedSession {
    number: u64,
    source: Option<SocketAddr>,
    user: OnceLock<String>,
    metrics: Arc<Metrics>,
    transfers: ActiveTransfers,
    troubles: disk_errors::DiskErrorLog,
    log_limits: Arc<LogLimits>,
}

impl AuditedSession {
    fn source(&self) -> String {
        self.source.map(|source| source.to_string()).unwrap_or_default()
    }
}

/// An error that may be a refusal, which the audit log records.
pub trait AuditableError: Display {
    /// The refusal; `None` for any other error.
    fn refusal(&self) -> Option<AuditRefusal<'_>>;
}

/// The refused operation.
#[derive(Clone, Copy, Debug)]
pub enum AuditRefusal<'a> {
    /// Bytes or entries beyond the quota.
    Quota {
        /// Of the file.
        path: &'a RemotePath,
        /// The limit, with the amounts.
        exceeded: &'a QuotaExceeded,
    },
    /// The account or the key does not permit the operation.
    Permission,
}

/// The logged length of a name from an unauthenticated client, in bytes. No user's name is longer.
const MAX_NAME_BYTES: usize = 64;

/// A name or path for the log: escaped as by [`Escaped`], with backslashes escaped too, so that escapes are unambiguous.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let parts = bytes.split(|byte| *byte == b'\\').map(|part| Escaped(part).to_string());
    parts.collect::<Vec<_>>().join("\\\\")
}

/// A name from an unauthenticated client, truncated and marked if it is long.
pub(crate) fn untrusted_name(name: &str) -> String {
    let end =
        name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_NAME_BYTES).last();
    match name.split_at(end.unwrap_or(0)) {
        (_, "") => shown(name.as_bytes()),
        (start, _) => shown(start.as_bytes()) + "…",
    }
}

/// Logs the number of refused logins that had no line of their own.
pub(crate) fn log_suppressed_logins(count: u64) {
    tracing::warn!(count, "more logins were refused");
}

/// Logs the number of a user's actions in the last minute that had no line of their own.
pub(crate) fn log_suppressed_lines(user: &str, count: u64) {
    tracing::warn!(user, count, "more reads and refusals of this user");
}

/// Logs one line with the user, the session and the source.
macro_rules! log_event {
    (target: $target:expr, $audit:expr, $what:literal $(, $($field:tt)+)?) => {
        tracing::info!(
            target: $target,
            user = $audit.user(),
            session = $audit.number(),
            source = $audit.0.source(),
            $($($field)+,)?
            $what
        )
    };
    ($audit:expr, $what:literal $(, $($field:tt)+)?) => {
        log_event!(target: module_path!(), $audit, $what $(, $($field)+)?)
    };
}
use log_event;

impl Audit {
    /// The audit log of the session with this number and source.
    #[must_use]
    pub fn new(number: u64, source: SocketAddr, metrics: Arc<Metrics>, log_limits: Arc<LogLimits>) -> Audit {
        let source = Some(source);
        Audit(Arc::new(AuditedSession { number, source, metrics, log_limits, ..AuditedSession::default() }))
    }

    /// The session's number. It is unique while the server runs.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// The counters of the server.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn user(&self) -> &str {
        self.0.user.get().map(String::as_str).unwrap_or_default()
    }

    /// Logs a login by this method, with this key if it was a key, and with these permissions.
    pub fn logged_in(&self, login: &Login, method: &'static str) {
        let (user, access) = (login.name(), login.access().name());
        let folder = login.folder().map(|folder| folder.to_string());
        // A session has one user, so the cell is empty.
        let _ = self.0.user.set(user.to_owned());
        self.0.metrics.login(method, true);
        match (login.key(), folder) {
            (Some(key), Some(folder)) => log_event!(self, "logged in", method, key, access, folder),
            (Some(key), None) => log_event!(self, "logged in", method, key, access),
            (None, _) => log_event!(self, "logged in", method, access),
        }
    }

    /// Whether to log an event of an unauthenticated client. The number of such lines is limited.
    pub(crate) fn has_line(&self) -> bool {
        let LogDecision { is_logged, suppressed } =
            self.0.log_limits.logins.note(self.0.source.map(|source| source.ip()), Instant::now());
        if let Some(count) = suppressed {
            log_suppressed_logins(count);
        }
        is_logged
    }

    /// Whether to log what the user did without a change. The number of such lines is limited for each user; changes
    /// always have a line.
    fn user_has_line(&self) -> bool {
        let UserLineDecision { is_logged, suppressed } =
            self.0.log_limits.users.note(self.user(), Instant::now());
        if let Some(count) = suppressed {
            log_suppressed_lines(self.user(), count);
        }
        is_logged
    }

    /// Logs a refused login, with a reason that may be revealed and the fingerprints of the keys.
    pub fn login_refused(&self, user: &str, method: &'static str, why: Option<&str>, keys: &[String]) {
        self.0.metrics.login(method, false);
        if self.has_line() {
            let (session, source) = (self.number(), self.0.source());
            let keys = (!keys.is_empty()).then(|| keys.join(" "));
            let keys = keys.as_deref();
            tracing::info!(user = untrusted_name(user), session, source, method, keys, why, "login refused");
        }
    }

    /// Logs the end of a session after a login. `why` is the reason if the server ended it.
    pub fn ended(&self, lasted: Duration, why: Option<&str>) {
        let seconds = lasted.as_secs_f64();
        match why {
            Some(why) => log_event!(self, "session ended", seconds, why),
            None => log_event!(self, "session ended", seconds),
        }
    }

    /// Begins a transfer. `total` is its length in bytes, if known. Report its progress to the result.
    pub fn transfer(&self, direction: TransferDirection, path: &RemotePath, total: Option<u64>) -> Transfer {
        Transfer::begin(self.clone(), direction, path, total)
    }

    /// The transfers in progress, oldest first.
    #[must_use]
    pub fn transfers(&self) -> Vec<TransferProgress> {
        self.0.transfers.list()
    }

    /// Logs a published file.
    pub fn published(
        &self,
        path: &RemotePath,
        bytes: u64,
        lasted: Duration,
        digest: Option<Digest>,
        replaced: bool,
    ) {
        let seconds = lasted.as_secs_f64();
        match digest {
            Some(digest) => {
                log_event!(self, "published", path = shown(path.as_bytes()), bytes, seconds, replaced, digest = %digest)
            }
            None => log_event!(self, "published", path = shown(path.as_bytes()), bytes, seconds, replaced),
        }
    }

    /// Logs the removal of a file or link.
    pub fn removed(&self, path: &RemotePath) {
        log_event!(self, "removed", path = shown(path.as_bytes()));
    }

    /// Logs a rename.
    pub fn renamed(&self, from: &RemotePath, to: &RemotePath, replaced: bool) {
        log_event!(self, "renamed", path = shown(from.as_bytes()), to = shown(to.as_bytes()), replaced);
    }

    /// Logs a new directory.
    pub fn directory_made(&self, path: &RemotePath) {
        log_event!(self, "directory made", path = shown(path.as_bytes()));
    }

    /// Logs the removal of a directory.
    pub fn directory_removed(&self, path: &RemotePath) {
        log_event!(self, "directory removed", path = shown(path.as_bytes()));
    }

    /// Logs a new symbolic link with this target.
    pub fn link_made(&self, path: &RemotePath, target: &[u8]) {
        log_event!(self, "link made", path = shown(path.as_bytes()), to = shown(target));
    }

    /// Logs a new hard link.
    pub fn hard_link_made(&self, from: &RemotePath, to: &RemotePath) {
        log_event!(self, "hard link made", path = shown(to.as_bytes()), to = shown(from.as_bytes()));
    }

    /// Logs a change of mode, times or size.
    pub fn attributes_set(&self, path: &RemotePath) {
        log_event!(self, "attributes set", path = shown(path.as_bytes()));
    }

    /// Logs a key that the user has installed.
    pub fn key_installed(&self, key: &str, comment: &[u8]) {
        log_event!(self, "key installed", key, comment = shown(comment));
    }

    /// Logs a key that the user has removed.
    pub fn key_removed(&self, key: &str) {
        log_event!(self, "key removed", key = shown(key.as_bytes()));
    }

    /// Records an error that is a refusal; others are not logged.
    pub fn refused(&self, error: &impl AuditableError) {
        match error.refusal() {
            Some(AuditRefusal::Quota { path, exceeded }) => {
                self.0.metrics.quota_refusal();
                if self.user_has_line() {
                    log_event!(self, "quota refused", path = shown(path.as_bytes()), why = %exceeded);
                }
            }
            Some(AuditRefusal::Permission) if self.user_has_line() => {
                log_event!(self, "refused", why = %error)
            }
            Some(AuditRefusal::Permission) | None => {}
        }
    }

    /// Counts a request that began at `begun`. `way` is the service: `sshome`, `sftp` or `exec`.
    pub fn request(&self, way: &'static str, name: &'static str, begun: Instant) {
        self.0.metrics.request(way, name, begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_imitates_another_or_fills_the_log() {
        assert_eq!(shown(b"a\\x1b\x1b\xff"), "a\\\\x1b\\x1b\\xff");
        assert_eq!(shown("grüße \\".as_bytes()), "grüße \\\\");
        assert_eq!(untrusted_name("ann"), "ann");
        assert_eq!(untrusted_name(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(untrusted_name(&"x".repeat(65)), "x".repeat(64) + "…");
        assert_eq!(untrusted_name(&"ü".repeat(33)), "ü".repeat(32) + "…");
        assert_eq!(untrusted_name(&("x".repeat(63) + "ü")), "x".repeat(63) + "…");
        assert_eq!(untrusted_name(""), "");
    }
}
