//! An administrator's commands, run by the wrong account, and settings that are not text.

use sshome_e2e::{Host, HostBuilder, Outcome, copy_program, has_root};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The server's account, and one that is neither the server's nor root.
const SERVERS: &str = "daemon";
const STRANGER: &str = "nobody";

/// The user and group of an account.
fn account(name: &str) -> (u32, u32) {
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    let mut numbers = line.split(':').skip(2).map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The program in a folder where every account can run it.
struct Anybody {
    folder: TempDir,
}

impl Anybody {
    fn new() -> Anybody {
        let folder = TempDir::new().unwrap();
        set_mode(folder.path(), 0o755);
        copy_program("sshomed", folder.path()).unwrap();
        Anybody { folder }
    }

    fn run(&self, host: &Host, account_name: &str, arguments: &[&str]) -> Outcome {
        let (uid, gid) = account(account_name);
        let mut command = Command::new(self.program());
        command.uid(uid).gid(gid).args(arguments).arg("--dir").arg(host.dir()).output().unwrap().into()
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("sshomed")
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives everything below a folder to an account.
fn give(path: &Path, (uid, gid): (u32, u32)) {
    chown(path, Some(uid), Some(gid)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), (uid, gid)));
    }
}

/// Commands that read or change the settings, and commands that ask the server.
const SETTINGS: [&[&str]; 4] =
    [&["user", "list"], &["user", "add", "bob"], &["user", "disable", "ann"], &["kick", "--lock", "ann"]];
const SERVER: [&[&str]; 6] =
    [&["status"], &["kick", "ann"], &["penalties"], &["forgive", "all"], &["quota", "scan"], &["reload"]];

#[test]
fn another_account_is_told_which_account_to_use_as_root() {
    if !has_root("another_account_is_told_which_account_to_use_as_root") {
        return;
    }
    let anybody = Anybody::new();
    let builder = HostBuilder::new().unwrap().setting(&format!("account = \"{SERVERS}\""));
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    set_mode(host.dir(), 0o755);
    let _server = host.start_apart().unwrap();
    let file = host.dir().join("etc/users.toml");
    // The settings are root's, and the server's group reads them.
    chown(&file, Some(0), Some(account(SERVERS).1)).unwrap();
    set_mode(&file, 0o640);
    let assert_told = |outcome: &Outcome, owner: &str, command: &str| {
        let said = outcome.err();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(
            said.contains(&format!("this command runs as {STRANGER}: run it as {owner}, `{command}")),
            "{said}"
        );
        assert!(!said.contains("chmod"), "{said}");
    };
    let program = anybody.program().display().to_string();
    for arguments in SETTINGS {
        let outcome = anybody.run(&host, STRANGER, arguments);
        assert_told(&outcome, "root", &format!("sudo {program} {}", arguments.join(" ")));
        assert!(
            outcome.err().contains(&format!("root:{SERVERS}, mode 0640")) && !outcome.err().contains("chown")
        );
    }
    assert_told(&anybody.run(&host, STRANGER, &["check"]), "root", "sudo ");
    for arguments in SERVER {
        let outcome = anybody.run(&host, STRANGER, arguments);
        assert_told(&outcome, SERVERS, &format!("sudo -u {SERVERS} {program} {}", arguments.join(" ")));
        assert!(!outcome.err().contains("chown"));
    }
    let fine = anybody.run(&host, SERVERS, &["status"]);
    assert_eq!(fine.code, Some(0), "{fine}");
    // The same if the folder cannot be entered.
    set_mode(host.dir(), 0o700);
    for arguments in SETTINGS.iter().chain(&SERVER) {
        assert_told(&anybody.run(&host, STRANGER, arguments), "root", "sudo ");
    }
}

#[test]
fn nobody_checks_or_starts_a_server_in_the_folder_of_another_account_as_root() {
    if !has_root("nobody_checks_or_starts_a_server_in_the_folder_of_another_account_as_root") {
        return;
    }
    let anybody = Anybody::new();
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    set_mode(host.dir(), 0o755);
    let file = host.dir().join("etc/users.toml");
    set_mode(&file, 0o644);
    fs::create_dir_all(host.dir().join("keys/authorized")).unwrap();
    set_mode(&host.dir().join("keys"), 0o700);
    give(host.dir(), account(SERVERS));
    for command in ["check", "serve"] {
        let refused = anybody.run(&host, STRANGER, &[command, "--listen", "127.0.0.1:0"]);
        let said = refused.err();
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(said.contains(&format!("this is {STRANGER}")), "{said}");
        assert!(said.contains(&format!("run it as {SERVERS}, `sudo -u {SERVERS} ")), "{said}");
        assert!(!said.contains("chown") && !said.contains("chmod"), "{said}");
    }
    // A file that cannot be examined is not called missing.
    let list = anybody.run(&host, STRANGER, &["user", "list"]);
    assert!(list.out().contains("own keys that cannot be read"), "{list}");
    let list = anybody.run(&host, STRANGER, &["user", "list", "--json"]);
    assert!(list.out().contains("\"installed_keys\":null"), "{list}");

    // A start as root left a folder of keys: it must become the account's, and not open to everybody.
    chown(host.dir().join("keys"), Some(0), Some(0)).unwrap();
    let key = host.dir().join("keys/ann.pub");
    fs::write(&key, host.key().public_key().to_openssh().unwrap()).unwrap();
    fs::write(
        &file,
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[users.ann]\nauthorized-keys = [\"keys/ann.pub\"]\n",
    )
    .unwrap();
    let refused = anybody.run(&host, SERVERS, &["check"]);
    let said = refused.err();
    assert!(refused.code == Some(1) && !said.contains("chmod"), "{said}");
    assert!(said.contains(&format!("chown -R {SERVERS}: {}", host.dir().join("keys").display())), "{said}");
}

#[test]
fn settings_whose_group_cannot_be_kept_are_edited_by_root_as_root() {
    if !has_root("settings_whose_group_cannot_be_kept_are_edited_by_root_as_root") {
        return;
    }
    let anybody = Anybody::new();
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    give(host.dir(), account(SERVERS));
    let file = host.dir().join("etc/users.toml");
    chown(&file, None, Some(account("www-data").1)).unwrap();
    let before = fs::read_to_string(&file).unwrap();
    let refused = anybody.run(&host, SERVERS, &["user", "add", "bob"]);
    let said = refused.err();
    assert!(refused.code == Some(1) && said.contains(&format!("it is {SERVERS}:www-data")), "{said}");
    assert!(
        said.contains("run the command as root, `sudo ") && said.contains("nothing was changed"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    let fine = host.administrator().run(&["user", "add", "bob"]);
    assert_eq!(fine.code, Some(0), "{fine}");
}

#[test]
fn settings_that_are_not_utf_8_are_refused_with_the_command_that_converts_them() {
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let administrator = host.administrator();
    let file = host.dir().join("etc/users.toml");
    let text = format!("# J\u{fc}rgen\n{}", fs::read_to_string(&file).unwrap());
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
    for (bytes, says) in [(utf16, "the file is UTF-16, "), (latin1, "line 1 is not UTF-8 (byte 0xfc)")] {
        fs::write(&file, &bytes).unwrap();
        for command in [
            &["check"][..],
            &["user", "list"],
            &["user", "add", "bob"],
            &["serve", "--listen", "127.0.0.1:0"],
        ] {
            let refused = administrator.run(command);
            assert!(refused.code == Some(1) && refused.err().contains(says), "{refused}");
        }
        assert_eq!(fs::read(&file).unwrap(), bytes);
        // The suggested command fixes it.
        let said = administrator.run(&["check"]).err();
        let convert = said.split('`').nth(1).unwrap();
        assert!(Command::new("sh").args(["-c", convert]).status().unwrap().success(), "{convert}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(administrator.run(&["user", "list"]).code, Some(0));
    }
    fs::write(&file, format!("\u{feff}{text}")).unwrap();
    let marked = administrator.run(&["user", "add", "bob"]);
    assert_eq!(marked.code, Some(0), "{marked}");
}
