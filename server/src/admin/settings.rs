//! `sshomed user set`: changes a user's settings.

use super::comments::unset;
use super::edit::set;
use super::key_tables::{check_expires, typed};
use super::{Admin, AdminError};
use crate::accounts::{Account, unfit_root};
use crate::config::parse_limit;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use toml_edit::{Array, TableLike, Value};

/// The value that removes a setting from the user's table, so that `[defaults]` applies.
const DEFAULT_VALUE: &str = "default";

/// The value that makes a list of patterns empty.
const NO_PATTERN: &str = "none";

/// The settings of a user to change. Each is a value as in the file, or `default`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct UserSettings {
    /// How much the home may hold: "100 MiB", "700 MB", "unlimited"
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<String>,
    /// How many files, folders and links the home may hold: a number, or "unlimited"
    #[arg(long, value_name = "NUMBER")]
    pub max_files: Option<String>,
    /// "read-write" or "read-only"
    #[arg(long, value_name = "ACCESS")]
    pub access: Option<String>,
    /// "true", or "false": nobody can log in as the user
    #[arg(long, value_name = "BOOLEAN")]
    pub enabled: Option<String>,
    /// Whether the user may install keys: "true" or "false"
    #[arg(long, value_name = "BOOLEAN")]
    pub own_keys: Option<String>,
    /// "in-place", or "atomic": a file appears only when it is complete
    #[arg(long, value_name = "HOW")]
    pub sftp_uploads: Option<String>,
    /// Upload rate of the user: "10 MiB/s", "unlimited"
    #[arg(long, value_name = "RATE")]
    pub upload_rate: Option<String>,
    /// Download rate of the user: "10 MiB/s", "unlimited"
    #[arg(long, value_name = "RATE")]
    pub download_rate: Option<String>,
    /// The date from which the user cannot log in, such as 2027-01-01; sessions end
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,
    /// What append-only and upload-only keys may remove, such as "locks/*"; may be given several times. "none" is nothing
    #[arg(long, value_name = "PATTERN")]
    pub deletable: Vec<String>,
    /// Names under which such keys may remove their own new files, such as "*.partial"; may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub temporary_names: Vec<String>,
    /// The folder that is the home; it must exist. "default" is homes/NAME
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

impl UserSettings {
    /// Changes only whether the user can log in.
    #[must_use]
    pub fn enabled(enabled: bool) -> UserSettings {
        UserSettings { enabled: Some(enabled.to_string()), ..UserSettings::default() }
    }
}

impl Admin {
    /// Sets a user's settings.
    ///
    /// # Errors
    /// If there is no such user, nothing is to be set, a value is refused, or the file cannot be written.
    pub fn set(&self, name: &str, settings: &UserSettings) -> Result<String, AdminError> {
        settings
            .quota
            .as_deref()
            .filter(|size| *size != DEFAULT_VALUE)
            .map(parse_limit)
            .transpose()
            .map_err(AdminError::Size)?;
        check_expires(settings.expires.as_deref().filter(|date| *date != DEFAULT_VALUE))?;
        let root = settings.root.as_ref().map(|root| self.root(root)).transpose()?;
        let changes = [
            ("quota", &settings.quota),
            ("max-files", &settings.max_files),
            ("access", &settings.access),
            ("enabled", &settings.enabled),
            ("expires", &settings.expires),
            ("own-keys", &settings.own_keys),
            ("sftp-uploads", &settings.sftp_uploads),
            ("upload-rate", &settings.upload_rate),
            ("download-rate", &settings.download_rate),
            ("root", &root),
        ];
        let changes: Vec<_> =
            changes.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?.trim()))).collect();
        let lists = [("deletable", &settings.deletable), ("temporary-names", &settings.temporary_names)];
        let lists: Vec<_> = lists.into_iter().filter(|(_, patterns)| !patterns.is_empty()).collect();
        if changes.is_empty() && lists.is_empty() {
            return Err(AdminError::NothingToSet);
        }
        self.edit(|document, config| {
            let found = config.accounts.iter().find(|account| account.name == name);
            if let (Some(root), Some(account)) =
                (root.as_deref().filter(|root| *root != DEFAULT_VALUE), found)
            {
                let moved = Account { root: root.into(), make_root: false, ..Account::clone(account) };
                unfit_root(&moved)
                    .map_or(Ok(()), |why| Err(AdminError::UnfitRoot { root: root.into(), why }))?;
            }
            for (key, value) in &changes {
                let user = self.user(document, name)?;
                match *value {
                    DEFAULT_VALUE => unset(document, name, key),
                    value => write(user, key, value),
                }
            }
            for (key, patterns) in &lists {
                let user = self.user(document, name)?;
                match patterns.as_slice() {
                    [one] if one == DEFAULT_VALUE => unset(document, name, key),
                    patterns => set(user, key, Value::Array(array(patterns))),
                }
            }
            Ok(())
        })?;
        let mut set: Vec<_> = changes.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        set.extend(lists.iter().map(|(key, patterns)| format!("{key} = {}", patterns.join(", "))));
        Ok(format!("set of {name}: {}\n", super::escaped(&set.join(", "))))
    }

    /// The value of `root` for the file.
    fn root(&self, root: &PathBuf) -> Result<String, AdminError> {
        if root.as_os_str().as_bytes() == DEFAULT_VALUE.as_bytes() {
            return Ok(DEFAULT_VALUE.to_owned());
        }
        // A path on the command line is relative to the current folder, one in the file to the server's folder.
        let real = fs::canonicalize(root).ok().filter(|real| real.is_dir());
        let real = real.ok_or_else(|| AdminError::Root(root.clone()))?;
        real.to_str().map(str::to_owned).ok_or_else(|| AdminError::Root(real.clone()))
    }
}

/// The patterns as in the file.
fn array(patterns: &[String]) -> Array {
    match patterns {
        [one] if one == NO_PATTERN => Array::new(),
        patterns => patterns.iter().map(String::as_str).collect(),
    }
}

/// Writes a value with the type of the key.
fn write(user: &mut dyn TableLike, key: &str, value: &str) {
    let typed = match (key, value.parse::<bool>(), value.parse::<i64>()) {
        ("enabled" | "own-keys", Ok(value), _) => Value::from(value),
        ("quota" | "max-files", _, Ok(value)) => Value::from(value),
        _ => typed(key, value),
    };
    set(user, key, typed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Access, SftpUploads};
    use crate::config;
    use sshome_wire::RemotePath;
    use tempfile::TempDir;

    #[test]
    fn every_setting_is_set_and_unset() {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        let file = dir.path().join("etc/users.toml");
        let before = "[users.ann]\n";
        fs::write(&file, before).unwrap();
        let admin = Admin::open(dir.path(), None).unwrap();
        let elsewhere = TempDir::new().unwrap();
        let set = |value: fn(&str) -> String, root: PathBuf| UserSettings {
            quota: Some(value("10")),
            max_files: Some(value("7")),
            access: Some(value("read-only")),
            expires: Some(value("2027-01-01")),
            enabled: Some(value("false")),
            own_keys: Some(value("true")),
            sftp_uploads: Some(value("atomic")),
            upload_rate: Some(value("1 MiB/s")),
            download_rate: Some(value("unlimited")),
            deletable: ["locks/*", "x"].map(value).to_vec(),
            temporary_names: vec![value("*.tmp")],
            root: Some(root),
        };
        admin.set("ann", &set(str::to_owned, elsewhere.path().to_owned())).unwrap();
        let config = config::load(dir.path(), None, &[]).unwrap();
        let ann = &config.accounts[0];
        assert_eq!((ann.quota, ann.max_files, ann.access), (Some(10), Some(7), Access::ReadOnly));
        assert_eq!((ann.enabled, ann.own_keys, ann.sftp_uploads), (false, true, SftpUploads::Atomic));
        assert_eq!((ann.upload_rate, ann.download_rate), (Some(1 << 20), None));
        assert_eq!(ann.root, fs::canonicalize(elsewhere.path()).unwrap());
        let path = |name: &str| RemotePath::root().join(name.as_bytes()).unwrap();
        let is_deletable = |name| ann.deletable.iter().any(|pattern| pattern.matches(&path(name)));
        assert_eq!(["locks/a", "x", "y"].map(is_deletable), [true, true, false]);
        assert!(ann.is_temporary(b"f.tmp") && !ann.is_temporary(b"f.partial"));
        let none = || vec!["none".to_owned()];
        let nothing = UserSettings { deletable: none(), temporary_names: none(), ..UserSettings::default() };
        admin.set("ann", &nothing).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("deletable = []\n") && text.contains("temporary-names = []\n"), "{text}");
        let default = || vec!["default".to_owned()];
        let defaults = set(|_| "default".to_owned(), "default".into());
        let defaults = UserSettings { deletable: default(), temporary_names: default(), ..defaults };
        admin.set("ann", &defaults).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), before);

        let slash = UserSettings { temporary_names: vec!["a/b".to_owned()], ..UserSettings::default() };
        let error = admin.set("ann", &slash).unwrap_err().to_string();
        assert!(error.starts_with("nothing was changed") && error.contains("temporary-names"), "{error}");

        let access = |value: &str| UserSettings { access: Some(value.into()), ..UserSettings::default() };
        let error = admin.set("ann", &access("neither")).unwrap_err().to_string();
        assert!(error.starts_with("nothing was changed") && error.contains("users.ann.access"), "{error}");
        assert!(matches!(admin.set("bob", &access("read-only")), Err(AdminError::NoUser(_))));
        assert!(matches!(admin.set("ann", &UserSettings::default()), Err(AdminError::NothingToSet)));
        let nowhere = UserSettings { root: Some("/nowhere/at/all".into()), ..UserSettings::default() };
        assert!(matches!(admin.set("ann", &nowhere), Err(AdminError::Root(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
    }
}
