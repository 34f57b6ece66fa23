//! File permissions of the settings file.
//!
//! Whoever can change users.toml can log in as every user. So a file that others can write is refused, as OpenSSH does,
//! and so is its folder, or the server's, if everybody could replace the file or the folder. A file that others can
//! read is accepted with a warning, because it contains hashes and no passwords. So is one that a group can write,
//! because the group may be the administrators'. Keys that others can write, and what belongs to an account other than
//! the server's and root, are used with a warning, too.

use super::{Config, ConfigLocation, Diagnostic, shown};
use crate::accounts::OwnKeys;
use crate::invocation::{self, Role};
use crate::permission::{account, owner};
use nix::unistd::User;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
const GROUP_WRITE: u32 = 0o020;
/// In a directory with the sticky bit, only the owner of a file can replace it.
const STICKY_BIT: u32 = 0o1000;

/// The mistake if everybody can change the settings.
pub(super) fn mistake(location: &ConfigLocation) -> Option<Diagnostic> {
    let others_write =
        |path: &Path| mode(path).is_some_and(|mode| mode & (OTHERS_WRITE | STICKY_BIT) == OTHERS_WRITE);
    let folders = [location.file.parent(), Some(location.dir.as_path())];
    let folder = folders.into_iter().flatten().find(|folder| others_write(folder));
    let file =
        mode(&location.file).is_some_and(|mode| mode & OTHERS_WRITE != 0).then_some(location.file.as_path());
    let path = shown(file.or(folder)?);
    let message = format!(
        "everybody on this machine can write to {path}, and so log in as every user: chmod o-w {path}"
    );
    Some(Diagnostic { line: None, key: String::new(), message })
}

/// Logs the warnings about the settings and keys of a server.
pub(crate) fn log_warnings(config: &Config) {
    warnings(config).iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// What others can do with the settings and the keys, probably unintentionally. Each is a sentence.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = settings_warnings(config);
    let trusted = trusted(config);
    warnings.extend(deciding_paths(config).iter().flat_map(|path| exposure(path, config, &trusted)));
    warnings
}

/// The files and folders that decide who logs in.
fn deciding_paths(config: &Config) -> BTreeSet<PathBuf> {
    let authorized = OwnKeys::of(&config.dir).folder().to_owned();
    let installed = fs::read_dir(&authorized).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: BTreeSet<PathBuf> = installed.collect();
    for file in [&config.file].into_iter().chain(&config.key_files).chain(&config.host_keys) {
        paths.insert(file.clone());
        paths.extend(file.parent().map(Path::to_owned));
    }
    paths.extend([authorized, config.dir.join("keys"), config.dir.clone()]);
    paths
}

/// The accounts that may own them: root and the server's.
fn trusted(config: &Config) -> BTreeSet<u32> {
    let mut trusted = BTreeSet::from([0, rustix::process::geteuid().as_raw()]);
    let account = config.account.as_deref().and_then(|name| User::from_name(name).ok().flatten());
    trusted.extend(account.map(|account| account.uid.as_raw()));
    if matches!(invocation::role(), Role::Check | Role::Command) {
        // A command may run as another account than the server, which owns its folder.
        trusted.extend(fs::metadata(&config.dir).ok().map(|found| found.uid()));
    }
    trusted
}

/// Why a path lets others log in.
fn exposure(path: &Path, config: &Config, trusted: &BTreeSet<u32>) -> Vec<String> {
    let Ok(found) = fs::metadata(path) else { return Vec::new() };
    let is_sticky = found.is_dir() && found.mode() & STICKY_BIT != 0;
    let mut warnings = Vec::new();
    let owner = || owner(path).unwrap_or_else(|| found.uid().to_string());
    let path = shown(path);
    if found.mode() & OTHERS_WRITE != 0 && !is_sticky {
        warnings.push(format!(
            "everybody on this machine can write to {path}, and so log in as a user: chmod o-w {path}."
        ));
    }
    if !trusted.contains(&found.uid()) {
        let account = config.account.clone().unwrap_or_else(account);
        warnings.push(format!(
            "{path} belongs to {}, who can therefore log in as a user: chown {account}: {path}, unless that is intended.",
            owner()
        ));
    }
    warnings
}

fn settings_warnings(config: &Config) -> Vec<String> {
    let Some(mode) = mode(&config.file) else { return Vec::new() };
    let file = shown(&config.file);
    let has_hashes =
        config.accounts.iter().any(|account| account.password.as_ref().is_some_and(|hash| !hash.is_demo()));
    let mut warnings = Vec::new();
    if mode & OTHERS_READ != 0 && has_hashes {
        warnings.push(format!(
            "{file} holds hashes of passwords, and everybody on this machine can read it: chmod o-r {file}."
        ));
    }
    if mode & GROUP_WRITE != 0 {
        warnings.push(format!(
            "the group of {file} can write to it, and so log in as every user: chmod g-w {file}, unless that is intended."
        ));
    }
    warnings
}

fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.permissions().mode())
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, load};
    use super::*;
    use tempfile::TempDir;

    const PASSWORD_HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// The errors of a configuration in a file and a folder with these modes.
    fn loaded(file_mode: u32, folder_mode: u32) -> Result<Config, ConfigError> {
        let dir = TempDir::new().unwrap();
        let (folder, file) = (dir.path().join("etc"), dir.path().join("etc/users.toml"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, format!("[users.ann]\npassword = \"{PASSWORD_HASH}\"\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(folder_mode)).unwrap();
        let loaded = load(dir.path(), None, &[]);
        if let Ok(config) = &loaded {
            // The file is gone when this returns.
            assert_eq!(
                warnings(config).len(),
                usize::from(file_mode & 0o004 != 0) + usize::from(file_mode & 0o020 != 0)
            );
        }
        loaded
    }

    #[test]
    fn settings_that_everybody_can_write_are_refused() {
        for (file, folder, which) in
            [(0o602, 0o700, "users.toml"), (0o666, 0o700, "users.toml"), (0o600, 0o777, "etc")]
        {
            let error = loaded(file, folder).unwrap_err().to_string();
            assert!(
                error.contains("everybody on this machine can write to") && error.ends_with(which),
                "{error}"
            );
        }
    }

    #[test]
    fn a_servers_folder_that_everybody_can_write_is_refused() {
        let dir = key_folder();
        let top = fs::canonicalize(dir.path()).unwrap();
        fs::set_permissions(&top, fs::Permissions::from_mode(0o777)).unwrap();
        let error = load(dir.path(), None, &[]).unwrap_err().to_string();
        assert!(error.ends_with(&format!("chmod o-w {}", shown(&top))), "{error}");
        fs::set_permissions(&top, fs::Permissions::from_mode(0o1777)).unwrap();
        load(dir.path(), None, &[]).unwrap();
    }

    #[test]
    fn settings_that_others_can_read_are_used_with_a_warning() {
        for (file, folder) in
            [(0o600, 0o700), (0o644, 0o755), (0o640, 0o750), (0o660, 0o770), (0o600, 0o1777)]
        {
            loaded(file, folder).unwrap();
        }
    }

    fn key_folder() -> TempDir {
        let dir = TempDir::new().unwrap();
        for folder in ["etc", "keys/authorized"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa\n";
        fs::write(dir.path().join("keys/a.pub"), key).unwrap();
        fs::write(dir.path().join("keys/authorized/ann"), key).unwrap();
        fs::write(dir.path().join("etc/users.toml"), "[users.ann]\nauthorized-keys = [\"keys/a.pub\"]\n")
            .unwrap();
        dir
    }

    const DECIDING: [&str; 4] = ["keys/a.pub", "keys", "keys/authorized", "keys/authorized/ann"];

    #[test]
    fn keys_that_everybody_can_write_are_warned_of() {
        let dir = key_folder();
        let top = fs::canonicalize(dir.path()).unwrap();
        let warned = || warnings(&load(dir.path(), None, &[]).unwrap());
        assert_eq!(warned(), [""; 0]);
        for name in DECIDING {
            let path = top.join(name);
            let before = fs::metadata(&path).unwrap().permissions();
            fs::set_permissions(&path, fs::Permissions::from_mode(before.mode() | 0o022)).unwrap();
            let found = warned();
            assert!(
                matches!(&found[..], [one] if one.ends_with(&format!("chmod o-w {}.", shown(&path)))),
                "{found:?}"
            );
            if path.is_dir() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
                assert_eq!(warned(), [""; 0], "{name}");
            }
            fs::set_permissions(&path, before).unwrap();
        }
    }

    #[test]
    fn keys_and_settings_of_other_accounts_are_warned_of_as_root() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = key_folder();
        for name in ["keys/a.pub", "keys", "keys/authorized", "keys/authorized/ann", "etc", "etc/users.toml"]
        {
            let path = fs::canonicalize(dir.path()).unwrap().join(name);
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            let found = warnings(&load(dir.path(), None, &[]).unwrap());
            let want = format!("{} belongs to nobody", shown(&path));
            assert!(matches!(&found[..], [one] if one.starts_with(&want)), "{found:?}");
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }
    }
}
