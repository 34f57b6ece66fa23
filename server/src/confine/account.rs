//! The account of this machine that the server runs as.

use crate::{invocation, permission};
use nix::unistd::{self, Gid, Uid, User};
use sshome_wire::display::Escaped;
use std::ffi::CString;
use std::io;

/// An account that this process is, or can become.
#[derive(Debug)]
pub(super) struct SystemAccount {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// Why the server cannot run as the configured account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such account.
    #[error(
        "server.account: no account {} on this machine: create it (useradd --system --shell /usr/sbin/nologin …), or name a different one", Escaped(.0.as_bytes())
    )]
    Unknown(String),
    /// It is root by another name, or in root's group.
    #[error("server.account: {} is root or in its group, and keeps their privileges: name a different account", Escaped(.0.as_bytes()))]
    IsRoot(String),
    /// Only root can switch to another account.
    #[error(
        "server.account: the server runs as {}, and this is {}: run it as root, `{}`, or as that account",
        Escaped(.0.as_bytes()), permission::account(), invocation::as_account("root")
    )]
    Another(String),
    /// The accounts of the system cannot be looked up.
    #[error("server.account: {} cannot be looked up: {error}", Escaped(.name.as_bytes()))]
    LookUp {
        /// The account.
        name: String,
        /// The reason.
        error: io::Error,
    },
    /// The kernel refused the change.
    #[error("server.account: the server cannot become {}: {error}", Escaped(.name.as_bytes()))]
    Refused {
        /// The account.
        name: String,
        /// The reason.
        error: io::Error,
    },
    /// The process could become root again.
    #[error("server.account: the server became {}, and could become root again: it refuses to serve", Escaped(.0.as_bytes()))]
    NotGivenUp(String),
}

impl SystemAccount {
    /// Looks up an account that this process has or can switch to.
    ///
    /// # Errors
    /// If there is no such account, it is root, or this process runs as a different account that is not root.
    pub(super) fn find(name: &str) -> Result<SystemAccount, AccountError> {
        let failed = |error: nix::Error| AccountError::LookUp { name: name.to_owned(), error: error.into() };
        let unknown = || AccountError::Unknown(name.to_owned());
        let user = User::from_name(name).map_err(failed)?.ok_or_else(unknown)?;
        let text = CString::new(name).map_err(|_| unknown())?;
        let groups = unistd::getgrouplist(&text, user.gid).map_err(failed)?;
        let account = SystemAccount { name: name.to_owned(), uid: user.uid, gid: user.gid, groups };
        if user.uid.is_root() || account.groups.contains(&Gid::from_raw(0)) {
            return Err(AccountError::IsRoot(account.name));
        }
        if !account.is_current() && !unistd::geteuid().is_root() {
            return Err(AccountError::Another(account.name));
        }
        Ok(account)
    }

    pub(super) fn is_current(&self) -> bool {
        unistd::geteuid() == self.uid
    }

    pub(super) fn uid(&self) -> Uid {
        self.uid
    }

    pub(super) fn gid(&self) -> Gid {
        self.gid
    }

    pub(super) fn into_name(self) -> String {
        self.name
    }

    /// Switches to the account permanently, unless the process already runs as it.
    ///
    /// # Errors
    /// If the kernel refuses, or would let the process become root again.
    pub(super) fn enter(&self) -> Result<(), AccountError> {
        if !self.is_current() {
            let become_it = || {
                unistd::setgroups(&self.groups)?;
                unistd::setresgid(self.gid, self.gid, self.gid)?;
                unistd::setresuid(self.uid, self.uid, self.uid)
            };
            become_it().map_err(|error: nix::Error| AccountError::Refused {
                name: self.name.clone(),
                error: error.into(),
            })?;
        }
        // Only an attempt shows whether the change is permanent.
        let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
        let back = unistd::setresuid(root, root, root).is_ok()
            || unistd::setresgid(wheel, wheel, wheel).is_ok()
            || unistd::setgroups(&[wheel]).is_ok();
        if back { Err(AccountError::NotGivenUp(self.name.clone())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_unknown_accounts_are_refused() {
        assert!(matches!(SystemAccount::find("root"), Err(AccountError::IsRoot(_))));
        for name in ["no-such-account", "", "a\0b"] {
            assert!(matches!(SystemAccount::find(name), Err(AccountError::Unknown(_))), "{name:?}");
        }
    }

    #[test]
    fn only_root_can_switch_to_another_account() {
        let found = SystemAccount::find("daemon");
        match unistd::geteuid().is_root() {
            true => assert_eq!(found.unwrap().into_name(), "daemon"),
            false => assert!(matches!(found, Err(AccountError::Another(_)))),
        }
    }
}
