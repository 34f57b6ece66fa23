//! Errors of the server's own files, with the reason and the command that helps.

use crate::invocation::{self, Role};
use nix::unistd::{Uid, User};
use rustix::io::Errno;
use sshome_store::shown;
use sshome_store_posix::permission::is_shared;
pub(crate) use sshome_store_posix::permission::{
    Access, READ_FOLDER, WRITE_FOLDER, account, check, closed, not_theirs, obstacle, own_group, owner,
    ownership, remember_names,
};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// An error of making a file, with the reason and the remedy if a permission is lacking.
pub(crate) struct CannotCreate<'a>(pub(crate) &'a Path, pub(crate) &'a io::Error);

impl fmt::Display for CannotCreate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CannotCreate(path, error) = self;
        write!(f, "{error}")?;
        let folder = path.ancestors().skip(1).find(|folder| folder.exists());
        let why = match (error.kind(), folder) {
            (io::ErrorKind::PermissionDenied, Some(folder)) => {
                obstacle(folder, WRITE_FOLDER, &account()).map(|why| format!("{}: {why}", shown(folder)))
            }
            _ => None,
        };
        why.map_or(Ok(()), |why| write!(f, "; {why}"))
    }
}

/// An error of reading a file, with owner, mode and remedy if a permission is lacking.
pub(crate) struct CannotRead<'a>(pub(crate) &'a Path, pub(crate) &'a io::Error);

impl fmt::Display for CannotRead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CannotRead(path, error) = self;
        write!(f, "{error}")?;
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Ok(());
        }
        let account = account();
        if let Some(hint) = wrong_account(path) {
            return write!(f, "; {hint}");
        }
        match (obstacle(path, Access::READ_OK, &account), closed(path)) {
            (None, _) => {
                f.write_str("; it is outside the sandbox, which the server set at its start: restart needed")
            }
            (Some(_), None) if owner(path).as_ref() == Some(&account) => {
                write!(f, "; its mode denies its owner, {account}, access: chmod u+r {}", shown(path))
            }
            (Some(_), None) => write!(
                f,
                "; it is {0}, and this process runs as {account}: chown {account}: {1}, or chgrp {account} {1} and \
                 chmod g+r {1}",
                ownership(path),
                shown(path)
            ),
            // The folder is private because of its keys, so no message should suggest opening it to everybody.
            (Some(_), Some(folder)) if holds_only_ours(folder, path) => {
                write!(f, "; {}: {}", shown(folder), not_theirs(folder, &account))
            }
            (Some(why), Some(_)) => write!(f, "; {why}"),
        }
    }
}

/// Whether a folder that cannot be traversed is only for the server's files: it contains the file itself, and is
/// neither a system folder nor its owner's home.
fn holds_only_ours(folder: &Path, file: &Path) -> bool {
    let owner =
        fs::metadata(folder).ok().and_then(|found| User::from_uid(Uid::from_raw(found.uid())).ok().flatten());
    file.parent() == Some(folder) && !is_shared(folder) && owner.is_none_or(|owner| owner.dir != folder)
}

/// The message that this process, which may not use a path, should be started as a different account, with the command.
/// `None` in a server that serves, and if the path belongs to this account.
pub(crate) fn wrong_account(path: &Path) -> Option<String> {
    let path = closed(path).unwrap_or(path);
    let (owner, account) = (owner(path)?, account());
    match invocation::role() {
        _ if owner == account => return None,
        Role::Server => return None,
        // Files of root may be left from a start as root.
        Role::Start if owner == "root" => return None,
        _ => {}
    }
    let or_chown = match invocation::role() == Role::Check && owner == "root" && !is_shared(path) {
        true => format!("; or, if the server is to run as {account}, chown -R {account}: {}", shown(path)),
        false => String::new(),
    };
    let command = invocation::as_account(&owner);
    Some(format!(
        "{} is {}, and this command runs as {account}: run it as {owner}, `{command}`{or_chown}",
        shown(path),
        ownership(path)
    ))
}

/// An error of replacing a file, with the account that can do it.
pub(crate) struct CannotWrite<'a>(pub(crate) &'a Path, pub(crate) &'a io::Error);

impl fmt::Display for CannotWrite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CannotWrite(file, error) = self;
        write!(f, "{error}")?;
        let (whose, account) = (ownership(file), account());
        match Errno::from_io_error(error) {
            Some(Errno::ACCESS) => {
                let folder = file.parent().unwrap_or(Path::new("/"));
                wrong_account(folder).map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            // The new file must have the owner and the group of the old one.
            Some(Errno::PERM) => write!(
                f,
                "; it is {whose}, and {account} cannot keep its owner and group: run the command as root, `{}`",
                invocation::as_account("root")
            ),
            _ => Ok(()),
        }
    }
}
