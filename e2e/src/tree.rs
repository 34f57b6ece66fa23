//! Trees of files for transfers, and their comparison.

use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Names that programs have had problems with.
pub const ODD_NAMES: [&[u8]; 20] = [
    b"with space",
    b" leading and trailing ",
    b"new\nline",
    b"tab\there",
    b"\xff\xfe not text",
    b"-dash",
    b"--",
    b"-r",
    b"~",
    b"#hash",
    b"*star?[x]",
    b"back\\slash",
    b"quote'\"",
    b"$(touch x)`y`",
    b"a;b&c|d",
    b"\x1b[31mred\x07",
    "gr\u{fc}n \u{65e5}\u{672c}".as_bytes(),
    b".hidden",
    b"...",
    &[b'n'; 255],
];

/// Pseudorandom bytes of this length; the same for the same seed.
#[must_use]
pub fn noise(length: usize, seed: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(seed.as_ref()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Makes a tree of some hundred files: odd names, empty files, empty and deep folders.
///
/// # Errors
/// If it cannot be written.
pub fn plant(top: &Path) -> Result<()> {
    for folder in 0..15 {
        let folder = top.join(format!("folder {folder}"));
        fs::create_dir_all(&folder)?;
        for file in 0..20_usize {
            let name = format!("file-{file}");
            fs::write(folder.join(&name), noise(file * 97, &name))?;
        }
    }
    let odd = top.join("odd");
    fs::create_dir(&odd)?;
    for name in ODD_NAMES {
        fs::write(odd.join(OsStr::from_bytes(name)), name)?;
    }
    let deep = top.join(PathBuf::from_iter(["deep"; 40]));
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("bottom"), b"far down")?;
    fs::write(top.join("empty"), b"")?;
    fs::write(top.join("large"), noise(5_000_000, "large"))?;
    fs::create_dir(top.join("empty folder"))?;
    fs::create_dir(top.join(OsStr::from_bytes(b"folder \xff\n")))?;
    fs::write(top.join(OsStr::from_bytes(b"folder \xff\n/\xfe")), b"not text")?;
    Ok(())
}

/// The digests of all files of a tree by their relative paths; folders have none. Other types are skipped, and so is
/// the server's staging folder.
///
/// # Errors
/// If it cannot be read.
pub fn contents(top: &Path) -> Result<BTreeMap<PathBuf, Option<blake3::Hash>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let kind = path.symlink_metadata()?;
            let name = path.strip_prefix(top)?.to_owned();
            if name == Path::new(".sshome-staging") {
                continue;
            } else if kind.is_dir() {
                found.insert(name, None);
                folders.push(path);
            } else if kind.is_file() {
                found.insert(name, Some(blake3::hash(&fs::read(path)?)));
            }
        }
    }
    Ok(found)
}

/// The real usage: the bytes of files, each counted once, and the entries, without the staging folder.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn on_disk(home: &Path) -> (u64, u64) {
    let mut seen = std::collections::HashSet::new();
    let mut folders = vec![home.to_owned()];
    let (mut bytes, mut entries) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == ".sshome-staging" {
                continue;
            }
            let meta = entry.path().symlink_metadata().unwrap();
            entries += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            } else if seen.insert(meta.ino()) {
                bytes += meta.len();
            }
        }
    }
    (bytes, entries)
}

/// The paths of all entries of a tree.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn paths(top: &Path) -> Vec<String> {
    let (mut found, mut pending) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(top.join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            found.push(path.to_str().unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                pending.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A line for each entry of a tree, with its kind, its time and its content.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn described(top: &Path) -> Vec<String> {
    let describe = |name: &String| {
        let path = top.join(name);
        let seen = fs::symlink_metadata(&path).unwrap();
        let time = (seen.mtime(), seen.mtime_nsec());
        match seen.file_type() {
            kind if kind.is_dir() => format!("{name}/ {time:?}"),
            kind if kind.is_symlink() => format!("{name} -> {}", fs::read_link(&path).unwrap().display()),
            _ => format!("{name} {time:?} {:?}", fs::read(&path).unwrap()),
        }
    };
    paths(top).iter().map(describe).collect()
}

/// Sets a file's time to some hours ago.
///
/// # Panics
/// If that is not possible.
pub fn age(path: &Path, hours: u64) {
    let time = SystemTime::now() - Duration::from_secs(3600 * hours);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// The names in a folder, sorted.
///
/// # Errors
/// If it cannot be read.
pub fn names(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().into_vec());
    }
    names.sort();
    Ok(names)
}

/// A path's permission bits.
///
/// # Errors
/// If it does not exist.
pub fn mode(path: impl AsRef<Path>) -> Result<u32> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o7777)
}

/// Sets a path's permission bits.
///
/// # Errors
/// If that is not allowed.
pub fn set_mode(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
