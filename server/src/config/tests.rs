mod host_keys;

use super::*;
use crate::accounts::{Access, Password, SftpUploads};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

const ED25519_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A folder with an `etc/users.toml`.
fn folder(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/users.toml"), text).unwrap();
    dir
}

fn loaded(dir: &TempDir) -> Result<Config, ConfigError> {
    load(dir.path(), None, &[])
}

/// The messages about a folder's file, one mistake per line, without the file's name.
fn complaints(dir: &TempDir, listen: &[SocketAddr]) -> Vec<String> {
    let Err(error) = load(dir.path(), None, listen) else { return Vec::new() };
    let file = format!("{}/etc/users.toml:", dir.path().display());
    // The system may have put the folder behind a symbolic link.
    let real = fs::canonicalize(dir.path()).unwrap();
    let text = error.to_string();
    let lines = text.lines().map(|line| line.strip_prefix(&file).unwrap());
    lines.map(|line| line.replace(real.to_str().unwrap(), "DIR")).collect()
}

/// Each row has a file and all its mistakes.
fn assert_complaints(rows: &[(&str, &[&str])]) {
    for (text, want) in rows {
        let text = text.replace("HASH", PASSWORD_HASH).replace("@KEY@", ED25519_KEY);
        assert_eq!(complaints(&folder(&text), &[]), *want, "in\n{text}");
    }
}

#[test]
fn an_empty_file_is_a_server_without_users() {
    let dir = folder("");
    let config = loaded(&dir).unwrap();
    let real = fs::canonicalize(dir.path()).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:2222".parse().unwrap()]);
    assert_eq!(config.host_keys, [real.join("keys/host_ed25519")]);
    assert_eq!((config.kex, config.shutdown_grace), (Kex::Compatible, Duration::from_secs(10)));
    assert_eq!((config.dir, config.file), (real.clone(), real.join("etc/users.toml")));
    assert!(config.accounts.is_empty());
}

#[test]
fn every_setting_is_parsed() {
    let dir = folder(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\", \"[::1]:2022\"]\nhost-keys = [\"keys/a\", \"/nowhere/b\"]\n\
         homes = \"h\"\naccount = \"a\"\nconfine = \"off\"\nkex = \"post-quantum\"\nshutdown-grace = \"5 s\"\npart-expiry = \"2 days\"\nstream-expiry = 60\n\
         [defaults]\nquota = \"1 MiB\"\nmax-files = 7\naccess = \"read-only\"\nsftp-uploads = \"atomic\"\n\
         [users.alex]\npassword = \"{PASSWORD_HASH}\"\nauthorized-keys = [\"keys/alex.pub\", '{ED25519_KEY} laptop']\n\
         [users.zcl]\nroot = \"disk\"\nquota = 5_000\nmax-files = \"unlimited\"\naccess = \"read-write\"\n\
         sftp-uploads = \"in-place\"\nenabled = false\n\
         [users.\"a.b-c_9\"]\nquota = \"unlimited\"\n"
    ));
    fs::create_dir_all(dir.path().join("keys")).unwrap();
    fs::write(dir.path().join("keys/alex.pub"), format!("# two\n{ED25519_KEY}\nrestrict {ED25519_KEY}\n"))
        .unwrap();
    fs::create_dir(dir.path().join("disk")).unwrap();
    let config = loaded(&dir).unwrap();
    let real = fs::canonicalize(dir.path()).unwrap();

    assert_eq!(config.listen, ["127.0.0.1:0".parse().unwrap(), "[::1]:2022".parse().unwrap()]);
    assert_eq!(config.host_keys, [real.join("keys/a"), PathBuf::from("/nowhere/b")]);
    assert_eq!((config.kex, config.shutdown_grace), (Kex::PostQuantum, Duration::from_secs(5)));
    assert_eq!((config.account.as_deref(), config.confine), (Some("a"), Confine::Off));
    assert_eq!(config.part_expiry, Duration::from_secs(2 * 24 * 3600));
    assert_eq!(config.stream_expiry, Duration::from_secs(60));
    let [dotted, alex, zcl] = &config.accounts[..] else { panic!("{:?}", config.accounts) };
    assert_eq!((dotted.name.as_str(), dotted.quota, dotted.max_files), ("a.b-c_9", None, Some(7)));
    assert_eq!((alex.quota, alex.max_files, alex.access), (Some(1 << 20), Some(7), Access::ReadOnly));
    assert_eq!((&alex.root, alex.make_root, alex.enabled), (&real.join("h/alex"), true, true));
    assert!(alex.password.is_some());
    assert_eq!(alex.keys.len(), 3);
    assert_eq!((zcl.quota, zcl.max_files, zcl.access), (Some(5000), None, Access::ReadWrite));
    assert_eq!((alex.sftp_uploads, zcl.sftp_uploads), (SftpUploads::Atomic, SftpUploads::InPlace));
    assert_eq!((&zcl.root, zcl.make_root, zcl.enabled), (&real.join("disk"), false, false));
}

#[test]
fn all_errors_are_reported_together_and_in_order() {
    assert_complaints(&[(
        "[server]\nlisten = \"127.0.0.1\"\nkex = \"fast\"\n\n[users.Alex]\nqouta = 5\nroot = 5\n\
         [users.zcl]\npassword = \"secret\"\naccess = 1\nmax_files = 3\n",
        &[
            "2: server.listen: must be an array: [\"…\", \"…\"] (found type: string)",
            "3: server.kex: \"fast\" is not a choice: write \"compatible\" or \"post-quantum\"",
            "5: users.Alex: \"Alex\" is not a user name: use 1 to 32 of a-z, 0-9, \".\", \"_\" and \"-\", and do not begin with \".\" or \"-\"",
            "6: users.Alex.qouta: unknown key: expected one of password, demo, authorized-keys, expires, deletable, temporary-names, root, quota, max-files, access, sftp-uploads, enabled, own-keys, upload-rate, download-rate, keys",
            "7: users.Alex.root: must be a string: \"…\" (found type: integer)",
            "9: users.zcl.password: is not a PHC string ($argon2id$v=19$…); `sshomed user passwd zcl` asks for the password and writes a new one",
            "10: users.zcl.access: must be a string: \"…\" (found type: integer)",
            "11: users.zcl.max_files: unknown key: did you mean max-files?",
        ],
    )]);
}

#[test]
fn syntax_errors_are_reported() {
    assert_complaints(&[
        (
            "[server]\nlisten = [\n[users.alex]\nqouta = 1\n",
            &[
                "3: string values must be quoted, expected literal string",
                "4: missing comma between array elements, expected `,`",
            ],
        ),
        (
            "[users.alex]\nquota = 1\n\n[users.alex]\nquota = 2\n",
            &[
                "4: users.alex: there is a table of this user already, in line 1: write one for each user",
                "5: duplicate key",
            ],
        ),
        (
            "[users]\n'b.b' = {}\n[ users . \"b.b\" ]\n",
            &["3: users.b.b: there is a table of this user already, in line 2: write one for each user"],
        ),
        ("[users.a]\n[server]\na = 1\na = 2\n", &["4: duplicate key"]),
    ]);
}

#[test]
fn errors_in_the_tables_are_reported() {
    assert_complaints(&[
        ("[sever]\n", &["1: sever: unknown key: did you mean server?"]),
        ("users = 1\n", &["1: users: must be a table: [users] (found type: integer)"]),
        ("[users]\nalex = \"x\"\n", &["2: users.alex: must be a table: [users.alex] (found type: string)"]),
        (
            "[defaults]\nroot = \"x\"\n",
            &[
                "2: defaults.root: unknown key: expected one of quota, max-files, access, sftp-uploads, enabled, own-keys, upload-rate, download-rate",
            ],
        ),
        (
            "[users.\"a\\u001b[2Jb\"]\n",
            &[
                "1: users.a\\x1b[2Jb: \"a\\x1b[2Jb\" is not a user name: use 1 to 32 of a-z, 0-9, \".\", \"_\" and \"-\", and do not begin with \".\" or \"-\"",
            ],
        ),
    ]);
}

#[test]
fn errors_in_server_are_reported() {
    assert_complaints(&[
        ("server.listen = []", &["1: server.listen: is empty: set at least one, or remove the key"]),
        (
            "[server]\nlisten = [\n  \"127.0.0.1\",\n  \"::1\",\n  \"localhost:22\",\n  \"127.0.0.1:1\",\n  \"127.0.0.1:1\",\n]\n",
            &[
                "3: server.listen: \"127.0.0.1\" has no port: write \"127.0.0.1:2222\"",
                "4: server.listen: \"::1\" has no port: write \"[::1]:2222\"",
                "5: server.listen: \"localhost:22\" is not an address with a port: write \"127.0.0.1:2222\" (this machine only), \"0.0.0.0:2222\" or \"[::]:2222\" (everybody)",
                "7: server.listen: is in the list twice: remove one",
            ],
        ),
        (
            "server.part-expiry = 0",
            &[
                "1: server.part-expiry: must be a number of days from 1 to 3650: 7 or \"7 days\" (found type: integer)",
            ],
        ),
        (
            "server.shutdown-grace = \"soon\"",
            &["1: server.shutdown-grace: \"soon\" is not a number of seconds up to 86400: 10 or \"10 s\""],
        ),
        (
            "server.shutdown-grace = -1",
            &[
                "1: server.shutdown-grace: must be a number of seconds up to 86400: 10 or \"10 s\" (found type: integer)",
            ],
        ),
        (
            "server.account = \"root\"\nserver.confine = \"on\"\nserver.log.file = \"audit\"",
            &[
                "1: server.account: root keeps all privileges: name an account for the server only",
                "2: server.confine: \"on\" is not a choice: write \"best-effort\", \"required\" or \"off\"",
                "3: server.log.file: audit must be in a folder without the server's own files, such as log/audit",
            ],
        ),
        ("server.homes = \"etc/users.toml\"", &["1: server.homes: DIR/etc/users.toml is not a folder"]),
        (
            "server.host-keys = [\"etc\"]",
            &[
                "1: server.host-keys: etc is not a file: name a private key, or a file for the server to create",
            ],
        ),
    ]);
}

#[test]
fn errors_in_users_are_reported() {
    assert_complaints(&[
        (
            "[users.alex]\nquota = \"10 XB\"\n",
            &[
                "2: users.alex.quota: invalid size \"10 XB\": use \"100 MiB\", \"1.5 GiB\", \"700 MB\", a number of bytes, or \"unlimited\"",
            ],
        ),
        (
            "[defaults]\nquota = 1.5\n",
            &[
                "2: defaults.quota: must be a size: \"100 MiB\", a number of bytes, or \"unlimited\" (found type: float)",
            ],
        ),
        (
            "[users.alex]\nmax-files = 0\n",
            &["2: users.alex.max-files: 0 is not a number of files (at least 1), or \"unlimited\""],
        ),
        (
            "[users.alex]\nenabled = \"yes\"\n",
            &["2: users.alex.enabled: must be true or false (found type: string)"],
        ),
        (
            "[users.alex]\naccess = \"write\"\n",
            &["2: users.alex.access: invalid access \"write\": use \"read-only\" or \"read-write\""],
        ),
        (
            "[users.alex]\nsftp-uploads = \"staged\"\n",
            &["2: users.alex.sftp-uploads: \"staged\" is not a choice: write \"in-place\" or \"atomic\""],
        ),
        (
            "[users.alex]\npassword = \"$argon2id$v=19$m=4096,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n",
            &[
                "2: users.alex.password: is too weak an argon2id hash: the minimum is m=19456 and t=2; `sshomed user passwd alex` asks for the password and writes a new one",
            ],
        ),
        (
            "[users.alex]\ndemo = true\n",
            &["2: users.alex.demo: marks the password as a demo, but no password is set: remove the line"],
        ),
        (
            "[users.alex]\nauthorized-keys = [\"keys/alex.pub\",\n\"command=\\\"ls\\\" @KEY@\", \"-----BEGIN OPENSSH PRIVATE KEY-----\"]\n",
            &[
                "2: users.alex.authorized-keys: keys/alex.pub cannot be read: No such file or directory (os error 2); name a public key's file, or give its line",
                "3: users.alex.authorized-keys: \"command=\"ls\" ssh-ed25519 AAAAC3NzaC1lZDI…\" has the option \"command\", which is not supported: remove it. Supported are from=\"…\", expiry-time=\"…\", folder=\"…\", restrict, and pty, port-forwarding, agent-forwarding, X11-forwarding and user-rc, with or without no- before them",
                "3: users.alex.authorized-keys: \"-----BEGIN OPENSSH PRIVATE KEY-----…\" is a private key, which must stay with its user: give the public key, the file that ends in .pub",
            ],
        ),
    ]);
    let dir = folder("[users.alex]\nauthorized-keys = [\"alex.pub\"]\n");
    fs::write(dir.path().join("alex.pub"), format!("# mine\nno-pty {ED25519_KEY}\npermit {ED25519_KEY}\n"))
        .unwrap();
    assert_eq!(
        complaints(&dir, &[]),
        [
            "2: users.alex.authorized-keys: alex.pub: line 3 has the option \"permit\", which is not supported: remove it. Supported are from=\"…\", expiry-time=\"…\", folder=\"…\", restrict, and pty, port-forwarding, agent-forwarding, X11-forwarding and user-rc, with or without no- before them"
        ]
    );
}

#[test]
fn roots_do_not_overlap_under_any_name() {
    let text = "[users.alex]\nroot = \"disk\"\n[users.ben]\nroot = \"disk/below\"\n[users.cyd]\nroot = \"link\"\n\
                [users.dan]\nroot = \"disk-2\"\n[users.eve]\nroot = \".\"\n";
    let dir = folder(text);
    fs::create_dir_all(dir.path().join("disk/below")).unwrap();
    fs::create_dir(dir.path().join("disk-2")).unwrap();
    symlink("disk/below", dir.path().join("link")).unwrap();
    assert_eq!(
        complaints(&dir, &[]),
        [
            "2: users.alex.root: DIR/disk is inside DIR, the root of eve: every user needs a folder of their own",
            "4: users.ben.root: DIR/disk/below is inside DIR, the root of eve: every user needs a folder of their own",
            "6: users.cyd.root: DIR/disk/below is inside DIR, the root of eve: every user needs a folder of their own",
            "8: users.dan.root: DIR/disk-2 is inside DIR, the root of eve: every user needs a folder of their own",
            "10: users.eve.root: DIR holds the server's own DIR/etc/users.toml, which eve could read or replace: choose a folder without it",
        ]
    );
    let file = dir.path().join("etc/users.toml");
    fs::write(&file, text.replace("\".\"", "\"disk-2/../link\"")).unwrap();
    assert_eq!(
        complaints(&dir, &[]),
        [
            "4: users.ben.root: DIR/disk/below is inside DIR/disk, the root of alex: every user needs a folder of their own",
            "6: users.cyd.root: DIR/disk/below is inside DIR/disk, the root of alex: every user needs a folder of their own",
            "10: users.eve.root: DIR/disk/below is inside DIR/disk, the root of alex: every user needs a folder of their own",
        ]
    );
}

#[test]
fn a_home_that_does_not_exist_yet_may_not_overlap_either() {
    let dir = folder("[users.alex]\n[users.ben]\nroot = \"home\"\n");
    fs::create_dir(dir.path().join("home")).unwrap();
    assert_eq!(
        complaints(&dir, &[]),
        [
            "1: users.alex.root: DIR/home/alex is inside DIR/home, the root of ben: every user needs a folder of their own"
        ]
    );
    let dir = folder("[users.alex]\n[users.ben]\n");
    fs::create_dir(dir.path().join("home")).unwrap();
    symlink("ben", dir.path().join("home/alex")).unwrap();
    fs::create_dir(dir.path().join("home/ben")).unwrap();
    assert_eq!(
        complaints(&dir, &[]),
        ["2: users.ben.root: DIR/home/ben is also the root of alex: every user needs a folder of their own"]
    );
}

#[test]
fn a_demo_password_keeps_the_server_on_this_machine() {
    let demo = format!("[users.alex]\npassword = \"{PASSWORD_HASH}\"\ndemo = true\n");
    let told = |line: usize, address: &str| {
        vec![format!(
            "{line}: users.alex.demo: alex has a demo password, which is public, and {address} can be reached from other \
             machines: set a password with `sshomed user passwd alex`, which removes the mark, or listen on 127.0.0.1 only"
        )]
    };
    let open = |address: &str| format!("[server]\nlisten = [\"127.0.0.1:1\", \"{address}\"]\n{demo}");
    assert_eq!(complaints(&folder(&open("[::1]:2")), &[]), Vec::<String>::new());
    assert_eq!(complaints(&folder(&open("[::ffff:127.0.0.1]:2")), &[]), Vec::<String>::new());
    assert_eq!(complaints(&folder(&open("0.0.0.0:2")), &[]), told(5, "0.0.0.0:2"));
    assert_eq!(complaints(&folder(&open("[::]:2")), &[]), told(5, "[::]:2"));
    // Addresses on the command line count instead of those in the file.
    let outside = ["192.0.2.1:22".parse().unwrap()];
    assert_eq!(complaints(&folder(&demo), &outside), told(3, "192.0.2.1:22"));
    assert_eq!(
        complaints(&folder(&open("0.0.0.0:2")), &["127.0.0.1:0".parse().unwrap()]),
        Vec::<String>::new()
    );
    // The password of a disabled user is harmless, and so is one that is not a demo password.
    assert_eq!(complaints(&folder(&format!("{demo}enabled = false\n")), &outside), Vec::<String>::new());
    assert_eq!(complaints(&folder(&demo.replace("true", "false")), &outside), Vec::<String>::new());
}

#[test]
fn a_missing_folder_or_file_is_reported_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let error = load(dir.path(), None, &[]).unwrap_err().to_string();
    assert!(error.ends_with("name the folder with --dir, or the file with --config"), "{error}");
    let error = load(&dir.path().join("gone"), None, &[]).unwrap_err().to_string();
    assert!(error.ends_with("name sshomed's folder with --dir"), "{error}");
}

#[test]
fn paths_in_a_file_given_by_name_are_relative_to_the_folder() {
    let dir = folder("nonsense");
    let file = dir.path().join("other.toml");
    fs::write(&file, "[users.alex]\n").unwrap();
    let config = load(dir.path(), Some(&file), &[]).unwrap();
    assert_eq!(config.accounts[0].root, fs::canonicalize(dir.path()).unwrap().join("home/alex"));
}

/// The shipped file is valid, and lets nobody in from other machines.
#[test]
fn the_shipped_file_is_valid() {
    let dir = folder(include_str!("../../../etc/users.toml"));
    let config = loaded(&dir).unwrap();
    assert!(config.listen.iter().all(|address| address.ip().is_loopback()));
    let names: Vec<_> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["alex", "zcl"]);
    assert_eq!(config.accounts[0].quota, Some(100 << 20));
    assert_eq!(config.accounts[1].quota, Some(20 << 30));
    for account in &config.accounts {
        let password = account.password.as_ref().unwrap();
        assert!(account.has_demo_password(), "{}", account.name);
        assert!(password.matches(&Password::new(format!("{}-demo", account.name))), "{}", account.name);
    }
}
