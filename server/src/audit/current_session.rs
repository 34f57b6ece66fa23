//! Disks that fail or are full are logged with the user and the path: the session that a thread works for.

use super::disk_errors::Trouble;
use super::{Audit, shown};
use rustix::io::Errno;
use sshome_wire::RemotePath;
use std::cell::RefCell;
use std::time::Instant;

thread_local! {
    /// Whose work this thread does.
    static AT_WORK: RefCell<Option<Audit>> = const { RefCell::new(None) };
}

/// Says whose work this thread does, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct AtWork(Option<Audit>);

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.0.take());
    }
}

impl Audit {
    /// To be held while this thread works for the session: an error of the disk is told as the session's.
    pub fn at_work(&self) -> AtWork {
        AtWork(AT_WORK.replace(Some(self.clone())))
    }
}

/// Tells the log of a disk's error, if whoever runs the server can do something about it.
pub fn disk_error(path: &RemotePath, errno: Errno) {
    let Some(trouble) = Trouble::of(errno) else { return };
    let audit = AT_WORK.with_borrow(Option::clone).unwrap_or_default();
    let Some(left_out) = audit.0.troubles.count(trouble, Instant::now()) else { return };
    let (what, to_do) = trouble.words();
    let (user, session, why) = (audit.user(), audit.number(), std::io::Error::from(errno));
    tracing::error!(user, session, path = shown(path.as_bytes()), %why, to_do, left_out, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_thread_works_for_one_session_at_a_time() {
        let number = || AT_WORK.with_borrow(|audit| audit.as_ref().map(Audit::number));
        let here = || "192.0.2.1:5".parse().unwrap();
        let session = |number| Audit::new(number, here(), Arc::default(), Arc::default());
        let outer = session(1).at_work();
        let inner = session(2).at_work();
        assert_eq!(number(), Some(2));
        drop(inner);
        assert_eq!(number(), Some(1));
        drop(outer);
        assert_eq!(number(), None);
    }
}
