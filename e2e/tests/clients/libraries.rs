//! Libraries of other languages. A script for each runs with sshomed and then with sshd, and behaves the same, except
//! where the script or docs/clients.md says so.

use crate::site::{Site, python, succeed};
use sshome_e2e::{HostBuilder, foreign};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const SETTINGS: &str = "quota = \"unlimited\"";

/// The arguments that every script takes.
pub fn script_arguments(site: &Site) -> Vec<String> {
    let (user, host, port) = site.login();
    let [key, known_hosts] =
        [site.client().key(), &site.client().known_hosts()].map(|path| path.display().to_string());
    vec![host, port, user, key, known_hosts, site.path("")]
}

/// Writes a script to a place where a client can read it.
pub fn write_script(site: &Site, name: &str, text: &str) -> PathBuf {
    let file = site.client().home().join(name);
    fs::write(&file, text).unwrap();
    file
}

/// Runs a script, given by name and text, with both servers. `interpret` makes the command, to which the script's file
/// is added.
pub async fn runs_at_both(
    test: &str,
    settings: &str,
    (name, text): (&str, &str),
    interpret: impl Fn(&Site) -> Command,
) {
    for site in Site::both(test, settings).await {
        let mut command = interpret(&site);
        command.arg(write_script(&site, name, text)).args(script_arguments(&site));
        succeed(&mut command);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko_works_with_its_defaults() {
    let test = "paramiko_works_with_its_defaults";
    let Some(python) = python(test) else { return };
    let script = include_str!("scripts/paramiko_defaults.py");
    runs_at_both(test, SETTINGS, ("script.py", script), |site| {
        plant_large(site, site.client().foreign(&python))
    })
    .await;
}

/// The server's memory limit while paramiko has 196,608 unanswered READs, in bytes.
const MAX_MEMORY: u64 = 256 << 20;

/// With `SSHOME_PARAMIKO_WHOLE` set, as by `scripts/long paramiko`: paramiko requests 6 GiB at once, and reads all of
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn paramiko_reads_a_large_file_wholly() {
    let test = "paramiko_reads_a_large_file_wholly";
    let Some(python) = python(test) else { return };
    if std::env::var_os(WHOLE).is_none() {
        eprintln!("skipped: {test}: it takes minutes; scripts/long paramiko runs it");
        return;
    }
    let mut host = HostBuilder::new().unwrap().user("ann", SETTINGS).unwrap().prepare().unwrap();
    let server = host.start_apart().unwrap();
    let site = Site::of_host(host);
    let mut command = plant_large(&site, site.client().foreign(&python));
    let script = include_str!("scripts/paramiko_defaults.py");
    command.env(WHOLE, "1").arg(write_script(&site, "script.py", script)).args(script_arguments(&site));
    let begun = Instant::now();
    succeed(&mut command);
    let peak = server.peak().unwrap();
    eprintln!("{} s, the server's peak memory is {} MiB", begun.elapsed().as_secs(), peak >> 20);
    assert!(peak < MAX_MEMORY, "{} MiB", peak >> 20);
}

const WHOLE: &str = "SSHOME_PARAMIKO_WHOLE";

/// Makes the sparse file that the script reads.
fn plant_large(site: &Site, command: Command) -> Command {
    File::create(site.there("large")).unwrap().set_len(6 << 30).unwrap();
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn fsspec_reads_writes_and_moves() {
    let test = "fsspec_reads_writes_and_moves";
    let Some(python) = python(test) else { return };
    let script = include_str!("scripts/fsspec_api.py");
    runs_at_both(test, SETTINGS, ("script.py", script), |site| site.client().foreign(&python)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_ssh2_sftp_client_works() {
    let test = "the_whole_api_of_ssh2_sftp_client_works";
    let Some(node) = foreign::program("node", test) else { return };
    let Some(library) = foreign::installed("node-clients/node_modules/ssh2-sftp-client/package.json", test)
    else {
        return;
    };
    let modules = library.ancestors().nth(2).unwrap();
    let script = include_str!("scripts/ssh2_sftp_client.js");
    runs_at_both(test, SETTINGS, ("script.js", script), |site| {
        let mut command = site.client().foreign(&node);
        command.env("NODE_PATH", modules);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_phpseclib_works() {
    let test = "the_whole_api_of_phpseclib_works";
    let Some(php) = foreign::program("php", test) else { return };
    let Some(_) = foreign::program("/usr/share/php/phpseclib3/autoload.php", test) else { return };
    let script = include_str!("scripts/phpseclib.php");
    runs_at_both(test, SETTINGS, ("script.php", script), |site| site.client().foreign(&php)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_net_sftp_foreign_works() {
    let test = "the_whole_api_of_net_sftp_foreign_works";
    let Some(perl) = foreign::program("perl", test) else { return };
    let Some(_) = foreign::program("/usr/share/perl5/Net/SFTP/Foreign.pm", test) else { return };
    let script = include_str!("scripts/net_sftp_foreign.pl");
    runs_at_both(test, SETTINGS, ("script.pl", script), |site| site.client().foreign(&perl)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_go_pkg_sftp_works() {
    let test = "the_whole_api_of_go_pkg_sftp_works";
    let Some(program) = foreign::installed("tools/bin/pkg_sftp", test) else { return };
    for site in Site::both(test, SETTINGS).await {
        succeed(site.client().foreign(&program).args(script_arguments(&site)));
    }
}
