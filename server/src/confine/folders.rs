//! The folders that the server writes to.

use super::ConfineError;
use super::account::SystemAccount;
use crate::accounts::{Access as UserAccess, Account as User, OwnKeys};
use crate::config::{Config, shown};
use crate::permission::{Access, READ_FOLDER, WRITE_FOLDER, check, closed, not_theirs, obstacle};
use nix::libc::{O_DIRECTORY, O_NOFOLLOW};
use rustix::process::geteuid;
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// Creates missing folders, accessible to the account only. Existing folders are not changed.
pub(super) fn make(config: &Config, owner: Option<&SystemAccount>) -> Result<(), ConfineError> {
    for folder in all(config) {
        match make_one(&folder, owner) {
            // It may never be needed, for example keys/authorized. If it is, its user reports the problem.
            Err(_) if owner.is_none() => {}
            made => made.map_err(|error| ConfineError::Folder { folder, error })?,
        }
    }
    Ok(())
}

/// The server's files that this process, running as `account`, cannot use: one line each, with the remedy. A home affects
/// only its user and is checked when it is opened, but if there are other problems, it is listed too.
pub(super) fn complaints(config: &Config, account: &str, host_keys: bool) -> Vec<String> {
    let own_keys = OwnKeys::of(&config.dir).folder().to_owned();
    let users = || config.accounts.iter().filter(|user| user.enabled);
    let mut wanted = Vec::new();
    if users().any(|user| user.make_root) {
        let is_missing = |user: &User| user.make_root && !user.root.exists();
        let access = if users().any(|user| is_missing(user)) { WRITE_FOLDER } else { Access::EXEC_OK };
        wanted.push((config.homes.clone(), access));
    }
    // Installing keys may fail, but installed keys must be readable.
    if own_keys.exists() {
        wanted.push((own_keys, READ_FOLDER));
    }
    let files = || config.control_socket.iter().chain(&config.log.file);
    wanted.extend(files().filter_map(|file| Some((file.parent()?.to_owned(), WRITE_FOLDER))));
    wanted.extend(config.log.file.iter().map(|file| (file.clone(), Access::WRITE_OK)));
    if host_keys {
        wanted.extend(config.host_keys.iter().map(|key| (key.clone(), Access::READ_OK)));
    }
    let complain = |(path, access): &(PathBuf, Access)| complaint(config, path, *access, account);
    let mut complaints: Vec<String> = wanted.iter().filter_map(complain).collect();
    // The account must own the folder of the socket: its owner can replace the socket.
    let socket = config.control_socket.as_deref().and_then(Path::parent);
    let foreign = |folder: &&Path| fs::metadata(folder).is_ok_and(|found| found.uid() != geteuid().as_raw());
    if let (Some(folder), true) = (socket.filter(foreign), complaints.is_empty()) {
        complaints.push(line(folder, &not_theirs(folder, account)));
    }
    if !complaints.is_empty() {
        let root = |user: &User| {
            let access = if user.access == UserAccess::ReadWrite { WRITE_FOLDER } else { READ_FOLDER };
            user.root.exists().then(|| complaint(config, &user.root, access, account)).flatten()
        };
        complaints.extend(complaint(config, &config.homes, WRITE_FOLDER, account));
        complaints.extend(users().filter_map(|user| root(user)));
    }
    let mut seen = HashSet::new();
    complaints.retain(|complaint| seen.insert(complaint.clone()));
    complaints
}

/// All folders that the server writes to, except homes with an explicit root.
fn all(config: &Config) -> Vec<PathBuf> {
    let files = config.control_socket.iter().chain(&config.log.file);
    let folders = files.filter_map(|file| file.parent()).map(Path::to_owned);
    [config.homes.clone(), OwnKeys::of(&config.dir).folder().to_owned()].into_iter().chain(folders).collect()
}

fn make_one(folder: &Path, owner: Option<&SystemAccount>) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    // Directories in between belong to root, and the account passes through them.
    let between = if owner.is_some() { 0o755 } else { 0o700 };
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(between).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    if let Some(owner) = owner {
        // By its handle, not its name: the owner of the parent could put a link there.
        let made = File::options().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(folder)?;
        fchown(made, Some(owner.uid().as_raw()), Some(owner.gid().as_raw()))?;
    }
    Ok(())
}

/// The obstacle for the account, with the remedy. `None` if there is none.
fn complaint(config: &Config, path: &Path, access: Access, account: &str) -> Option<String> {
    match check(path, access) {
        Ok(()) => None,
        // It is created when it is needed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.ancestors().skip(1).find(|folder| folder.exists())?;
            obstacle(above, WRITE_FOLDER, account).map(|why| line(above, &why))
        }
        Err(_) => {
            match closed(path).filter(|folder| *folder != config.dir && folder.starts_with(&config.dir)) {
                // A folder of the server must belong to the account, and must not be opened for everybody.
                Some(folder) => Some(line(folder, &not_theirs(folder, account))),
                None => obstacle(path, access, account).map(|why| line(path, &why)),
            }
        }
    }
}

fn line(path: &Path, why: &str) -> String {
    format!("  {}: {why}", shown(path))
}
