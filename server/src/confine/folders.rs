//! The folders that the server writes to.

use super::ConfineError;
use super::account::Account;
use crate::accounts::{Access as UserAccess, OwnKeys};
use crate::config::{Config, shown};
use nix::unistd::User;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;
use sshome_wire::display::Escaped;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

/// Makes the folders that are missing, as the server would when it needs them: for the owner alone, or for
/// this process where there is no other. What is there already stays as it is.
pub(super) fn make(config: &Config, owner: Option<&Account>) -> Result<(), ConfineError> {
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

/// Looks, as the account, whether it can use what the server writes to.
pub(super) fn check(config: &Config, account: &str) -> Result<(), ConfineError> {
    let write = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let mut wanted: Vec<(PathBuf, Access)> = all(config).into_iter().map(|folder| (folder, write)).collect();
    wanted.extend(config.log.file.iter().map(|file| (file.clone(), Access::WRITE_OK)));
    for user in config.accounts.iter().filter(|user| user.enabled) {
        let access = match user.access {
            UserAccess::ReadWrite => write,
            UserAccess::ReadOnly => Access::READ_OK | Access::EXEC_OK,
        };
        wanted.push((user.root.clone(), access));
    }
    let mut complaints: Vec<String> =
        wanted.iter().filter_map(|(path, access)| complaint(path, *access, account)).collect();
    // The socket's folder has to be the account's own: who owns it can put something else there.
    let socket = config.control_socket.as_deref().and_then(Path::parent);
    let foreign = |folder: &&Path| fs::metadata(folder).is_ok_and(|found| found.uid() != geteuid().as_raw());
    if let (Some(folder), true) = (socket.filter(foreign), complaints.is_empty()) {
        complaints.push(not_theirs(folder, account));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(ConfineError::NotTheirs { account: account.to_owned(), complaints })
}

/// All that the server writes to, but for homes that lie elsewhere.
fn all(config: &Config) -> Vec<PathBuf> {
    let files = config.control_socket.iter().chain(&config.log.file);
    let folders = files.filter_map(|file| file.parent()).map(Path::to_owned);
    [config.homes.clone(), OwnKeys::of(&config.dir).folder().to_owned()].into_iter().chain(folders).collect()
}

fn make_one(folder: &Path, owner: Option<&Account>) -> io::Result<()> {
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
fn complaint(path: &Path, access: Access, account: &str) -> Option<String> {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        // What is missing is made when it is needed, in a folder that is looked at as well.
        Ok(()) | Err(Errno::NOENT) => None,
        Err(Errno::ACCESS) => Some(match closed(path) {
            Some(folder) => format!("  {}: nobody else may pass through: chmod o+x {0}", shown(folder)),
            None => not_theirs(path, account),
        }),
        Err(error) => Some(format!("  {}: {error}", shown(path))),
    }
}

/// The outermost folder on the way that this process may not pass through.
fn closed(path: &Path) -> Option<&Path> {
    let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
    way.reverse();
    way.into_iter().find(|folder| accessat(CWD, *folder, Access::EXEC_OK, AtFlags::EACCESS).is_err())
}

fn not_theirs(path: &Path, account: &str) -> String {
    let owner = fs::metadata(path).ok().map(|found| found.uid());
    let name = owner.and_then(|uid| User::from_uid(uid.into()).ok().flatten()).map(|user| user.name);
    let owner = name.or(owner.map(|uid| uid.to_string())).unwrap_or_else(|| "somebody else".to_owned());
    let (owner, account) = (Escaped(owner.as_bytes()), Escaped(account.as_bytes()));
    format!("  {}: belongs to {owner}: chown -R {account}: {0}", shown(path))
}
