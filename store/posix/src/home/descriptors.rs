//! Descriptor budgets: how many descriptors (open files and directories) each user may hold over all connections, so that
//! other users, logins and the administrator always get some.
//!
//! A descriptor that is held beyond one call needs a permit. Those that are open only during a call need none: there
//! are only a few per thread.

use sshome_store::Cause;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One user may hold a third of the remaining descriptors: a quarter of all if nobody else holds any. However many
/// users exhaust their share, some descriptors are left for the next.
const USER_SHARE_DIVISOR: usize = 3;

/// Half of the process's descriptors, up to this many, are reserved for unauthenticated connections, the control socket,
/// the log, keys, homes, and descriptors without a permit.
const MAX_RESERVED_DESCRIPTORS: usize = 1024;

/// The descriptors that all users share.
#[derive(Debug)]
pub(super) struct Descriptors {
    limit: usize,
    held: AtomicUsize,
}

impl Default for Descriptors {
    /// The process's current limit, minus the reserve.
    fn default() -> Descriptors {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Descriptors::of(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
    }
}

impl Descriptors {
    fn of(limit: usize) -> Descriptors {
        let limit = limit - (limit / 2).min(MAX_RESERVED_DESCRIPTORS);
        Descriptors { limit, held: AtomicUsize::new(0) }
    }
}

/// The descriptors that one user holds.
#[derive(Debug)]
pub(super) struct UserDescriptors {
    all: Arc<Descriptors>,
    held: AtomicUsize,
}

impl UserDescriptors {
    pub(super) fn new(all: Arc<Descriptors>) -> Arc<UserDescriptors> {
        Arc::new(UserDescriptors { all, held: AtomicUsize::new(0) })
    }

    /// Takes `count` descriptors.
    ///
    /// # Errors
    /// If they exceed the user's share.
    pub(super) fn take(
        self: &Arc<UserDescriptors>,
        count: usize,
    ) -> Result<DescriptorPermit, DescriptorsExhausted> {
        let held = self.held.fetch_add(count, Relaxed);
        let all = self.all.held.fetch_add(count, Relaxed);
        let permit = DescriptorPermit { user: Arc::clone(self), count };
        let limit = self.all.limit.saturating_sub(all) / USER_SHARE_DIVISOR;
        if held + count > limit {
            Err(DescriptorsExhausted { held, limit: limit.max(held) })
        } else {
            Ok(permit)
        }
    }

    /// Whether the user has used half of the share.
    pub(super) fn are_scarce(&self) -> bool {
        let left = self.all.limit.saturating_sub(self.all.held.load(Relaxed));
        self.held.load(Relaxed) > left / USER_SHARE_DIVISOR / 2
    }
}

/// A user's descriptor budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Cause::TooManyOpen { held: *.held, limit: *.limit })]
pub(crate) struct DescriptorsExhausted {
    held: usize,
    limit: usize,
}

impl From<DescriptorsExhausted> for Cause {
    fn from(exhausted: DescriptorsExhausted) -> Cause {
        Cause::TooManyOpen { held: exhausted.held, limit: exhausted.limit }
    }
}

/// Descriptors that a user holds. Dropping it releases them.
#[derive(Debug)]
pub(crate) struct DescriptorPermit {
    user: Arc<UserDescriptors>,
    count: usize,
}

impl Drop for DescriptorPermit {
    fn drop(&mut self) {
        self.user.held.fetch_sub(self.count, Relaxed);
        self.user.all.held.fetch_sub(self.count, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_exhausts_the_share_leaves_some_for_the_next() {
        let all = Arc::new(Descriptors::of(65_536));
        assert_eq!(all.limit, 65_536 - MAX_RESERVED_DESCRIPTORS);
        let user = |all: &Arc<Descriptors>| UserDescriptors::new(Arc::clone(all));
        let take_all =
            |user: &Arc<UserDescriptors>| -> Vec<_> { std::iter::from_fn(|| user.take(2).ok()).collect() };
        let users: Vec<_> = (0..20).map(|_| user(&all)).collect();
        let held: Vec<_> = users.iter().map(take_all).collect();
        assert!((16_000..=16_128).contains(&users[0].held.load(Relaxed)));
        assert!(users[0].are_scarce() && !user(&all).are_scarce());
        let last = user(&all);
        let few: Vec<_> = (0..20).map(|_| last.take(2).unwrap()).collect();
        let DescriptorsExhausted { held: reported, limit } = users[0].take(1).unwrap_err();
        assert_eq!((reported, limit), (users[0].held.load(Relaxed), reported));
        drop((few, held));
        assert_eq!(all.held.load(Relaxed), 0);
        assert!(users.iter().all(|user| user.held.load(Relaxed) == 0 && user.take(100).is_ok()));
    }

    #[test]
    fn half_is_reserved_if_the_limit_is_low() {
        assert_eq!(Descriptors::of(256).limit, 128);
        assert_eq!(Descriptors::of(1024).limit, 512);
    }
}
