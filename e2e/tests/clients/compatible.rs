//! Clients that need `algorithms = "compatible"`: their algorithms for key exchange and MACs are older.

use crate::libraries::{script_arguments, write_script};
use crate::site::{Site, run, succeed};
use russh::keys::load_secret_key;
use sshome_e2e::{HostBuilder, Sshd, Terminal, foreign, until};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const COMPATIBLE: &str = "algorithms = \"compatible\"";

/// A key pair made by OpenSSH, in the older format that these clients read.
struct Key {
    dir: TempDir,
    line: String,
}

impl Key {
    fn make(kind: &str) -> Key {
        let dir = TempDir::with_prefix("sshome-key-").unwrap();
        let file = dir.path().join("key");
        succeed(Command::new("ssh-keygen").args(["-q", "-t", kind, "-m", "PEM", "-N", "", "-f"]).arg(&file));
        let line = fs::read_to_string(file.with_extension("pub")).unwrap();
        Key { dir, line }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("key")
    }
}

/// A server with these lines of `[server]`, a user with the key, and a client that knows all host keys of the server.
async fn site(server: &str, key: &Key) -> Site {
    let builder = HostBuilder::new().unwrap().setting(server).key(&key.line);
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    host.start().await.unwrap();
    knowing_all_host_keys(Site::of_host(host))
}

/// An sshd with the host keys that older clients support, and a user with the key. `None` if this machine has no sshd.
async fn sshd(test: &str, key: &Key) -> Option<Site> {
    let sshd = Sshd::start_for_older_clients(test, Some(&key.line)).await.unwrap()?;
    Some(knowing_all_host_keys(Site::of_sshd(sshd)))
}

/// Sshomed with `algorithms = "compatible"`, and sshd.
async fn both(test: &str, key: &Key) -> Vec<Site> {
    [Some(site(COMPATIBLE, key).await), sshd(test, key).await].into_iter().flatten().collect()
}

fn knowing_all_host_keys(site: Site) -> Site {
    let (_, host, port) = site.login();
    let mut known = String::new();
    for entry in fs::read_dir(site.host_keys()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let key = load_secret_key(path, None).unwrap().public_key().to_openssh().unwrap();
            writeln!(known, "[{host}]:{port} {key}").unwrap();
        }
    }
    fs::write(site.client().known_hosts(), known).unwrap();
    site
}

/// Runs a script, given by name and text, with a key of this kind with both servers. If it needs the older algorithms,
/// it cannot connect to sshomed's defaults.
async fn runs(test: &str, (name, text): (&str, &str), kind: &str, needs_it: bool, interpreter: &[&str]) {
    let key = Key::make(kind);
    let command = |site: &Site| {
        let mut command = site.client().foreign(interpreter[0]);
        let mut arguments = script_arguments(site);
        arguments[3] = key.file().display().to_string();
        command.args(&interpreter[1..]).arg(write_script(site, name, text)).args(arguments);
        command
    };
    for site in both(test, &key).await {
        succeed(&mut command(&site));
    }
    if needs_it {
        let refused = run(&mut command(&site("", &key).await));
        assert_ne!(refused.code, Some(0), "it connects with the default algorithms as well: docs/clients.md");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_jsch_works() {
    let test = "the_whole_api_of_jsch_works";
    let Some(_) = foreign::program("java", test) else { return };
    let Some(jar) = foreign::program("/usr/share/java/jsch.jar", test) else { return };
    let interpreter = ["java", "-cp", jar.to_str().unwrap()];
    runs(test, ("Jsch.java", include_str!("scripts/Jsch.java")), "ecdsa", true, &interpreter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_ruby_net_sftp_works() {
    let test = "the_whole_api_of_ruby_net_sftp_works";
    let Some(_) = foreign::program("ruby", test) else { return };
    if run(Command::new("ruby").args(["-e", "require 'net/sftp'"])).code != Some(0) {
        eprintln!("skipped: {test}: no net-sftp here; scripts/install-test-deps installs it");
        return;
    }
    runs(test, ("script.rb", include_str!("scripts/net_sftp.rb")), "rsa", true, &["ruby"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phpseclib_logs_in_with_an_rsa_key() {
    let test = "phpseclib_logs_in_with_an_rsa_key";
    let Some(_) = foreign::program("php", test) else { return };
    let Some(_) = foreign::program("/usr/share/php/phpseclib3/autoload.php", test) else { return };
    runs(test, ("script.php", include_str!("scripts/phpseclib.php")), "rsa", false, &["php"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_curl_connects() {
    let test = "debians_curl_connects";
    let Some(curl) = foreign::program("/usr/bin/curl", test) else { return };
    // Its libssh2 signs with RSA and SHA-1 only.
    let key = Key::make("ecdsa");
    let curl = |site: &Site, scheme: &str, path: &str| {
        let (user, host, port) = site.login();
        let mut command = site.client().foreign(&curl);
        command.args(["--silent", "--show-error", "--user", &format!("{user}:"), "--key"]).arg(key.file());
        command.arg("--pubkey").arg(key.file().with_extension("pub")).arg("--insecure");
        command.arg(format!("{scheme}://{host}:{port}{path}"));
        command
    };
    for site in both(test, &key).await {
        let path = site.path("put");
        fs::write(site.here("file"), "content").unwrap();
        for scheme in ["sftp", "scp"] {
            succeed(curl(&site, scheme, &path).arg("--upload-file").arg(site.here("file")));
            assert_eq!(succeed(&mut curl(&site, scheme, &path)).stdout, b"content", "{scheme}");
            fs::remove_file(site.there("put")).unwrap();
        }
    }
    assert_ne!(run(&mut curl(&site("", &key).await, "sftp", "/put")).code, Some(0));
}

/// Midnight Commander asks for the password in its own window.
#[tokio::test(flavor = "multi_thread")]
async fn midnight_commander_shows_a_home_and_copies() {
    let test = "midnight_commander_shows_a_home_and_copies";
    let Some(mc) = foreign::program("mc", test) else { return };
    let site = site(COMPATIBLE, &Key::make("ecdsa")).await;
    site.host().unwrap().set_password("ann", "secret words").unwrap();
    let mut terminal = commander(&site, site.client().foreign(mc));
    terminal.expect("Password:").unwrap();
    terminal.send("secret words\r").unwrap();
    copies_a_file(&site, &mut terminal);
}

/// The account that sshd runs as in the tests has no password.
#[tokio::test(flavor = "multi_thread")]
async fn midnight_commander_logs_in_with_an_agents_key() {
    let test = "midnight_commander_logs_in_with_an_agents_key";
    let Some(mc) = foreign::program("mc", test) else { return };
    let Some(agent) = foreign::program("ssh-agent", test) else { return };
    let key = Key::make("ecdsa");
    for site in both(test, &key).await {
        let socket = site.client().home().join("agent");
        let mut command = Command::new(&agent);
        command.arg("-a").arg(&socket).args(["sh", "-c", "ssh-add -q \"$0\" && exec \"$@\""]).arg(key.file());
        let mut terminal = commander(&site, wrapped(command, &site.client().foreign(&mc)));
        copies_a_file(&site, &mut terminal);
    }
}

/// Runs a command through a wrapper, which gets it as its last arguments. The folder and environment are those of the
/// command.
fn wrapped(mut by: Command, command: &Command) -> Command {
    by.arg(command.get_program()).args(command.get_args()).env_clear();
    by.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        by.current_dir(folder);
    }
    by
}

/// Starts Midnight Commander with a local panel and one that shows the site's home.
fn commander(site: &Site, mut command: Command) -> Terminal {
    // It asks for the type of host key that it finds first.
    let known = fs::read_to_string(site.client().known_hosts()).unwrap();
    fs::create_dir(site.client().home().join(".ssh")).unwrap();
    let ecdsa = known.lines().find(|line| line.contains("ecdsa")).unwrap();
    fs::write(site.client().home().join(".ssh/known_hosts"), format!("{ecdsa}\n")).unwrap();
    fs::write(site.there("on-the-server"), "theirs").unwrap();
    fs::write(site.here("on-this-side"), "ours").unwrap();
    let (user, address, port) = site.login();
    command.args(["--nosubshell", "--stickchars", "--nocolor", "--skin=default"]).arg(site.here(""));
    command.arg(format!("sftp://{user}@{address}:{port}{}", site.path("")));
    Terminal::start(&command).unwrap()
}

/// Copies a file of the local panel to the other one.
fn copies_a_file(site: &Site, terminal: &mut Terminal) {
    terminal.expect("on-the-server").unwrap();
    // Select the file. F5 copies it to the other panel, after a question.
    terminal.expect("UP--DIR").unwrap();
    terminal.send("\x1bOB").unwrap();
    terminal.expect("on-this-side").unwrap();
    terminal.send("\x1b5").unwrap();
    terminal.expect("source mask").unwrap();
    terminal.send("\r").unwrap();
    until("mc has copied", || fs::read(site.there("on-this-side")).is_ok_and(|copy| copy == b"ours"));
}
