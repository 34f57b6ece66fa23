//! Why this process may not use a file, whose it is, and the command that changes that.

use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;
use sshome_wire::display::Escaped;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use crate::display::shown;
use crate::invocation::{self, Role};

/// For a directory that files are made in.
pub(crate) const WRITE: Access = Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK);

/// For a directory that is listed and passed through.
pub(crate) const READ: Access = Access::READ_OK.union(Access::EXEC_OK);

/// The name of the account that this process runs as; its number if it has no name. To be asked first once it is
/// the account that it stays, and before Landlock: then the names of accounts cannot be looked up any more.
pub(crate) fn account() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| look_up_user(geteuid().as_raw())).clone()
}

/// The name of the account that a file belongs to; `None` if the file cannot be looked at.
pub(crate) fn owner(path: &Path) -> Option<String> {
    Some(name_of_user(fs::metadata(path).ok()?.uid()))
}

/// Owner, group and mode of a file: `root:root, mode 0700`. Empty if it cannot be looked at.
pub(crate) fn ownership(path: &Path) -> String {
    let Ok(found) = fs::metadata(path) else { return String::new() };
    let (user, group) = (name_of_user(found.uid()), name_of_group(found.gid()));
    format!("{user}:{group}, mode {:04o}", found.mode() & 0o7777)
}

/// Names cannot be looked up once the server is confined; those of root and of its own account are known all the same.
fn name_of_user(uid: u32) -> String {
    if uid == geteuid().as_raw() { account() } else { look_up_user(uid) }
}

fn look_up_user(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| Escaped(user.name.as_bytes()).to_string())
}

/// Names cannot be looked up once the server is confined; that of 0 is known all the same.
fn name_of_group(gid: u32) -> String {
    if gid == 0 {
        return "root".to_owned();
    }
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| Escaped(group.name.as_bytes()).to_string())
}

/// What keeps this process, which runs as `account`, from that use of a path, with the command that
/// changes it. `None` if nothing does, or if the path does not exist.
pub(crate) fn obstacle(path: &Path, access: Access, account: &str) -> Option<String> {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(Errno::ACCESS) => Some(match closed(path) {
            Some(folder) => format!(
                "{account} may not pass through {0} ({1}): chmod o+x {0}",
                shown(folder),
                ownership(folder)
            ),
            None => not_theirs(path, account),
        }),
        Err(Errno::ROFS) => Some("the filesystem is mounted read-only".to_owned()),
        Err(error) => Some(io::Error::from(error).to_string()),
    }
}

/// Whose a path is that should be the account's, and the command that makes it so.
pub(crate) fn not_theirs(path: &Path, account: &str) -> String {
    let owner = owner(path).unwrap_or_else(|| "somebody else".to_owned());
    if owner == account {
        return format!("its mode denies its owner, {account}, access: chmod -R u+rwX {}", shown(path));
    }
    if is_shared(path) {
        return format!(
            "belongs to {owner}, and other programs use it: name a folder of the server's own, as one that \
             `install -d -o {account} {}` makes",
            shown(&path.join("sshome"))
        );
    }
    format!("belongs to {owner}: chown -R {account}: {}", shown(path))
}

/// Whether a path is one of the machine's own folders, as `/etc`, `/run` and `/var/log`: nobody should be told to
/// give such a folder away.
fn is_shared(path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else { return false };
    let mut names = path.components().skip(1).map(std::path::Component::as_os_str);
    match (names.next(), names.next(), names.next()) {
        (_, None, None) => true,
        (Some(first), Some(_), None) => first == "var" || first == "usr" || first == "run",
        _ => false,
    }
}

/// An error of the kernel's about a path, with the reason and the remedy if a permission is lacking.
pub(crate) fn explained(path: &Path, access: Access, error: Errno) -> String {
    let plain = io::Error::from(error);
    match error {
        // access(2) asks for owner and mode alone: what they allow, Landlock refused.
        Errno::ACCESS => match obstacle(path, access, &account()) {
            Some(why) => format!("{plain}: {why}"),
            None => format!(
                "{plain}: it lies outside of what the server confined itself to at its start: restart needed"
            ),
        },
        Errno::ROFS => format!("{plain}: mount it read-write, or set access = \"read-only\" for the user"),
        _ => plain.to_string(),
    }
}

/// The outermost directory on the way that this process may not pass through.
pub(crate) fn closed(path: &Path) -> Option<&Path> {
    let mut way: Vec<&Path> = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    way.reverse();
    way.into_iter().find(|folder| accessat(CWD, *folder, Access::EXEC_OK, AtFlags::EACCESS).is_err())
}

/// An error of making a file, with the reason and the remedy if a permission is lacking.
pub(crate) struct CannotCreate<'a>(pub(crate) &'a Path, pub(crate) &'a io::Error);

impl fmt::Display for CannotCreate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CannotCreate(path, error) = self;
        write!(f, "{error}")?;
        let folder = path.ancestors().skip(1).find(|folder| folder.exists());
        let why = match (error.kind(), folder) {
            (io::ErrorKind::PermissionDenied, Some(folder)) => {
                obstacle(folder, WRITE, &account()).map(|why| format!("{}: {why}", shown(folder)))
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
            (None, _) => f.write_str(
                "; it lies outside of what the server confined itself to at its start: restart needed",
            ),
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
            // It is private for its keys' sake: nobody should be told to open it to everybody.
            (Some(_), Some(folder)) if holds_only_ours(folder, path) => {
                write!(f, "; {}: {}", shown(folder), not_theirs(folder, &account))
            }
            (Some(why), Some(_)) => write!(f, "; {why}"),
        }
    }
}

/// Whether a folder that cannot be passed through is there for the server's files alone: it holds the file itself,
/// and is neither the machine's nor its owner's home.
fn holds_only_ours(folder: &Path, file: &Path) -> bool {
    let owner =
        fs::metadata(folder).ok().and_then(|found| User::from_uid(Uid::from_raw(found.uid())).ok().flatten());
    file.parent() == Some(folder) && !is_shared(folder) && owner.is_none_or(|owner| owner.dir != folder)
}

/// That another account should give the command that this process is, which may not use a path; with the command.
/// `None` in a server that serves, and if the path belongs to this account.
pub(crate) fn wrong_account(path: &Path) -> Option<String> {
    let path = closed(path).unwrap_or(path);
    let (owner, account) = (owner(path)?, account());
    match invocation::role() {
        _ if owner == account => return None,
        Role::Server => return None,
        // What root owns may be what a start as root has left.
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
            // What replaces the file is to have its owner and its group.
            Some(Errno::PERM) => write!(
                f,
                "; it is {whose}, and {account} cannot keep its owner and group: run the command as root, `{}`",
                invocation::as_account("root")
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_give_the_machines_folders_away() {
        for path in ["/", "/etc", "/run", "/srv", "/var/log", "/usr/local/"] {
            assert!(is_shared(Path::new(path)), "{path}");
        }
        for path in ["/srv/sshome", "/home/ann", "/var/lib/sshome", "/etc/sshome", "home/ann"] {
            assert!(!is_shared(Path::new(path)), "{path}");
        }
        let said = not_theirs(Path::new("/etc"), "sshome");
        assert!(!said.contains("chown") && said.contains("install -d -o sshome /etc/sshome"), "{said}");
    }
}
