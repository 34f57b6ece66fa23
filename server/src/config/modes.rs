//! Who else on this machine can read or change the settings.
//!
//! Whoever changes users.toml logs in as every user, so what others can write to is refused, as OpenSSH does with
//! its own files. A file that others can only read is used, with a warning: it holds hashes, not passwords. So is
//! one that a group can write to: the group may be that of the administrators.

use super::{Config, ConfigLocation, Diagnostic, shown};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
const GROUP_WRITE: u32 = 0o020;
/// In a folder with this bit, only a file's owner can put another one in its place.
const STICKY: u32 = 0o1000;

/// The mistake that everybody on this machine can change the settings, if they can.
pub(super) fn mistake(location: &ConfigLocation) -> Option<Diagnostic> {
    let others_write =
        |path: &Path| mode(path).is_some_and(|mode| mode & (OTHERS_WRITE | STICKY) == OTHERS_WRITE);
    let folder = location.file.parent().filter(|folder| others_write(folder));
    let file =
        mode(&location.file).is_some_and(|mode| mode & OTHERS_WRITE != 0).then_some(location.file.as_path());
    let path = shown(file.or(folder)?);
    let message = format!(
        "everybody on this machine can write to {path}, and so log in as every user: chmod o-w {path}"
    );
    Some(Diagnostic { line: None, key: String::new(), message })
}

/// What others can do with the settings that may not be meant. Each is a sentence.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
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
            "the group of {file} can write to it, and so log in as every user: chmod g-w {file}, unless it is meant."
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

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// What comes of a configuration in a file and a folder of these modes.
    fn loaded(file_mode: u32, folder_mode: u32) -> Result<Config, ConfigError> {
        let dir = TempDir::new().unwrap();
        let (folder, file) = (dir.path().join("etc"), dir.path().join("etc/users.toml"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, format!("[users.ann]\npassword = \"{HASH}\"\n")).unwrap();
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
    fn settings_that_others_can_read_are_used_with_a_warning() {
        for (file, folder) in
            [(0o600, 0o700), (0o644, 0o755), (0o640, 0o750), (0o660, 0o770), (0o600, 0o1777)]
        {
            loaded(file, folder).unwrap();
        }
    }
}
