//! `sshomed user list`: the users as a table or as JSON.

use super::{Admin, AdminError};
use crate::accounts::{Access, Account, AuthorizedKey, Expiry, OwnKeys, SftpUploads};
use crate::config::{self, Config, shown};
use serde_json::{Value, json};
use sshome_wire::display::{Escaped, Size};

impl Admin {
    /// All users with their settings.
    ///
    /// # Errors
    /// If the file cannot be read or has mistakes.
    pub fn list(&self) -> Result<String, AdminError> {
        let text = self.location.read()?;
        let (config, mistakes) = config::parse(&self.location, &text, &[]);
        if !mistakes.is_empty() {
            return Err(config::ConfigError::mistakes(&self.location, mistakes).into());
        }
        Ok(table(&config))
    }

    /// All users as a line of JSON: `{"users": […]}`. Sizes are in bytes, rates in bytes a second, and `null` is
    /// unlimited.
    ///
    /// # Errors
    /// If the file cannot be read or has mistakes.
    pub fn list_json(&self) -> Result<String, AdminError> {
        let text = self.location.read()?;
        let (config, mistakes) = config::parse(&self.location, &text, &[]);
        if !mistakes.is_empty() {
            return Err(config::ConfigError::mistakes(&self.location, mistakes).into());
        }
        let own_keys = OwnKeys::of(&config.dir);
        let users: Vec<_> = config.accounts.iter().map(|account| json(account, &own_keys)).collect();
        Ok(json!({ "users": users }).to_string() + "\n")
    }
}

fn json(account: &Account, own_keys: &OwnKeys) -> Value {
    json!({
        "name": account.name,
        "enabled": account.enabled,
        "root": shown(&account.root).to_string(),
        // Both are null if this account has no access.
        "root_exists": account.root.try_exists().ok(),
        "quota": account.quota,
        "max_files": account.max_files,
        "upload_rate": account.upload_rate,
        "download_rate": account.download_rate,
        "access": account.access.name(),
        "sftp_uploads": match account.sftp_uploads {
            SftpUploads::InPlace => "in-place",
            SftpUploads::Atomic => "atomic",
        },
        "expires": account.expires.map(|expires| expires.to_string()),
        "own_keys": account.own_keys,
        "password": account.password.is_some(),
        "demo_password": account.has_demo_password(),
        "keys": account.keys.iter().map(AuthorizedKey::fingerprint).collect::<Vec<_>>(),
        "restricted_keys": account.key_tables().map(restricted).collect::<Vec<_>>(),
        "installed_keys": installed(account, own_keys),
    })
}

fn restricted(key: &AuthorizedKey) -> Value {
    json!({
        "fingerprint": key.fingerprint(),
        "comment": Escaped(key.comment()).to_string(),
        "access": key.access().name(),
        "folder": key.folder().map(|folder| folder.to_string()),
        "expires": key.expires().map(|expires| expires.to_string()),
        "some_addresses": key.is_restricted_by_address(),
    })
}

/// The keys that have a table of their own, in columns; empty if there are none.
pub(super) fn key_tables(config: &Config) -> String {
    let keys = config.accounts.iter().flat_map(|account| account.key_tables().map(move |key| (account, key)));
    let mut rows = vec![["USER", "KEY", "ACCESS", "FROM", "EXPIRES", "COMMENT"].map(str::to_owned)];
    rows.extend(keys.map(|(account, key)| {
        let access = access(key, account.access);
        let comment = Escaped(key.comment()).to_string();
        [
            account.name.clone(),
            key.fingerprint(),
            access,
            from(key).to_owned(),
            expires(key.expires()),
            comment,
        ]
    }));
    if rows.len() == 1 { String::new() } else { columns(&rows) }
}

/// What a key permits, and in which folder, in words.
pub(super) fn access(key: &AuthorizedKey, account: Access) -> String {
    let access = key.access().and(account).name();
    key.folder().map_or_else(|| access.to_owned(), |folder| format!("{access} in {folder}"))
}

/// The addresses that a key may come from, in words.
pub(super) fn from(key: &AuthorizedKey) -> &'static str {
    if key.is_restricted_by_address() { "some addresses" } else { "anywhere" }
}

/// When an account or a key expires, in words.
pub(super) fn expires(expires: Option<Expiry>) -> String {
    expires.map_or("never".to_owned(), |expires| expires.to_string())
}

/// The number of accepted keys that a user has installed. `None` if they cannot be read.
fn installed(account: &Account, own_keys: &OwnKeys) -> Option<usize> {
    if account.own_keys { own_keys.read(&account.name).ok().map(|keys| keys.len()) } else { Some(0) }
}

/// The users of a configuration as a table.
pub(super) fn table(config: &Config) -> String {
    if config.accounts.is_empty() {
        return "there are no users: `sshomed user add NAME` adds one\n".to_owned();
    }
    let own_keys = OwnKeys::of(&config.dir);
    let mut rows = vec![
        ["USER", "QUOTA", "MAX FILES", "UP", "DOWN", "ACCESS", "OWN KEYS", "LOGS IN BY", "ROOT"]
            .map(str::to_owned),
    ];
    rows.extend(config.accounts.iter().map(|account| {
        let missing = match account.root.try_exists() {
            Ok(true) => "",
            Ok(false) if account.make_root => " (will be created)",
            Ok(false) => " (missing)",
            Err(_) => " (not accessible to this account)",
        };
        [
            account.name.clone(),
            account.quota.map_or("unlimited".to_owned(), |quota| Size(quota).to_string()),
            account.max_files.map_or("unlimited".to_owned(), |number| number.to_string()),
            rate(account.upload_rate),
            rate(account.download_rate),
            account.access.name().to_owned(),
            if account.own_keys { "yes" } else { "no" }.to_owned(),
            ways_in(account, &own_keys),
            format!("{}{missing}", shown(&account.root)),
        ]
    }));
    columns(&rows)
}

fn rate(rate: Option<u64>) -> String {
    rate.map_or("unlimited".to_owned(), |rate| format!("{}/s", Size(rate)))
}

/// How the user can log in.
fn ways_in(account: &Account, own_keys: &OwnKeys) -> String {
    if !account.enabled {
        return "disabled".to_owned();
    }
    let password =
        account.password.as_ref().map(|hash| if hash.is_demo() { "demo password" } else { "password" });
    let keys = |number: usize, sort: &str| match number {
        0 => None,
        1 => Some(format!("1 {sort}")),
        number => Some(format!("{number} {sort}s")),
    };
    let installed = match installed(account, own_keys) {
        Some(number) => keys(number, "own key"),
        None => Some("own keys that cannot be read".to_owned()),
    };
    let ways = [password.map(str::to_owned), keys(account.keys.len(), "key"), installed];
    match ways.into_iter().flatten().collect::<Vec<_>>().join(", ") {
        ways if ways.is_empty() => "nothing".to_owned(),
        ways => match account.expires {
            Some(expires) => format!("{ways} (until {expires})"),
            None => ways,
        },
    }
}

/// Aligns rows of text in columns. The last column is not padded.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
