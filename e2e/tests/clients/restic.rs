//! restic, which keeps a repository of backups over SFTP.

use crate::site::{Site, succeed};
use sshome_e2e::foreign;
use sshome_e2e::tree::{contents, noise};
use std::fs;
use std::path::Path;
use std::process::Command;

/// restic with a repository in the home, over OpenSSH's ssh.
fn restic(site: &Site, program: &Path, arguments: &[&str]) -> Command {
    let (user, host, port) = site.login();
    let options = site.client().openssh_options().join(" ");
    let mut command = site.client().foreign(program);
    command.env("RESTIC_PASSWORD", "a password").args(["--no-cache", "--quiet", "-o"]);
    command.arg(format!("sftp.command=ssh {options} -p {port} {user}@{host} -s sftp"));
    command.arg("--repo").arg(format!("sftp:{user}@{host}:{}", site.path("repository"))).args(arguments);
    command
}

/// All operations of restic on a repository.
fn keeps_a_repository(site: &Site, program: &Path) {
    let run = |arguments: &[&str]| succeed(&mut restic(site, program, arguments));
    fs::create_dir_all(site.here("source/folder")).unwrap();
    fs::write(site.here("source/large"), noise(12 << 20, "1")).unwrap();
    for number in 0..50 {
        fs::write(site.here(format!("source/folder/{number}")), noise(3000, number.to_string())).unwrap();
    }
    run(&["init"]);
    run(&["backup", "source"]);
    fs::write(site.here("source/large"), noise(9 << 20, "2")).unwrap();
    fs::remove_file(site.here("source/folder/7")).unwrap();
    run(&["backup", "source"]);
    run(&["check", "--read-data"]);
    run(&["restore", "latest", "--target", "restored"]);
    let [restored, source] = ["restored/source", "source"].map(|name| contents(&site.here(name)).unwrap());
    assert_eq!(restored, source);
    run(&["forget", "--keep-last", "1", "--prune"]);
    run(&["check", "--read-data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_backs_up_checks_restores_and_prunes() {
    let test = "restic_backs_up_checks_restores_and_prunes";
    let Some(program) = foreign::program("restic", test) else { return };
    let mut sites = Site::both(test, "").await;
    sites.push(Site::ours("", "sftp-uploads = \"atomic\"").await);
    for site in sites {
        keeps_a_repository(&site, &program);
    }
}
