//! Why this process may not use a file, who owns the file, and the command that changes that.

use nix::unistd::{Gid, Group, Uid, User};
pub use rustix::fs::Access;
use rustix::fs::{AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;
use sshome_wire::display::Escaped;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use sshome_store::shown;

/// The access that creating files in a directory needs.
pub const WRITE_FOLDER: Access = Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK);

/// The access that listing and traversing a directory needs.
pub const READ_FOLDER: Access = Access::READ_OK.union(Access::EXEC_OK);

/// Checks whether owner, group and mode allow the effective account this access to a path, as access(2) does.
///
/// # Errors
/// The reason, if they do not or the path cannot be examined.
pub fn check(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// Looks up the names of this process's account and groups. Call it after privileges were dropped and before Landlock,
/// which prevents lookups.
pub fn remember_names() {
    // Both are cached.
    let _ = (account(), own_groups());
}

/// The name of the account that this process runs as; its number if it has no name.
pub fn account() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| look_up_user(geteuid().as_raw())).clone()
}

/// The name of the account that a file belongs to; `None` if the file cannot be examined.
pub fn owner(path: &Path) -> Option<String> {
    Some(name_of_user(fs::metadata(path).ok()?.uid()))
}

/// Owner, group and mode of a file: `root:root, mode 0700`. Empty if it cannot be examined.
pub fn ownership(path: &Path) -> String {
    let Ok(found) = fs::metadata(path) else { return String::new() };
    let (user, group) = (name_of_user(found.uid()), name_of_group(found.gid()));
    format!("{user}:{group}, mode {:04o}", found.mode() & 0o7777)
}

/// A confined server cannot look up names, but it knows those of root and of its own account.
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

/// The name of a group that this process is in; `None` if it is not in it, or the group has no name.
#[must_use]
pub fn own_group(gid: u32) -> Option<&'static str> {
    own_groups().iter().find(|(own, _)| *own == gid).map(|(_, name)| name.as_str())
}

fn own_groups() -> &'static [(u32, String)] {
    static GROUPS: OnceLock<Vec<(u32, String)>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let others = rustix::process::getgroups().unwrap_or_default();
        let all = others.into_iter().chain([rustix::process::getegid()]).map(|gid| gid.as_raw());
        all.filter_map(|gid| Some((gid, look_up_group(gid)?))).collect()
    })
}

/// A confined server cannot look up names, but it knows those of group 0 and of its own groups.
fn name_of_group(gid: u32) -> String {
    match own_group(gid) {
        Some(name) => name.to_owned(),
        None if gid == 0 => "root".to_owned(),
        None => look_up_group(gid).unwrap_or_else(|| gid.to_string()),
    }
}

fn look_up_group(gid: u32) -> Option<String> {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten()?;
    Some(Escaped(group.name.as_bytes()).to_string())
}

/// Why this process, which runs as `account`, lacks this access to a path, with the command that grants it. `None` if
/// it has the access, or if the path does not exist.
pub fn obstacle(path: &Path, access: Access, account: &str) -> Option<String> {
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

/// Who owns a path that should belong to the account, and the command that changes the owner.
pub fn not_theirs(path: &Path, account: &str) -> String {
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

/// Whether a path is a system folder such as `/etc`, `/run` and `/var/log`. No message should suggest to change the
/// owner of such a folder.
pub fn is_shared(path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else { return false };
    let mut names = path.components().skip(1).map(std::path::Component::as_os_str);
    match (names.next(), names.next(), names.next()) {
        (_, None, None) => true,
        (Some(first), Some(_), None) => first == "var" || first == "usr" || first == "run",
        _ => false,
    }
}

/// An error of the kernel's about a path, with the reason and the remedy if a permission is lacking.
pub fn explained(path: &Path, access: Access, error: Errno) -> String {
    let plain = io::Error::from(error);
    match error {
        // access(2) checks only owner and mode. If they allow the access, Landlock has refused it.
        Errno::ACCESS => match obstacle(path, access, &account()) {
            Some(why) => format!("{plain}: {why}"),
            None => format!(
                "{plain}: it is outside the sandbox, which the server set at its start: restart needed"
            ),
        },
        Errno::ROFS => format!("{plain}: mount it read-write, or set access = \"read-only\" for the user"),
        _ => plain.to_string(),
    }
}

/// The outermost directory of a path that this process may not traverse.
pub fn closed(path: &Path) -> Option<&Path> {
    let mut way: Vec<&Path> = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    way.reverse();
    way.into_iter().find(|folder| check(folder, Access::EXEC_OK).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_remedy_changes_the_owner_of_a_system_folder() {
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
