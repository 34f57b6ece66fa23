//! The files that an `Include` names.

use crate::names::bytes;
use sshome_ssh::Glob;
use std::path::{Component, Path, PathBuf};

/// The existing files that a path with `*`, `?` and `[a-z]` matches, sorted.
pub(super) fn matching_files(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = bytes(component.as_os_str());
        let is_glob =
            matches!(component, Component::Normal(_)) && name.iter().any(|byte| b"*?[".contains(byte));
        found = match is_glob {
            true => found.iter().flat_map(|folder| matching_names(folder, &name)).collect(),
            false => found.into_iter().map(|path| path.join(component)).collect(),
        };
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

/// The entries of a folder that match a glob. As in a shell, `*` matches no name that begins with a dot.
fn matching_names(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let glob = Glob::shell(&pattern.iter().map(|byte| (*byte, false)).collect::<Vec<_>>());
    let hidden_too = pattern.starts_with(b".");
    // A folder that is missing, or cannot be read, has no matching files.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name()).filter(|name| {
        let name = bytes(name);
        glob.matches(&name) && (hidden_too || !name.starts_with(b"."))
    });
    names.map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_in_each_component() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["conf.d/b.conf", "conf.d/a.conf", "conf.d/.hidden.conf", "conf.e/c.conf", "conf.d/x"] {
            let file = dir.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = matching_files(&dir.path().join(pattern));
            found
                .iter()
                .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("conf.d/*.conf"), ["conf.d/a.conf", "conf.d/b.conf"]);
        assert_eq!(names("conf.?/[bc].conf"), ["conf.d/b.conf", "conf.e/c.conf"]);
        assert_eq!(names("conf.d/.h*"), ["conf.d/.hidden.conf"]);
        assert_eq!(names("conf.d/x"), ["conf.d/x"]);
        assert!(names("missing/*").is_empty() && names("conf.d").is_empty());
    }
}
