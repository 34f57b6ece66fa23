//! An edit of the settings file: lock, read, change, validate, replace.

use super::replace::replace;
use super::{Admin, AdminError};
use crate::accounts::check_name;
use crate::config::{self, Config, ConfigError};
use std::fs::File;
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};
use zeroize::Zeroizing;

impl Admin {
    /// Changes the file atomically. Concurrent edits wait for each other.
    ///
    /// Existing mistakes do not prevent an edit: it may correct them.
    pub(super) fn edit<T>(
        &self,
        change: impl FnOnce(&mut DocumentMut, &Config) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        self.edit_text(|_, mut document, config| {
            let result = change(&mut document, config)?;
            Ok((document.to_string(), result))
        })
    }

    /// The same for a change of the text, whose lines end in `\n`; the file keeps its own line ends.
    pub(super) fn edit_text<T>(
        &self,
        change: impl FnOnce(&str, DocumentMut, &Config) -> Result<(String, T), AdminError>,
    ) -> Result<T, AdminError> {
        let file = &self.location.file;
        let write = |error| AdminError::Write { file: self.location.shown.clone(), error };
        // Lock the folder: each edit replaces the file.
        let folder = File::open(file.parent().unwrap_or(Path::new("/"))).map_err(write)?;
        folder.lock().map_err(write)?;

        let text = self.location.read()?;
        let (config, before) = config::parse(&self.location, &text, &[]);
        let has_crlf = text.matches("\r\n").count() * 2 > text.matches('\n').count();
        let text = Zeroizing::new(text.replace("\r\n", "\n"));
        let Ok(document) = text.parse::<DocumentMut>() else {
            return Err(ConfigError::mistakes(&self.location, before).into());
        };
        let (text, result) = change(&text, document, &config)?;

        let text = Zeroizing::new(if has_crlf { text.replace('\n', "\r\n") } else { text });
        let (_, mut after) = config::parse(&self.location, &text, &[]);
        after.retain(|mistake| !before.iter().any(|old| old.is_same(mistake)));
        if !after.is_empty() {
            // The lines are those of a file that is not written.
            after.iter_mut().for_each(|mistake| mistake.line = None);
            return Err(AdminError::Rejected(ConfigError::mistakes(&self.location, after)));
        }
        replace(file, &folder, text.as_bytes()).map_err(write)?;
        Ok(result)
    }

    /// The table of all users. It is created if it is missing.
    pub(super) fn users<'d>(
        &self,
        document: &'d mut DocumentMut,
    ) -> Result<&'d mut dyn TableLike, AdminError> {
        let mut implicit = Table::new();
        implicit.set_implicit(true);
        let users = document.entry("users").or_insert(Item::Table(implicit));
        users.as_table_like_mut().ok_or_else(|| self.form("users"))
    }

    /// The table of one user.
    pub(super) fn user<'d>(
        &self,
        document: &'d mut DocumentMut,
        name: &str,
    ) -> Result<&'d mut dyn TableLike, AdminError> {
        check_name(name).map_err(AdminError::Name)?;
        let user = self.users(document)?.get_mut(name);
        let user = user.ok_or_else(|| AdminError::NoUser(name.to_owned()))?;
        user.as_table_like_mut().ok_or_else(|| self.form(&format!("users.{name}")))
    }

    /// The error for something that has an unexpected form.
    pub(super) fn form(&self, key: &str) -> AdminError {
        AdminError::Form(key.to_owned(), self.location.shown.clone())
    }
}

/// Sets a value, and keeps the blanks and comments around the old one.
pub(super) fn set(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value = value.into();
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => _ = table.insert(key, Item::Value(value)),
    }
}
