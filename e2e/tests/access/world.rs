//! A home with files that an operation of a restricted key must not change, and the result of an operation.

use sshome_e2e::{Host, HostBuilder};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// The accesses, in the order of the columns of the tables.
pub const ACCESSES: [&str; 4] = ["read-write", "read-only", "append-only", "upload-only"];

/// The result of an operation, with its letter in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// `y`: it was done.
    Done,
    /// `d`: the key may not do this at all.
    Denied,
    /// `p`: the key may not change what exists.
    Protected,
    /// `x`: it would fail for everybody.
    Failed,
}

impl Became {
    /// The result that an error's text means.
    pub fn refused(text: &str) -> Became {
        let denied = ["this key is read-only", "this key may only upload", "only a login with full access"];
        match text {
            text if text.contains("this key may not change what exists") => Became::Protected,
            text if denied.iter().any(|words| text.contains(words)) => Became::Denied,
            _ => Became::Failed,
        }
    }

    fn letter(self) -> char {
        match self {
            Became::Done => 'y',
            Became::Denied => 'd',
            Became::Protected => 'p',
            Became::Failed => 'x',
        }
    }
}

/// A host whose key has this access to ann's home.
pub async fn host(access: &str, settings: &str) -> Host {
    let limits = format!("access = \"{access}\"");
    HostBuilder::new().unwrap().restricted_user("ann", settings, &limits).unwrap().start().await.unwrap()
}

/// A folder in the home for one operation, and its original entries.
pub struct Scene {
    name: String,
    top: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Scene {
    /// Creates `old`, `dir/f`, the empty folder `empty` and the link `link` in a new folder.
    pub fn plant(host: &Host, number: usize) -> Scene {
        let name = format!("scene{number}");
        let top = host.home("ann").join(&name);
        fs::create_dir_all(top.join("dir")).unwrap();
        fs::create_dir(top.join("empty")).unwrap();
        fs::write(top.join("old"), "old").unwrap();
        fs::write(top.join("dir/f"), "f").unwrap();
        symlink("old", top.join("link")).unwrap();
        let before = entries(&top);
        Scene { name, top, before }
    }

    /// The path of a name in it.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// Compares the result of an operation with the table's letter for this access. The folder's entries are unchanged
    /// unless the operation was done.
    pub fn check(&self, operation: &str, access: usize, became: Became, letters: &str) {
        let want = letters.chars().nth(access).unwrap();
        assert_eq!(became.letter(), want, "{operation} with {}", ACCESSES[access]);
        if became != Became::Done {
            assert_eq!(entries(&self.top), self.before, "{operation} with {}", ACCESSES[access]);
        }
        if ACCESSES[access] != "read-write" {
            let now = entries(&self.top);
            // New names change only the time of their folder.
            let kept = self.before.iter().filter(|(path, _)| !path.is_dir());
            let changed: Vec<_> = kept.filter(|(path, text)| now.get(*path) != Some(text)).collect();
            assert!(changed.is_empty(), "{operation} with {}: {changed:?}", ACCESSES[access]);
        }
    }
}

/// Everything below a folder with its attributes.
fn entries(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(top).unwrap() {
        let path = entry.unwrap().path();
        let info = fs::symlink_metadata(&path).unwrap();
        let content = match info.is_file() {
            true => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
            false => fs::read_link(&path).map(|target| target.display().to_string()).unwrap_or_default(),
        };
        if info.is_dir() {
            found.extend(entries(&path));
        }
        found.insert(path, format!("{:o} {} {} {content}", info.mode(), info.mtime(), info.nlink()));
    }
    found
}
