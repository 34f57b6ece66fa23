//! The folders that the server writes to.

use super::ConfineError;
use super::account::SystemAccount;
use crate::accounts::{Access as UserAccess, Account as User, OwnKeys};
use crate::config::{Config, shown};
use crate::permission::{READ, WRITE, closed, not_theirs, obstacle};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

/// Makes the folders that are missing, as the server would when it needs them: for the owner alone, or for
/// this process where there is no other. What is there already stays as it is.
pub(super) fn make(config: &Config, owner: Option<&SystemAccount>) -> Result<(), ConfineError> {
    for folder in all(config) {
        match make_one(&folder, owner) {
            // Perhaps it is never needed, as keys/authorized where nobody may install keys; and whoever needs it
            // tells why it is not there.
            Err(_) if owner.is_none() => {}
            made => made.map_err(|error| ConfineError::Folder { folder, error })?,
        }
    }
    Ok(())
}

/// What of the server's own files this process cannot use, which runs as `account`: a line each, with the command
/// that mends it. A home concerns its user alone, and is looked at when it is opened; but if something is to be
/// mended, all of it is named.
pub(super) fn complaints(config: &Config, account: &str, host_keys: bool) -> Vec<String> {
    let own_keys = OwnKeys::of(&config.dir).folder().to_owned();
    let users = || config.accounts.iter().filter(|user| user.enabled);
    let mut wanted = Vec::new();
    if users().any(|user| user.make_root) {
        let is_missing = |user: &User| user.make_root && !user.root.exists();
        let access = if users().any(|user| is_missing(user)) { WRITE } else { Access::EXEC_OK };
        wanted.push((config.homes.clone(), access));
    }
    // Who cannot install a key is told so; but those that are installed have to be read.
    if own_keys.exists() {
        wanted.push((own_keys, READ));
    }
    let files = || config.control_socket.iter().chain(&config.log.file);
    wanted.extend(files().filter_map(|file| Some((file.parent()?.to_owned(), WRITE))));
    wanted.extend(config.log.file.iter().map(|file| (file.clone(), Access::WRITE_OK)));
    if host_keys {
        wanted.extend(config.host_keys.iter().map(|key| (key.clone(), Access::READ_OK)));
    }
    let complain = |(path, access): &(PathBuf, Access)| complaint(config, path, *access, account);
    let mut complaints: Vec<String> = wanted.iter().filter_map(complain).collect();
    // The socket's folder has to be the account's own: who owns it can put something else there.
    let socket = config.control_socket.as_deref().and_then(Path::parent);
    let foreign = |folder: &&Path| fs::metadata(folder).is_ok_and(|found| found.uid() != geteuid().as_raw());
    if let (Some(folder), true) = (socket.filter(foreign), complaints.is_empty()) {
        complaints.push(line(folder, &not_theirs(folder, account)));
    }
    if !complaints.is_empty() {
        let root = |user: &User| {
            let access = if user.access == UserAccess::ReadWrite { WRITE } else { READ };
            user.root.exists().then(|| complaint(config, &user.root, access, account)).flatten()
        };
        complaints.extend(complaint(config, &config.homes, WRITE, account));
        complaints.extend(users().filter_map(|user| root(user)));
    }
    let mut seen = HashSet::new();
    complaints.retain(|complaint| seen.insert(complaint.clone()));
    complaints
}

/// All that the server writes to, but for homes that lie elsewhere.
fn all(config: &Config) -> Vec<PathBuf> {
    let files = config.control_socket.iter().chain(&config.log.file);
    let folders = files.filter_map(|file| file.parent()).map(Path::to_owned);
    [config.homes.clone(), OwnKeys::of(&config.dir).folder().to_owned()].into_iter().chain(folders).collect()
}

fn make_one(folder: &Path, owner: Option<&SystemAccount>) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    // What lies between is root's, and the account passes through.
    let between = if owner.is_some() { 0o755 } else { 0o700 };
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(between).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    if let Some(owner) = owner {
        // Not by its name: the folder around it may be somebody's who puts a link there.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::open(folder, flags, Mode::empty())?;
        fchown(made, Some(owner.uid().as_raw()), Some(owner.gid().as_raw()))?;
    }
    Ok(())
}

/// What is in the way of the account, and the command that mends it; none if nothing is.
fn complaint(config: &Config, path: &Path, access: Access, account: &str) -> Option<String> {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        Ok(()) => None,
        // It is made when it is needed.
        Err(Errno::NOENT) => {
            let above = path.ancestors().skip(1).find(|folder| folder.exists())?;
            obstacle(above, WRITE, account).map(|why| line(above, &why))
        }
        Err(_) => {
            match closed(path).filter(|folder| *folder != config.dir && folder.starts_with(&config.dir)) {
                // A folder of the server's own is to be the account's, not to be opened for everybody.
                Some(folder) => Some(line(folder, &not_theirs(folder, account))),
                None => obstacle(path, access, account).map(|why| line(path, &why)),
            }
        }
    }
}

fn line(path: &Path, why: &str) -> String {
    format!("  {}: {why}", shown(path))
}
