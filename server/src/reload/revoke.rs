//! Revocations: rights that a settings file takes away are applied even if the file is rejected.
//!
//! A removed user must not stay logged in because of a mistake elsewhere in the file.

use crate::accounts::{Access, Account, earlier};
use crate::config::{Config, Diagnostic};
use std::sync::Arc;

/// A revoked right, as text: `ann: removed`.
pub(super) type Revocation = String;

/// The old settings without the rights that the new file revokes, and a list of these. A setting with a mistake revokes
/// nothing.
pub(super) fn revoke(old: &Config, new: &Config, mistakes: &[Diagnostic]) -> (Config, Vec<Revocation>) {
    let is_wrong = |key: &str| mistakes.iter().any(|mistake| mistake.key == key);
    // A syntax error has no key, and nobody can tell what it hides.
    if is_wrong("") || is_wrong("users") {
        return (old.clone(), Vec::new());
    }
    let mut revocations = Vec::new();
    let mut accounts = Vec::new();
    for account in &old.accounts {
        let table = format!("users.{}", account.name);
        let found = new.accounts.iter().find(|new| new.name == account.name);
        match found {
            Some(new) => {
                let wrong =
                    |key: &str| is_wrong(&format!("{table}.{key}")) || is_wrong(&format!("defaults.{key}"));
                let tables = format!("{table}.keys");
                let wrong_table = mistakes.iter().any(|mistake| {
                    mistake
                        .key
                        .strip_prefix(&tables)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                });
                let (left, lost) =
                    restrict(account, new, |key| wrong(key) || key == "authorized-keys" && wrong_table);
                revocations.extend(lost.into_iter().map(|what| format!("{}: {what}", account.name)));
                accounts.push(Arc::new(left));
            }
            None if is_wrong(&table) => accounts.push(Arc::clone(account)),
            None => revocations.push(format!("{}: removed", account.name)),
        }
    }
    let mut left = old.clone();
    left.accounts = accounts;
    (left, revocations)
}

/// The account with its remaining rights, and the rights that it lost.
fn restrict(old: &Account, new: &Account, wrong: impl Fn(&str) -> bool) -> (Account, Vec<&'static str>) {
    let mut left = old.clone();
    let mut lost = Vec::new();
    if old.enabled && !new.enabled {
        left.enabled = false;
        lost.push("disabled");
    }
    if old.access != Access::ReadOnly && new.access == Access::ReadOnly {
        left.access = Access::ReadOnly;
        lost.push("read-only");
    }
    let expires = earlier(old.expires, new.expires);
    if expires != old.expires {
        left.expires = expires;
        lost.push("expires earlier");
    }
    let password = (&old.password, &new.password);
    let is_other = old.password.is_some() && !matches!(password, (Some(old), Some(new)) if old.is(new));
    if is_other && !wrong("password") && !wrong("demo") {
        left.password = new.password.clone();
        lost.push(if new.password.is_some() { "password changed" } else { "password removed" });
    }
    if !wrong("authorized-keys") {
        // The remaining keys get their new options, such as `from`, but no new permissions.
        let remaining = new.keys.iter().filter_map(|key| {
            let before = old.keys.iter().find(|known| known.is(key.public_key()))?;
            Some((key.clone().without_grants(before), (before.access(), before.expires(), before.folder())))
        });
        let remaining: Vec<_> = remaining.collect();
        if remaining.len() < old.keys.len() {
            lost.push("keys removed");
        }
        if remaining.iter().any(|(key, before)| (key.access(), key.expires(), key.folder()) != *before) {
            lost.push("keys restricted");
        }
        left.keys = remaining.into_iter().map(|(key, _)| key).collect();
        if old.own_keys && !new.own_keys && !wrong("own-keys") && !wrong("access") {
            left.own_keys = false;
            lost.push("installed keys are not accepted");
        }
    }
    (left, lost)
}

/// Whether the file has syntax errors, so that nothing is known about any user.
pub(super) fn is_unparsable(mistakes: &[Diagnostic]) -> bool {
    mistakes.iter().any(|mistake| mistake.key.is_empty() && mistake.line.is_some())
}

/// The settings of a user that differ between the file and the current settings. The name of the user's table if only one
/// of them has it.
pub(super) fn pending(in_force: &Config, file: &Config, user: &str) -> Vec<String> {
    let account = |config: &Config| config.accounts.iter().find(|account| account.name == user).cloned();
    let (now, wanted) = match (account(in_force), account(file)) {
        (None, None) => return Vec::new(),
        (Some(now), Some(wanted)) => (now, wanted),
        // A disabled user is as good as removed.
        (Some(now), None) if !now.enabled => return Vec::new(),
        _ => return vec![format!("users.{user}")],
    };
    let same_password = match (&now.password, &wanted.password) {
        (Some(now), Some(wanted)) => now.is(wanted),
        (now, wanted) => now.is_none() && wanted.is_none(),
    };
    let differs = [
        ("enabled", now.enabled != wanted.enabled),
        ("password", !same_password),
        ("expires", now.expires != wanted.expires),
        ("authorized-keys", !now.lines().eq(wanted.lines())),
        ("keys", !now.key_tables().eq(wanted.key_tables())),
        ("own-keys", now.own_keys != wanted.own_keys),
        ("root", now.root != wanted.root),
        ("quota", now.quota != wanted.quota),
        ("max-files", now.max_files != wanted.max_files),
        ("access", now.access != wanted.access),
        ("sftp-uploads", now.sftp_uploads != wanted.sftp_uploads),
        ("upload-rate", now.upload_rate != wanted.upload_rate),
        ("download-rate", now.download_rate != wanted.download_rate),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use tempfile::TempDir;

    const ED25519_KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
    const PASSWORD_HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// The changes of `after` that are applied to `before`: the revocations, and the pending ones for ann.
    fn revoked(before: &str, after: &str) -> (Vec<Revocation>, Vec<String>) {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("users.toml");
        std::fs::write(&file, before).unwrap();
        let old = config::load(dir.path(), Some(&file), &[]).unwrap();
        std::fs::write(&file, after).unwrap();
        let (new, mistakes) = old.read_again().unwrap();
        let (left, revocations) = revoke(&old, &new, &mistakes);
        (revocations, pending(&left, &new, "ann"))
    }

    #[test]
    fn revocations_apply_despite_errors_elsewhere() {
        let ann =
            format!("[users.ann]\nauthorized-keys = [\"{ED25519_KEY}\"]\npassword = \"{PASSWORD_HASH}\"\n");
        let ben = "[users.ben]\n";
        let typo = "[users.ben]\nquota = \"much\"\n";
        let before = format!("{ann}{ben}");
        let other = PASSWORD_HASH.replace("AAA$AAA", "AAA$BBB");
        for (after, want) in [
            (typo.to_owned(), "ann: removed"),
            (format!("{ann}enabled = false\n{typo}"), "ann: disabled"),
            (format!("{ann}access = \"read-only\"\nown-keys = true\n{typo}"), "ann: read-only"),
            (format!("{}{typo}", ann.replace(PASSWORD_HASH, &other)), "ann: password changed"),
            (format!("[users.ann]\nauthorized-keys = [\"{ED25519_KEY}\"]\n{typo}"), "ann: password removed"),
            (format!("[users.ann]\npassword = \"{PASSWORD_HASH}\"\n{typo}"), "ann: keys removed"),
            (format!("{ann}own-keys = false\n{typo}"), "ann: installed keys are not accepted"),
            // Even with a mistake in the user's own table.
            (format!("{ann}enabled = false\nquota = \"much\"\n{ben}"), "ann: disabled"),
        ] {
            let (revocations, pending) = revoked(&before, &after);
            assert_eq!(revocations, [want], "{after}");
            assert_eq!(pending, [""; 0], "{after}");
        }
    }

    #[test]
    fn a_key_loses_permissions_and_gains_none() {
        let ann = |access: &str, rest: &str| {
            format!("[users.ann]\n[[users.ann.keys]]\nkey = \"{ED25519_KEY}\"\naccess = \"{access}\"\n{rest}")
        };
        let typo = "[users.ben]\nquota = \"much\"\n";
        let (lost, pending) = revoked(&ann("read-write", ""), &ann("read-only", typo));
        assert_eq!((lost, pending), (vec!["ann: keys restricted".to_owned()], Vec::new()));
        let dated = |date: &str| ann("read-write", &format!("expires = {date}\n"));
        let (lost, pending) = revoked(&ann("read-write", ""), &format!("{}{typo}", dated("2027-01-01")));
        assert_eq!((lost, pending), (vec!["ann: keys restricted".to_owned()], Vec::new()));
        let (lost, pending) = revoked(&dated("2027-01-01"), &ann("read-write", typo));
        assert_eq!((lost, pending), (Vec::new(), vec!["keys".to_owned()]));
        let (lost, pending) =
            revoked("[users.ann]\n[users.ben]\n", &format!("[users.ann]\nexpires = 2027-01-01\n{typo}"));
        assert_eq!((lost, pending), (vec!["ann: expires earlier".to_owned()], Vec::new()));
        let (lost, pending) = revoked(&ann("read-only", ""), &ann("read-write", typo));
        assert_eq!((lost, pending), (Vec::new(), vec!["keys".to_owned()]));
        let folder = |name: &str| ann("read-write", &format!("folder = \"/{name}\"\n"));
        let (lost, pending) = revoked(&ann("read-write", ""), &format!("{}{typo}", folder("a")));
        assert_eq!((lost, pending), (vec!["ann: keys restricted".to_owned()], Vec::new()));
        // The other folder might grant more.
        let (lost, pending) = revoked(&folder("a"), &format!("{}{typo}", folder("b")));
        assert_eq!((lost, pending), (Vec::new(), vec!["keys".to_owned()]));
        let line = format!("[users.ann]\nauthorized-keys = [\"{ED25519_KEY}\"]\n{typo}");
        let (lost, pending) = revoked(&ann("read-only", ""), &line);
        assert_eq!((lost, pending), (Vec::new(), vec!["authorized-keys".to_owned(), "keys".to_owned()]));
        // A mistake in a table, which then grants nothing, revokes nothing.
        assert_eq!(revoked(&ann("read-write", ""), &ann("none", "")).0, [""; 0]);
    }

    #[test]
    fn an_error_revokes_nothing() {
        let before =
            format!("[users.ann]\nauthorized-keys = [\"{ED25519_KEY}\"]\npassword = \"{PASSWORD_HASH}\"\n");
        for after in [
            "[users.ann\n".to_owned(),
            "users = 5\n".to_owned(),
            "[users]\nann = 5\n".to_owned(),
            before.replace(ED25519_KEY, "keys/missing.pub"),
            before.replace(PASSWORD_HASH, "$argon2id$"),
            format!("{before}access = \"neither\"\n"),
        ] {
            assert_eq!(revoked(&before, &after).0, [""; 0], "{after}");
        }
    }

    #[test]
    fn grants_wait_for_a_valid_file() {
        let (revocations, pending) = revoked(
            "[users.ann]\nquota = 1\n",
            &format!("[users.ann]\nquota = 2\npassword = \"{PASSWORD_HASH}\"\n[x]\n"),
        );
        assert_eq!((revocations.len(), pending), (0, vec!["password".to_owned(), "quota".to_owned()]));
        assert_eq!(revoked("[users.ben]\n", "[users.ann]\n[users.ben]\n[x]\n").1, ["users.ann"]);
    }
}
