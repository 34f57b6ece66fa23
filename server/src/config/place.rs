//! Where the configuration is.

use super::ConfigError;
use std::fs;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// The server's folder and its file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder: absolute, without symbolic links.
    pub(crate) dir: PathBuf,
    /// The file: absolute, without symbolic links if it exists.
    pub(crate) file: PathBuf,
    /// The file as the administrator would name it.
    pub(crate) shown: PathBuf,
}

impl Place {
    /// The folder `dir` and the file in it, or another one: that is named from the current folder,
    /// as everywhere on a command line.
    pub(crate) fn new(dir: &Path, file: Option<&Path>) -> Result<Place, ConfigError> {
        let folder = |error| ConfigError::Folder { dir: dir.to_owned(), error };
        let real = fs::canonicalize(dir).map_err(folder)?;
        let shown = match file {
            Some(file) => file.to_owned(),
            None => dir.join("etc/users.toml").components().filter(|c| *c != Component::CurDir).collect(),
        };
        let file =
            fs::canonicalize(&shown).map_err(|error| ConfigError::File { file: shown.clone(), error })?;
        Ok(Place { dir: real, file, shown })
    }

    /// The text of the file. It has hashes of passwords in it, and does not stay in memory.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, ConfigError> {
        let text = fs::read_to_string(&self.file).map(Zeroizing::new);
        text.map_err(|error| ConfigError::File { file: self.shown.clone(), error })
    }

    /// What a path in the file means.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }
}

/// The path with its symbolic links resolved, as far as it exists; what does not exist has none.
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
