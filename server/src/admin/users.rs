//! `sshomed user add`, `remove` and `passwd`.

use super::comments::unset;
use super::edit::set;
use super::keys::{add_lines, read_key_file};
use super::table_text;
use super::{Admin, AdminError, escaped};
use crate::accounts::{Password, check_name};
use crate::auth::hash_password;
use crate::config::{parse_limit, shown};
use std::path::PathBuf;
use toml_edit::{Item, Table};

/// The settings of a new user.
#[derive(Debug, Default)]
pub struct NewUser {
    /// The password.
    pub password: Option<Password>,
    /// Files of public keys.
    pub keys: Vec<PathBuf>,
    /// The quota, as [`parse_limit`] reads it. Without it, the default applies.
    pub quota: Option<String>,
}

impl Admin {
    /// Adds a user.
    ///
    /// # Errors
    /// If the name is taken or invalid, a key or the quota is invalid, or the file cannot be written.
    pub fn add(&self, name: &str, user: &NewUser) -> Result<String, AdminError> {
        check_name(name).map_err(AdminError::Name)?;
        user.quota.as_deref().map(parse_limit).transpose().map_err(AdminError::Size)?;
        let mut keys = Vec::new();
        for file in &user.keys {
            keys.extend(read_key_file(file)?);
        }
        let hash = user.password.as_ref().map(hash_password).transpose()?;

        self.edit_text(|text, mut document, _| {
            let users = self.users(&mut document)?;
            if users.contains_key(name) {
                return Err(AdminError::UserExists(name.to_owned()));
            }
            // Keys that an earlier user with that name had installed.
            self.forget_own_keys(name)?;
            let mut table = Table::new();
            if let Some(hash) = &hash {
                set(&mut table, "password", hash.to_phc());
            }
            if let Some(quota) = &user.quota {
                set(&mut table, "quota", quota.trim());
            }
            add_lines(self, &mut table, name, keys)?;
            if document.get("users").is_some_and(Item::is_table) {
                return Ok((table_text::append(text, name, table), ()));
            }
            // `users` is an inline table.
            self.users(&mut document)?.insert(name, Item::Value(table.into_inline_table().into()));
            Ok((document.to_string(), ()))
        })?;

        let mut text = format!("added {name}\n");
        if user.password.is_none() && user.keys.is_empty() {
            text += &format!(
                "{name} cannot log in yet: set a password with `sshomed user passwd {name}`, \
                 or a key with `sshomed user key {name} add FILE`\n"
            );
        }
        Ok(text)
    }

    /// Removes a user, with the keys that the user has installed. The home stays as it is.
    ///
    /// # Errors
    /// If there is no such user, or the file cannot be written.
    pub fn remove(&self, name: &str) -> Result<String, AdminError> {
        let root = self.edit_text(|text, mut document, config| {
            let users = self.users(&mut document)?;
            users.remove(name).ok_or_else(|| AdminError::NoUser(name.to_owned()))?;
            let text = table_text::without_user(text, name).unwrap_or_else(|| document.to_string());
            // An invalid name has no installed keys.
            if check_name(name).is_ok() {
                self.forget_own_keys(name)?;
            }
            let account = config.accounts.iter().find(|account| account.name == name);
            Ok((text, account.map(|account| account.root.clone())))
        })?;
        let mut text = format!("removed {}\n", escaped(name));
        if let Some(root) = root {
            let state = if root.exists() {
                "was kept: remove it yourself if it is no longer needed"
            } else {
                "does not exist"
            };
            text += &format!("the home, {}, {state}\n", shown(&root));
        }
        Ok(text)
    }

    /// Sets a user's password, and removes the demo mark. Prompts only if the user exists.
    ///
    /// # Errors
    /// If there is no such user, the password is refused, or the file cannot be written.
    pub fn passwd(
        &self,
        name: &str,
        password: impl FnOnce() -> Result<Password, AdminError>,
    ) -> Result<String, AdminError> {
        self.account(name)?;
        let hash = hash_password(&password()?)?;
        self.edit(|document, _| {
            set(self.user(document, name)?, "password", hash.to_phc());
            unset(document, name, "demo");
            Ok(())
        })?;
        Ok(format!("set the password of {name}\n"))
    }
}
