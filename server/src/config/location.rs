//! The location of the settings file.

use super::diagnostics::ConfigError;
use super::encoding;
use crate::regular_file;
use sshome_store::shown;
use std::fs;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// The server's folder and the settings file.
#[derive(Clone, Debug)]
pub(crate) struct ConfigLocation {
    /// The folder: absolute, without symbolic links.
    pub(crate) dir: PathBuf,
    /// The file: absolute, without symbolic links if it exists.
    pub(crate) file: PathBuf,
    /// The file as the administrator would name it.
    pub(crate) shown: PathBuf,
}

impl ConfigLocation {
    /// The folder `dir`, and `file` or the default file in the folder. A relative `file` starts at the current folder.
    pub(crate) fn new(dir: &Path, file: Option<&Path>) -> Result<ConfigLocation, ConfigError> {
        let folder = |error| ConfigError::Folder { dir: dir.to_owned(), error };
        let real = fs::canonicalize(dir).map_err(folder)?;
        let shown = match file {
            Some(file) => file.to_owned(),
            None => dir.join("etc/users.toml").components().filter(|c| *c != Component::CurDir).collect(),
        };
        let file =
            fs::canonicalize(&shown).map_err(|error| ConfigError::File { file: shown.clone(), error })?;
        Ok(ConfigLocation { dir: real, file, shown })
    }

    /// The text of the file. It contains password hashes, so it is erased from memory when it is dropped.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, ConfigError> {
        let bytes = regular_file::read(&self.file);
        let mut bytes = bytes
            .map(Zeroizing::new)
            .map_err(|error| ConfigError::File { file: self.shown.clone(), error })?;
        if let Some(why) = encoding::problem(&bytes, &shown(&self.shown).to_string()) {
            return Err(ConfigError::Encoding { file: self.shown.clone(), why });
        }
        // No copy remains: the text takes over the bytes.
        Ok(Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default()))
    }

    /// Resolves a path in the file.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }
}

/// The largest number of symbolic links on the way to a file, as in the kernel.
const MAX_LINKS: usize = 40;

/// The directories whose entries decide where a path leads: that of the file, and those of symbolic links on the way.
pub(super) fn deciding_folders(file: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let parts = |path: &Path| path.components().map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
    let (mut ahead, mut at) = (parts(&absolute), PathBuf::new());
    ahead.reverse();
    let (mut folders, mut links) = (Vec::new(), 0);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        match fs::read_link(at.join(&name)) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if !folders.contains(&at) {
                    folders.push(at.clone());
                }
                ahead.extend(parts(&target).into_iter().rev());
            }
            // An absolute target replaces the path before it.
            _ => at.push(name),
        }
    }
    folders.extend(at.parent().map(Path::to_owned).filter(|own| !folders.contains(own)));
    folders
}

/// The path with symbolic links resolved as far as it exists.
pub(super) fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        let Ok(mut real) = fs::canonicalize(ancestor) else { continue };
        for component in path.strip_prefix(ancestor).unwrap_or(Path::new("")).components() {
            match component {
                Component::ParentDir => _ = real.pop(),
                component => real.push(component),
            }
        }
        return real;
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_on_the_way_to_a_file_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(top.join("releases/42/etc")).unwrap();
        fs::create_dir_all(top.join("data/one")).unwrap();
        fs::write(top.join("data/one/users.toml"), "").unwrap();
        assert_eq!(deciding_folders(&top.join("data/one/users.toml")), [top.join("data/one")]);
        symlink("releases/42/etc", top.join("etc")).unwrap();
        symlink("../../../data/..data/users.toml", top.join("releases/42/etc/users.toml")).unwrap();
        symlink(top.join("data/one"), top.join("data/..data")).unwrap();
        let folders = ["", "releases/42/etc", "data", "data/one"].map(|name| match name {
            "" => top.clone(),
            name => top.join(name),
        });
        assert_eq!(deciding_folders(&top.join("etc/users.toml")), folders);
        symlink("loop", top.join("loop")).unwrap();
        assert!(!deciding_folders(&top.join("loop")).is_empty());
    }
}
