//! The role and command line of this process, for messages that suggest a command.

use rustix::process::{Uid, geteuid};
use sshome_wire::display::Escaped;
use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The role of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A running server, also within another program.
    Server,
    /// A server during startup.
    Start,
    /// `sshomed check`, which checks whether a server could start as this account.
    Check,
    /// Any other administrator's command.
    Command,
}

static BEGUN: OnceLock<(Role, Uid)> = OnceLock::new();

static SERVES: AtomicBool = AtomicBool::new(false);

/// Sets the role of this process, and records the account that started it. The default is a server.
pub fn begin(role: Role) {
    // The first call wins: a process has one role.
    let _ = BEGUN.set((role, geteuid()));
}

/// Notes that the server has started.
pub(crate) fn serves() {
    SERVES.store(true, Ordering::Relaxed);
}

/// Whether this process is a server that has started.
pub(crate) fn is_serving() -> bool {
    SERVES.load(Ordering::Relaxed)
}

/// The role of this process. After it has become another account, it acts as a server.
pub(crate) fn role() -> Role {
    match BEGUN.get() {
        Some((role, account)) if *account == geteuid() && !is_serving() => *role,
        _ => Role::Server,
    }
}

/// The command line of this process as another account would give it: `sudo -u ann sshomed status`.
pub(crate) fn as_account(account: &str) -> String {
    let words = env::args_os().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>();
    prefixed(account, geteuid().is_root(), &words.join(" "))
}

fn prefixed(account: &str, is_root: bool, line: &str) -> String {
    match (account, is_root) {
        ("root", _) => format!("sudo {line}"),
        (account, true) => format!("runuser -u {account} -- {line}"),
        (account, false) => format!("sudo -u {account} {line}"),
    }
}

/// A word as a shell reads it, harmless on a terminal.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", Escaped(word.replace('\'', "'\\''").as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_switch_to_the_account_that_may_run_them() {
        for (account, is_root, want) in [
            ("root", false, "sudo sshomed status"),
            ("ann", false, "sudo -u ann sshomed status"),
            ("ann", true, "runuser -u ann -- sshomed status"),
        ] {
            assert_eq!(prefixed(account, is_root, "sshomed status"), want);
        }
        for (word, want) in
            [("/srv/sshome", "/srv/sshome"), ("10 MiB", "'10 MiB'"), ("", "''"), ("a'b", "'a'\\''b'")]
        {
            assert_eq!(quoted(word), want);
        }
    }
}
