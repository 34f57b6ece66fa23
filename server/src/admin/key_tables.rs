//! Keys with a table of their own, `[[users.NAME.keys]]`: added to the text of the settings file, and removed from it.

use super::keys::read_key_file;
use super::table_text;
use super::{Admin, AdminError};
use crate::accounts::Expiry;
use clap::Args;
use std::path::Path;
use toml_edit::{ArrayOfTables, Datetime, Document, Item, Table, Value};

/// The array of tables in a user's table.
pub(super) const KEY_TABLES: &str = "keys";

/// The settings of a key. With any of them, the key gets a table.
#[derive(Args, Clone, Debug, Default)]
pub struct KeySettings {
    /// What the key permits: "read-write", "read-only", "append-only" or "upload-only"
    #[arg(long)]
    pub access: Option<String>,
    /// The addresses that it may come from, such as "192.0.2.0/24"
    #[arg(long)]
    pub from: Option<String>,
    /// The date from which it is not accepted, such as 2027-01-01
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,
    /// The folder of the home that the key sees as its home, such as "/laptop"
    #[arg(long)]
    pub folder: Option<String>,
}

impl KeySettings {
    fn entries(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let entries = [
            ("access", &self.access),
            ("from", &self.from),
            ("expires", &self.expires),
            ("folder", &self.folder),
        ];
        entries.into_iter().filter_map(|(name, value)| Some((name, typed(name, value.as_deref()?))))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }
}

/// Checks the value of the option `--expires`.
pub(super) fn check_expires(date: Option<&str>) -> Result<(), AdminError> {
    let is_date = |text: &&str| text.parse::<Datetime>().is_ok() && Expiry::parse_date(text).is_some();
    match date.map(str::trim).filter(|text| !is_date(text)) {
        Some(text) => Err(AdminError::Expires(text.to_owned())),
        None => Ok(()),
    }
}

/// A value with the type of its key.
pub(super) fn typed(key: &str, value: &str) -> Value {
    match value.parse::<Datetime>() {
        Ok(date) if key == "expires" => Value::from(date),
        _ => Value::from(value),
    }
}

impl Admin {
    /// Adds the keys of a public key file to a user, each with a table at the end of the file, where no comment moves
    /// to another table. Returns their fingerprints.
    pub(super) fn add_key_tables(
        &self,
        name: &str,
        file: &Path,
        settings: &KeySettings,
    ) -> Result<Vec<String>, AdminError> {
        check_expires(settings.expires.as_deref())?;
        let keys = read_key_file(file)?;
        let mut tables = ArrayOfTables::new();
        for (line, _) in &keys {
            let mut table = Table::new();
            table.insert("key", Item::Value(line.as_str().into()));
            table.extend(settings.entries());
            tables.push(table);
        }
        self.edit_text(|text, mut document, _| {
            let form = || self.form(&format!("users.{name}"));
            self.user(&mut document, name)?;
            let user = document.get("users").and_then(|users| users.get(name)).and_then(Item::as_table);
            let has_array =
                user.ok_or_else(form)?.get(KEY_TABLES).is_some_and(|keys| !keys.is_array_of_tables());
            if has_array {
                return Err(self.form(&format!("users.{name}.{KEY_TABLES}")));
            }
            let mut user = Table::new();
            user.set_implicit(true);
            user.insert(KEY_TABLES, Item::ArrayOfTables(tables));
            Ok((table_text::append(text, name, user), ()))
        })?;
        Ok(keys.iter().map(|(_, key)| key.fingerprint()).collect())
    }

    /// Removes the table of the key at a position in the user's list of tables.
    pub(super) fn remove_key_table(&self, name: &str, index: usize) -> Result<(), AdminError> {
        self.edit_text(|text, _, _| {
            let form = || self.form(&format!("users.{name}.{KEY_TABLES}"));
            let header = header(text, name, index).ok_or_else(form)?;
            Ok((table_text::without_table(text, header).ok_or_else(form)?, ()))
        })
    }
}

/// Where the header of a key's table begins; `None` if the keys are an inline array.
fn header(text: &str, user: &str, index: usize) -> Option<usize> {
    let document = Document::parse(text).ok()?;
    let tables = document.get("users")?.get(user)?.get(KEY_TABLES)?.as_array_of_tables()?;
    Some(tables.get(index)?.span()?.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Access;
    use crate::config;
    use std::fs;
    use tempfile::TempDir;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa laptop";
    const P256_KEY: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA= work";

    const USERS_TOML: &str =
        "[users.ann]\nquota = 1\n#access = \"read-only\"\n\n# The last.\n[users.ben]\n#quota = 2\n";

    fn folder(text: &str) -> (TempDir, Admin) {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/users.toml"), text).unwrap();
        fs::write(dir.path().join("ann.pub"), format!("{LINE}\n")).unwrap();
        fs::write(dir.path().join("two.pub"), format!("{LINE}\n{P256_KEY}\n")).unwrap();
        let admin = Admin::open(dir.path(), None).unwrap();
        (dir, admin)
    }

    fn settings(access: &str) -> KeySettings {
        KeySettings { access: Some(access.to_owned()), ..KeySettings::default() }
    }

    #[test]
    fn a_restricted_key_is_added_listed_and_removed_and_comments_are_kept() {
        let (dir, admin) = folder(USERS_TOML);
        let text = || fs::read_to_string(dir.path().join("etc/users.toml")).unwrap();
        let from = Some("192.0.2.0/24".to_owned());
        let expires = Some("2026-01-02".to_owned());
        let with_from = KeySettings { from, expires, ..settings("read-only") };
        admin.add_key("ann", &dir.path().join("ann.pub"), &with_from).unwrap();
        let table = "[[users.ann.keys]]\nkey = \"KEY\"\naccess = \"read-only\"\nfrom = \"192.0.2.0/24\"\n\
                     expires = 2026-01-02\n";
        assert_eq!(text(), format!("{USERS_TOML}\n{}", table.replace("KEY", LINE)));
        let config = config::load(dir.path(), None, &[]).unwrap();
        assert_eq!(config.accounts[0].keys[0].access(), Access::ReadOnly);
        let list = admin.list_keys("ann").unwrap();
        assert!(
            list.contains("administrator  read-only  some addresses  2026-01-02 00:00  laptop"),
            "{list}"
        );
        assert!(admin.list_json().unwrap().contains("\"restricted_keys\":[{\"access\":\"read-only\""));
        let checked = crate::admin::check(dir.path(), None, &[]).unwrap().report;
        assert!(checked.contains("read-only  some addresses  2026-01-02 00:00  laptop"), "{checked}");

        let again = admin.add_key("ann", &dir.path().join("ann.pub"), &KeySettings::default()).unwrap_err();
        assert!(again.to_string().contains("is a key of this user already"), "{again}");
        admin.remove_key("ann", "laptop").unwrap();
        assert_eq!(text(), USERS_TOML);
    }

    #[test]
    fn a_refused_option_is_named_and_no_line_of_the_unwritten_file() {
        let (dir, admin) = folder(USERS_TOML);
        let file = dir.path().join("ann.pub");
        let refused = |settings: &KeySettings| admin.add_key("ann", &file, settings).unwrap_err().to_string();
        for date in ["yesterday", "2027-02-30", "18:00:00", ""] {
            let settings = KeySettings { expires: Some(date.to_owned()), ..KeySettings::default() };
            let want = format!("--expires: \"{date}\" is not a date; use 2027-01-01");
            assert!(refused(&settings).starts_with(&want), "{date}: {}", refused(&settings));
        }
        let access = refused(&settings("all"));
        assert!(access.contains("users.toml: users.ann.keys.access: "), "{access}");
        assert_eq!(fs::read_to_string(dir.path().join("etc/users.toml")).unwrap(), USERS_TOML);
    }

    #[test]
    fn the_file_that_added_keys_removes_them() {
        let (dir, admin) = folder(USERS_TOML);
        let file = dir.path().join("two.pub");
        for limits in [KeySettings::default(), settings("read-only")] {
            admin.add_key("ann", &file, &limits).unwrap();
            let removed = admin.remove_key("ann", file.to_str().unwrap()).unwrap();
            assert_eq!(removed.lines().count(), 2, "{removed}");
            assert!(config::load(dir.path(), None, &[]).unwrap().accounts[0].keys.is_empty());
        }
        let missing = admin.remove_key("ann", file.to_str().unwrap()).unwrap_err();
        assert!(missing.to_string().contains("has no key"), "{missing}");
    }

    #[test]
    fn each_key_of_a_file_gets_a_table_and_one_of_them_is_removed() {
        let (dir, admin) = folder(USERS_TOML);
        admin.add_key("ann", &dir.path().join("two.pub"), &settings("read-only")).unwrap();
        admin.remove_key("ann", "laptop").unwrap();
        let config = config::load(dir.path(), None, &[]).unwrap();
        let comments: Vec<_> = config.accounts[0].keys.iter().map(|key| key.comment()).collect();
        assert_eq!(comments, [b"work"]);
        admin.remove("ann").unwrap();
        let text = fs::read_to_string(dir.path().join("etc/users.toml")).unwrap();
        assert!(!text.contains("ann") && text.contains("#quota = 2"), "{text}");
    }

    #[test]
    fn an_edit_that_cannot_be_written_changes_nothing() {
        for (text, access, want) in [
            (USERS_TOML, "all", "users.ann.keys.access"),
            ("users = { ann = {} }\n", "read-only", "edit it by hand"),
            (&format!("[users.ann]\nkeys = [{{ key = '{P256_KEY}' }}]\n"), "read-only", "edit it by hand"),
        ] {
            let (dir, admin) = folder(text);
            let error = admin.add_key("ann", &dir.path().join("ann.pub"), &settings(access)).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
            assert_eq!(fs::read_to_string(dir.path().join("etc/users.toml")).unwrap(), text);
        }
    }
}
