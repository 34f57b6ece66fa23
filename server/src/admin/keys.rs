//! `sshomed user key`: adds, lists and removes users' keys.

use super::key_tables::KeySettings;
use super::list::{access, columns, expires, from};
use super::{Admin, AdminError};
use crate::accounts::{Access, Account, AuthorizedKey, OwnKeys, OwnKeysError};
use crate::config::{self, ConfigError, ConfigLocation, authorized_keys, shown};
use sshome_wire::display::Escaped;
use sshome_wire::public_key;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use toml_edit::{Array, Item, TableLike, Value};

/// The array that holds a user's keys.
const AUTHORIZED_KEYS: &str = "authorized-keys";

impl Admin {
    /// Adds the keys of a public key file to a user: each as one line, or as a table if there are settings. The
    /// file is not needed afterwards.
    ///
    /// # Errors
    /// If there is no such user, the file has no accepted key or one that the user has already, or a setting is invalid.
    pub fn add_key(&self, name: &str, file: &Path, settings: &KeySettings) -> Result<String, AdminError> {
        let prints: Vec<String> = match settings.is_empty() {
            true => {
                let keys = read_key_file(file)?;
                let prints = keys.iter().map(|(_, key)| key.fingerprint()).collect();
                self.edit(|document, _| add_lines(self, self.user(document, name)?, name, keys))?;
                prints
            }
            false => self.add_key_tables(name, file, settings)?,
        };
        Ok(prints.iter().map(|print| format!("added the key {print}\n")).collect())
    }

    /// Removes one of a user's keys, by its fingerprint or its comment, or those of a public key file. A key that the user
    /// has installed can be removed even if the settings cannot be parsed.
    ///
    /// # Errors
    /// If the user has no such key or several, or it is in a file with other keys.
    pub fn remove_key(&self, name: &str, which: &str) -> Result<String, AdminError> {
        match self.remove_one_key(name, which) {
            // A comment may be the name of a file, too.
            Err(AdminError::NoSuchKey { .. }) if Path::new(which).is_file() => {
                let keys = read_key_file(Path::new(which))?;
                keys.iter().map(|(_, key)| self.remove_one_key(name, &key.fingerprint())).collect()
            }
            result => result,
        }
    }

    fn remove_one_key(&self, name: &str, which: &str) -> Result<String, AdminError> {
        let account = match self.account(name) {
            Err(AdminError::Config(error)) => Err(error),
            account => Ok(account?),
        };
        let own_keys = OwnKeys::of(&self.location.dir);
        let installed = own_keys.read(name).map_err(|error| self.own_keys_error(name, error))?;
        let is_it = |key: &&AuthorizedKey| is(key, which);
        let set = account.as_ref().map_or(0, |account| account.keys.iter().filter(is_it).count());
        match (installed.iter().filter(is_it).count(), set) {
            (0, _) => self.remove_set_key(name, which, account.as_deref().ok()),
            (1, 0) => {
                let print = installed.iter().find(is_it).map(AuthorizedKey::fingerprint).unwrap_or_default();
                let removed = own_keys.remove(name, &print, false);
                removed.map_err(|error| self.own_keys_error(name, error))?;
                let unread = account.err().map(|error| self.unread(&error)).unwrap_or_default();
                Ok(format!("removed the key {print}, which {name} had installed\n{unread}"))
            }
            _ => Err(AdminError::ManyKeys { user: name.to_owned(), key: which.to_owned() }),
        }
    }

    /// Removes a key that the administrator has set. `account` is the user's if the settings can be parsed.
    fn remove_set_key(
        &self,
        name: &str,
        which: &str,
        account: Option<&Account>,
    ) -> Result<String, AdminError> {
        let keys = || account.into_iter().flat_map(|account| &account.keys);
        let found: Vec<_> = keys().filter(|key| is(key, which)).collect();
        if let [key] = &found[..]
            && let Some(index) = account.and_then(|account| account.key_tables().position(|k| k == *key))
        {
            self.remove_key_table(name, index)?;
            return Ok(format!("removed the key {} from {name}\n", key.fingerprint()));
        }
        if found.len() > 1 && found.iter().any(|key| key.limits().is_some()) {
            return Err(AdminError::ManyKeys { user: name.to_owned(), key: which.to_owned() });
        }
        let removed = self.edit(|document, _| {
            let user = self.user(document, name)?;
            let no_key = || AdminError::NoSuchKey { user: name.to_owned(), key: which.to_owned() };
            let array = user.get_mut(AUTHORIZED_KEYS).ok_or_else(no_key)?;
            let array = array.as_array_mut().ok_or_else(|| self.form(AUTHORIZED_KEYS))?;

            let entries: Vec<_> = array.iter().map(|entry| keys_of(&self.location, entry)).collect();
            let mut found = entries.iter().flatten().filter(|key| is(key, which));
            let key = found.next().ok_or_else(no_key)?.clone();
            if found.any(|other| !other.is(key.public_key())) {
                return Err(AdminError::ManyKeys { user: name.to_owned(), key: which.to_owned() });
            }
            let has_key =
                |entry: &Value| keys_of(&self.location, entry).iter().any(|k| k.is(key.public_key()));
            let only_key =
                |entry: &Value| keys_of(&self.location, entry).iter().all(|k| k.is(key.public_key()));
            if let Some(shared) = array.iter().find(|entry| has_key(entry) && !only_key(entry)) {
                return Err(AdminError::SharedKeyFile {
                    file: shared.as_str().unwrap_or_default().to_owned(),
                });
            }
            array.retain(|entry| !has_key(entry));
            Ok(key)
        })?;
        Ok(format!("removed the key {} from {name}\n", removed.fingerprint()))
    }

    /// A user's keys in columns.
    ///
    /// # Errors
    /// If there is no such user, or the file cannot be read.
    pub fn list_keys(&self, name: &str) -> Result<String, AdminError> {
        let account = self.account(name);
        let installed = match account.as_ref().map_or(true, |account| account.own_keys) {
            true => OwnKeys::of(&self.location.dir).read(name),
            false => Ok(Vec::new()),
        };
        let installed = installed.map_err(|error| self.own_keys_error(name, error))?;
        let (set_keys, account_access, unread) = match account {
            Ok(account) => (account.keys.clone(), account.access, String::new()),
            Err(AdminError::Config(error)) if !installed.is_empty() => {
                (Vec::new(), Access::default(), self.unread(&error))
            }
            Err(error) => return Err(error),
        };
        if set_keys.is_empty() && installed.is_empty() {
            return Ok(format!("{name} has no key: `sshomed user key {name} add FILE` adds one\n"));
        }
        let mut rows = vec![
            ["FINGERPRINT", "TYPE", "SET BY", "ACCESS", "FROM", "EXPIRES", "COMMENT"].map(str::to_owned),
        ];
        let set = set_keys.iter().map(|key| ("administrator", key));
        rows.extend(set.chain(installed.iter().map(|key| ("user", key))).map(|(by, key)| {
            let (access, from) = (access(key, account_access), from(key).to_owned());
            let kind = key.public_key().algorithm().as_str().to_owned();
            let comment = Escaped(key.comment()).to_string();
            [key.fingerprint(), kind, by.to_owned(), access, from, expires(key.expires()), comment]
        }));
        Ok(columns(&rows) + &unread)
    }

    /// A user's account; [`AdminError::Config`] if invalid settings make it unknown whether it exists.
    pub(super) fn account(&self, name: &str) -> Result<Arc<Account>, AdminError> {
        let (config, mut mistakes) = config::parse(&self.location, &self.location.read()?, &[]);
        let account = config.accounts.into_iter().find(|account| account.name == name);
        let table = format!("users.{name}");
        mistakes.retain(|mistake| ["", "users", &table].contains(&mistake.key.as_str()));
        account.ok_or_else(|| match mistakes.is_empty() {
            true => AdminError::NoUser(name.to_owned()),
            false => ConfigError::mistakes(&self.location, mistakes).into(),
        })
    }

    /// The note that the administrator's keys could not be read.
    fn unread(&self, error: &ConfigError) -> String {
        format!("the keys in {} could not be read: {error}\n", shown(&self.location.shown))
    }

    /// Removes the keys that a user has installed.
    pub(super) fn forget_own_keys(&self, name: &str) -> Result<(), AdminError> {
        let forgotten = OwnKeys::of(&self.location.dir).forget(name);
        forgotten.map(drop).map_err(|error| self.own_keys_error(name, error))
    }

    /// The error for keys that a user has installed.
    fn own_keys_error(&self, name: &str, error: OwnKeysError) -> AdminError {
        AdminError::OwnKeys { file: OwnKeys::of(&self.location.dir).folder().join(name), error }
    }
}

/// Whether a key has that fingerprint or comment.
fn is(key: &AuthorizedKey, which: &str) -> bool {
    key.fingerprint() == which || key.comment() == which.as_bytes()
}

/// The lines of a public key file with their keys.
pub(super) fn read_key_file(file: &Path) -> Result<Vec<(String, AuthorizedKey)>, AdminError> {
    let bytes = fs::read(file).map_err(|error| AdminError::KeyFile { file: file.to_owned(), error })?;
    let text = public_key::text(&bytes);
    let refused = |(line, error)| AdminError::Key { file: file.to_owned(), line, error };
    let keys = AuthorizedKey::parse_file(&text).map_err(refused)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<_> = lines.map(str::to_owned).zip(keys).collect();
    if lines.is_empty() { Err(AdminError::EmptyKeyFile(file.to_owned())) } else { Ok(lines) }
}

/// Inserts key lines into a user's table, each on its own line.
pub(super) fn add_lines(
    admin: &Admin,
    user: &mut dyn TableLike,
    name: &str,
    lines: Vec<(String, AuthorizedKey)>,
) -> Result<(), AdminError> {
    if lines.is_empty() {
        return Ok(());
    }
    let array = user.entry(AUTHORIZED_KEYS).or_insert(Item::Value(Array::new().into()));
    let array = array.as_array_mut().ok_or_else(|| admin.form(&format!("users.{name}.{AUTHORIZED_KEYS}")))?;
    let mut known: Vec<AuthorizedKey> =
        array.iter().flat_map(|entry| keys_of(&admin.location, entry)).collect();
    for (line, key) in lines {
        if known.iter().any(|known| known.is(key.public_key())) {
            return Err(AdminError::KeyExists { user: name.to_owned(), fingerprint: key.fingerprint() });
        }
        // A comment after the last value stays in place.
        let before = array.trailing().as_str().unwrap_or_default().trim_end();
        let value = Value::from(line).decorated(format!("{before}\n    "), "");
        array.set_trailing("\n");
        array.set_trailing_comma(true);
        array.push_formatted(value);
        known.push(key);
    }
    Ok(())
}

/// The keys of an entry of the array. Empty if it is invalid.
fn keys_of(location: &ConfigLocation, entry: &Value) -> Vec<AuthorizedKey> {
    entry.as_str().and_then(|entry| authorized_keys(location, entry).ok()).unwrap_or_default()
}
