//! restic and rclone with a key that may only add files.

use crate::site::{Site, run, succeed};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use sshome_e2e::tree::{contents, noise};
use sshome_e2e::{HostBuilder, foreign};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A host where ann's usual key has this access, and the administrator has a separate key in the client's folder.
async fn site(access: &str) -> (Site, PathBuf) {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let builder = HostBuilder::new().unwrap().key(&key.public_key().to_openssh().unwrap());
    let settings = "deletable = [\"repository/locks/*\"]";
    let builder = builder.restricted_user("ann", settings, &format!("access = \"{access}\"")).unwrap();
    let site = Site::of_host(builder.start().await.unwrap());
    let file = site.client().home().join("administrator");
    key.write_openssh_file(&file, LineEnding::LF).unwrap();
    (site, file)
}

/// restic with a repository in the home, with this key.
fn restic(site: &Site, program: &Path, key: &Path, arguments: &[&str]) -> Command {
    let (user, host, port) = site.login();
    let options = site.client().openssh_options().join(" ");
    let options = options.replace(&site.client().key().display().to_string(), &key.display().to_string());
    let mut command = site.client().foreign(program);
    command.env("RESTIC_PASSWORD", "a password").args(["--no-cache", "-o"]);
    command.arg(format!("sftp.command=ssh {options} -p {port} {user}@{host} -s sftp"));
    command.arg("--repo").arg(format!("sftp:{user}@{host}:/repository")).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_backs_up_with_an_append_only_key_and_only_another_key_prunes() {
    let test = "restic_backs_up_with_an_append_only_key_and_only_another_key_prunes";
    let Some(program) = foreign::program("restic", test) else { return };
    let (site, administrator) = site("append-only").await;
    let key = site.client().key().to_owned();
    let command = |arguments: &[&str]| restic(&site, &program, &key, arguments);
    fs::create_dir_all(site.here("source")).unwrap();
    fs::write(site.here("source/large"), noise(6 << 20, "1")).unwrap();
    succeed(&mut command(&["init"]));
    succeed(&mut command(&["backup", "source"]));
    fs::write(site.here("source/large"), noise(5 << 20, "2")).unwrap();
    succeed(&mut command(&["backup", "source"]));
    succeed(&mut command(&["check", "--read-data"]));
    succeed(&mut command(&["restore", "latest", "--target", "restored"]));
    assert_eq!(contents(&site.here("restored/source")).unwrap(), contents(&site.here("source")).unwrap());

    let stored = |folder: &str| contents(&site.there("repository").join(folder)).unwrap();
    let before = [stored("snapshots"), stored("data"), stored("index"), stored("keys")];
    let refused = refused(command(&["forget", "--keep-last", "1", "--prune"]));
    for (folder, before) in ["snapshots", "data", "index", "keys"].into_iter().zip(before) {
        let now = stored(folder);
        assert!(before.iter().all(|(name, content)| now.get(name) == Some(content)), "{folder}: {refused}");
    }
    let command = |arguments: &[&str]| restic(&site, &program, &administrator, arguments);
    // The killed restic has left its lock.
    succeed(&mut command(&["unlock", "--remove-all"]));
    succeed(&mut command(&["forget", "--keep-last", "1", "--prune"]));
    succeed(&mut command(&["check", "--read-data"]));
    assert_eq!(stored("snapshots").values().flatten().count(), 1);
}

/// Runs a program until it says that it is not permitted, and kills it: it would repeat that for minutes.
fn refused(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        said += &format!("{}\n", line.unwrap());
        if said.to_lowercase().contains("permission denied") {
            break;
        }
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
    assert!(said.to_lowercase().contains("permission denied"), "{command:?}: {said}");
    said
}

/// rclone with the server as the remote `r`.
fn rclone(site: &Site, program: &Path, arguments: &[&str]) -> Command {
    let config = site.client().home().join("rclone.conf");
    let (user, host, port) = site.login();
    let (key, known) = (site.client().key().display(), site.client().known_hosts());
    let known = known.display();
    let text = format!(
        "[r]\ntype = sftp\nhost = {host}\nport = {port}\nuser = {user}\nkey_file = {key}\nknown_hosts_file = {known}\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = site.client().foreign(program);
    command.arg("--config").arg(&config).args(["--retries", "1", "--low-level-retries", "1"]).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_copies_with_an_append_only_key_and_changes_nothing() {
    let test = "rclone_copies_with_an_append_only_key_and_changes_nothing";
    let Some(program) = foreign::program("rclone", test) else { return };
    let (site, _) = site("append-only").await;
    let command = |arguments: &[&str]| rclone(&site, &program, arguments);
    fs::create_dir_all(site.here("tree/folder")).unwrap();
    for number in 0..20 {
        fs::write(site.here(format!("tree/folder/{number}")), noise(3000, number.to_string())).unwrap();
    }
    for _ in 0..2 {
        succeed(&mut command(&["copy", "--transfers", "4", "tree", "r:tree"]));
    }
    assert_eq!(contents(&site.there("tree")).unwrap(), contents(&site.here("tree")).unwrap());
    succeed(&mut command(&["check", "tree", "r:tree"]));
    fs::write(site.here("tree/folder/7"), "changed").unwrap();
    // A file that the key has not just made: it could still change its own recent files.
    fs::write(site.there("tree/old"), "old").unwrap();
    let stored = contents(&site.there("tree")).unwrap();
    for arguments in [
        &["copy", "tree", "r:tree"][..],
        &["sync", "tree", "r:tree"],
        &["deletefile", "r:tree/folder/7"],
        &["delete", "r:tree"],
        &["purge", "r:tree"],
        &["moveto", "r:tree/old", "r:moved"],
        &["touch", "r:tree/old"],
    ] {
        let refused = run(&mut command(arguments));
        assert_ne!(refused.code, Some(0), "{arguments:?}: {refused}");
        assert!(refused.err().to_lowercase().contains("permission denied"), "{arguments:?}: {refused}");
        assert_eq!(contents(&site.there("tree")).unwrap(), stored, "{arguments:?}");
    }
    fs::write(site.here("tree/new"), "new").unwrap();
    fs::remove_file(site.here("tree/folder/7")).unwrap();
    succeed(&mut command(&["copy", "tree", "r:tree"]));
    assert_eq!(fs::read(site.there("tree/new")).unwrap(), b"new");
}
