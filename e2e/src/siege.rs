//! Escape attempts: paths that might lead out of a home, to be tried with every protocol.

use crate::{Host, HostBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The content of a file outside the home.
pub const SECRET: &[u8] = b"what must not be read";

/// A host whose home contains every link that might lead out, and a folder outside with a secret.
///
/// # Panics
/// If they cannot be made.
pub async fn besieged() -> (Host, tempfile::TempDir) {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), SECRET).unwrap();
    std::fs::create_dir(outside.path().join("folder")).unwrap();
    let host = Host::with_user("ann", "").await.unwrap();
    plant(&host.home("ann"), outside.path());
    (host, outside)
}

/// The same for a key that sees the folder `view` of the home. There is a secret beside that, too.
///
/// # Panics
/// If they cannot be made.
pub async fn besieged_view() -> (Host, tempfile::TempDir) {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), SECRET).unwrap();
    std::fs::create_dir(outside.path().join("folder")).unwrap();
    let host = HostBuilder::new().unwrap().restricted_user("ann", "", "folder = \"/view\"").unwrap();
    let mut host = host.prepare().unwrap();
    let home = host.home("ann");
    std::fs::create_dir_all(home.join("view")).unwrap();
    std::fs::write(home.join("secret"), SECRET).unwrap();
    plant(&home.join("view"), outside.path());
    host.start().await.unwrap();
    (host, outside)
}

/// Makes the links in a folder that might lead out.
fn plant(home: &Path, out: &Path) {
    symlink(out, home.join("absolute")).unwrap();
    symlink(out.join("secret"), home.join("absolute-file")).unwrap();
    symlink("../".repeat(30), home.join("up")).unwrap();
    symlink(format!("{}{}", "../".repeat(30), out.display()), home.join("up-file")).unwrap();
    symlink("/proc/self/root", home.join("proc-root")).unwrap();
    symlink("/proc/self/cwd", home.join("proc-cwd")).unwrap();
    symlink("/", home.join("slash")).unwrap();
    symlink("..", home.join("dots")).unwrap();
    symlink("chain-2", home.join("chain-1")).unwrap();
    symlink("chain-3/../..", home.join("chain-2")).unwrap();
    symlink(out, home.join("chain-3")).unwrap();
    symlink("loop-2", home.join("loop-1")).unwrap();
    symlink("loop-1", home.join("loop-2")).unwrap();
    symlink(out.join("new"), home.join("dangling")).unwrap();
    symlink("/.sshome-staging", home.join("to-staging")).unwrap();
    symlink(".sshome-staging", home.join("to-staging-relative")).unwrap();
    std::fs::create_dir(home.join("real")).unwrap();
    symlink("real/../../../..", home.join("through-real")).unwrap();
}

/// Every path that might lead to the secret, to the folder outside, or to a new name there.
#[must_use]
pub fn attacks(outside: &Path) -> Vec<Vec<u8>> {
    let out = outside.as_os_str().as_bytes();
    let mut paths: Vec<Vec<u8>> = Vec::new();
    let ways: Vec<Vec<u8>> = [
        &b"absolute"[..],
        b"absolute-file",
        b"up",
        b"up-file",
        b"slash",
        b"dots",
        b"dots/dots/dots",
        b"chain-1",
        b"chain-2",
        b"chain-3",
        b"loop-1",
        b"dangling",
        b"through-real",
        b"proc-root",
        b"proc-cwd",
        b"/proc/self/root",
        b"/proc/self/fd/3",
        b"..",
        b"../..",
        b"/..",
        b"/../../../../../../../..",
        b"./../real/../..",
        b"real/../../..",
        b"real/./././../../.",
        b"//..//..",
        b"...",
        b"..\\..",
        b"%2e%2e",
        b"~",
        b"~root",
        b"$HOME",
        b"\xff\xfe/..",
        b"\xc0\xae\xc0\xae/\xc0\xae\xc0\xae",
    ]
    .iter()
    .map(|way| way.to_vec())
    .chain([out.to_vec(), ["../".repeat(40).as_bytes(), out].concat()])
    .collect();
    for way in ways {
        for tail in [&b""[..], b"/secret", b"/folder", b"/new", b"/etc/passwd"] {
            paths.push([&way[..], tail].concat());
        }
        paths.push([&way[..], out, b"/secret"].concat());
        paths.push([&way[..], out, b"/new"].concat());
    }
    paths.push(vec![b'a'; 255]);
    paths.push(vec![b'a'; 256]);
    paths.push(vec![b'a'; 4095]);
    paths.push(vec![b'a'; 5000]);
    paths.push(b"a/".repeat(2047));
    paths.push(b"\0".to_vec());
    paths.push(b"absolute\0/secret".to_vec());
    paths.push(b"".to_vec());
    paths
}

/// Checks that the folder outside is unchanged.
///
/// # Panics
/// If it was changed.
pub fn assert_untouched(outside: &Path) {
    let mut names: Vec<_> = std::fs::read_dir(outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder", "secret"]);
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), SECRET);
    assert_eq!(std::fs::read_dir(outside.join("folder")).unwrap().count(), 0);
}

/// Whether a regular file with this content is anywhere below, down to the depth that the attacks reach.
///
/// # Panics
/// If something below cannot be read.
#[must_use]
pub fn finds(top: &Path, content: &[u8]) -> bool {
    finds_within(top, content, 20)
}

fn finds_within(top: &Path, content: &[u8], depth: u32) -> bool {
    depth > 0
        && std::fs::read_dir(top).unwrap().any(|entry| {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            (kind.is_dir() && finds_within(&entry.path(), content, depth - 1))
                || (kind.is_file() && std::fs::read(entry.path()).unwrap() == content)
        })
}

/// The path with one folder replaced by another.
#[must_use]
pub fn replaced(path: &[u8], from: &Path, to: &Path) -> Vec<u8> {
    let (from, to) = (from.as_os_str().as_bytes(), to.as_os_str().as_bytes());
    match path.windows(from.len()).position(|window| window == from) {
        Some(at) => [&path[..at], to, &path[at + from.len()..]].concat(),
        None => path.to_vec(),
    }
}

/// Paths into the staging folder of the home.
pub const STAGING: [&str; 10] = [
    ".sshome-staging",
    "/.sshome-staging",
    "./real/../.sshome-staging/",
    ".sshome-staging/x",
    "real/.sshome-staging",
    "slash/.sshome-staging",
    "slash/slash/.sshome-staging/x",
    "to-staging/x",
    "to-staging-relative/x",
    "slash/to-staging/x",
];
