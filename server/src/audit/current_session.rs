//! The session that the current thread works for, so that disk errors are logged with user and session.

use super::disk_errors::DiskTrouble;
use super::{Audit, shown};
use sshome_store::Cause;
use sshome_wire::RemotePath;
use std::cell::RefCell;
use std::time::Instant;

thread_local! {
    /// The session that this thread works for.
    static CURRENT: RefCell<Option<Audit>> = const { RefCell::new(None) };
}

/// Marks the thread as working for a session. Dropping it restores the previous session.
#[derive(Debug)]
#[must_use]
pub struct CurrentSessionGuard(Option<Audit>);

impl Drop for CurrentSessionGuard {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl Audit {
    /// Marks this thread as working for the session, until the guard is dropped.
    pub fn enter(&self) -> CurrentSessionGuard {
        CurrentSessionGuard(CURRENT.replace(Some(self.clone())))
    }
}

/// Logs a disk error if an administrator can do something about it.
pub fn disk_error(path: &RemotePath, cause: &Cause) {
    let Some(trouble) = DiskTrouble::of(cause) else { return };
    let audit = CURRENT.with_borrow(Option::clone).unwrap_or_default();
    let Some(left_out) = audit.0.troubles.count(trouble, Instant::now()) else { return };
    let (what, to_do) = trouble.words();
    let (user, session) = (audit.user(), audit.number());
    tracing::error!(user, session, path = shown(path.as_bytes()), why = %cause, to_do, left_out, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_thread_works_for_one_session_at_a_time() {
        let number = || CURRENT.with_borrow(|audit| audit.as_ref().map(Audit::number));
        let here = || "192.0.2.1:5".parse().unwrap();
        let session = |number| Audit::new(number, here(), Arc::default(), Arc::default());
        let outer = session(1).enter();
        let inner = session(2).enter();
        assert_eq!(number(), Some(2));
        drop(inner);
        assert_eq!(number(), Some(1));
        drop(outer);
        assert_eq!(number(), None);
    }
}
