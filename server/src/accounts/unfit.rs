//! Directories that cannot be homes: system directories, shared directories, and homes of other accounts.

use super::Account;
use rustix::process::geteuid;
use sshome_wire::display::Escaped;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// System directories, which are refused with everything in them.
const SYSTEM_TREES: [&str; 12] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr",
];

/// Exceptions: data directories within system directories.
const DATA_TREES: [&str; 2] = ["/dev/shm", "/usr/local"];

/// Directories that programs or accounts share. A directory in them may be a home.
const SHARED_FOLDERS: [&str; 15] = [
    "/",
    "/dev/shm",
    "/home",
    "/root",
    "/run",
    "/tmp",
    "/usr/local",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/mail",
    "/var/spool",
    "/var/tmp",
    "/var/www",
];

/// The lowest uid of a person's account. Lower ones belong to services.
const MIN_PERSON_UID: u32 = 1000;

/// A person's account of this machine.
#[derive(Debug)]
struct Person {
    name: String,
    uid: u32,
    home: PathBuf,
}

/// Reads which homes the accounts of this machine have. A confined server cannot read that later.
pub fn remember_accounts() {
    people();
}

fn people() -> &'static [Person] {
    static PEOPLE: OnceLock<Vec<Person>> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        // Without this file, nothing is known about other accounts.
        let text = fs::read("/etc/passwd").unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(person).collect()
    })
}

/// Parses a line of passwd(5). `None` for the account of a service.
fn person(line: &str) -> Option<Person> {
    let mut fields = line.split(':');
    let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
    let (_, _, home, shell) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let logs_in = !shell.ends_with("/nologin") && !shell.ends_with("/false");
    let home = PathBuf::from(home);
    let is_home = home.is_absolute() && home != Path::new("/");
    (logs_in && is_home && uid >= MIN_PERSON_UID).then(|| Person { name: name.to_owned(), uid, home })
}

/// Why the root in the settings cannot be a home, with the remedy.
#[must_use]
pub fn unfit_root(account: &Account) -> Option<String> {
    let why = unfit_reason(account)?;
    Some(match account.make_root {
        true => {
            let homes = account.root.parent().unwrap_or(&account.root);
            format!(
                "{} {why}: set `homes` to a folder that holds only homes",
                Escaped(homes.as_os_str().as_bytes())
            )
        }
        false => format!("it {why}: set `root` to a folder for this user only, or remove it for homes/NAME"),
    })
}

/// Why the root of an account, or the parent of one that the server creates, cannot be served: "is a system folder".
pub(crate) fn unfit_reason(account: &Account) -> Option<String> {
    // The server creates homes/NAME, so it is the parent that must not be a system folder.
    let named = if account.make_root { account.root.parent()? } else { &account.root };
    of_the_system(named, !account.make_root).or_else(|| {
        let own = geteuid().as_raw();
        (!account.make_root).then(|| of_somebody(named, &account.name, own, people())).flatten()
    })
}

fn of_the_system(path: &Path, with_trees: bool) -> Option<String> {
    let is_in = |trees: &[&'static str]| trees.iter().copied().find(|tree| path.starts_with(tree));
    let shared = SHARED_FOLDERS.iter().any(|folder| path == Path::new(folder));
    match is_in(&SYSTEM_TREES) {
        _ if shared => Some("is a folder that many programs and accounts use".to_owned()),
        Some(_) if is_in(&DATA_TREES).is_some() => None,
        Some(tree) if path == Path::new(tree) => Some("is a system folder".to_owned()),
        Some(tree) if with_trees => Some(format!("is inside {tree}, a system folder")),
        _ => None,
    }
}

fn of_somebody(root: &Path, user: &str, own: u32, people: &[Person]) -> Option<String> {
    let person = people.iter().find(|person| person.home.starts_with(root))?;
    let is_theirs = person.home == root && (person.uid == own || person.name == user);
    let how = if person.home == root { "is" } else { "holds" };
    (!is_theirs).then(|| format!("{how} the home of {}, an account of this machine", person.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_folders_cannot_be_homes() {
        for path in
            ["/", "/usr", "/usr/bin", "/etc", "/etc/ssh", "/proc", "/sys/kernel", "/dev", "/run", "/root"]
        {
            assert!(of_the_system(Path::new(path), true).is_some(), "{path}");
        }
        for path in [
            "/srv",
            "/data",
            "/home/ann",
            "/root/ann",
            "/mnt/disk",
            "/run/media/disk",
            "/dev/shm/x",
            "/tmp/x",
        ] {
            assert_eq!(of_the_system(Path::new(path), true), None, "{path}");
        }
        // homes = "/etc" is refused, a server that works in /etc/sshome is not.
        assert!(of_the_system(Path::new("/etc"), false).is_some());
        assert_eq!(of_the_system(Path::new("/etc/sshome/home"), false), None);
    }

    #[test]
    fn the_home_of_another_account_is_refused() {
        let lines = [
            "root:x:0:0:root:/root:/bin/bash",
            "www:x:33:33::/data/www:/usr/sbin/nologin",
            "ann:x:1000:1000:Ann,,,:/data/ann:/bin/sh",
            "bob:x:1001:1001::/data/bob:/bin/bash",
            "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin",
            "short:x:1002",
        ];
        let people: Vec<_> = lines.iter().filter_map(|line| person(line)).collect();
        let refused =
            |root: &str, user: &str, own| of_somebody(Path::new(root), user, own, &people).is_some();
        for (root, user, own, want) in [
            ("/data", "ann", 0, true),
            ("/data/bob", "ann", 0, true),
            ("/data/ann", "ann", 0, false),
            ("/data/ann", "phone", 1000, false),
            ("/data/ann", "phone", 1001, true),
            ("/data/ann/files", "bob", 0, false),
            ("/data/www", "bob", 0, false),
        ] {
            assert_eq!(refused(root, user, own), want, "{root} {user} {own}");
        }
    }
}
