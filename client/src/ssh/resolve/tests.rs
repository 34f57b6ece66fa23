//! Configurations as people have them, resolved by OpenSSH and by ourselves.

mod shapes;

use super::super::config::AddressFamily;
use super::*;
use clap::Parser;
use shapes::SHAPES;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A configuration, and what it means for a command line.
struct Shape {
    name: &'static str,
    /// ~/.ssh/config. `DIR` stands for ~/.ssh.
    config: &'static str,
    /// The arguments of sshome.
    arguments: &'static [&'static str],
    /// What [`summary`] says of the settings.
    want: &'static str,
    /// The same without OpenSSH, if that differs.
    alone: Option<&'static str>,
}

/// A home directory with a configuration and some files that it includes.
fn home(config: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let ssh = home.path().join(".ssh");
    fs::create_dir_all(ssh.join("config.d")).unwrap();
    fs::write(ssh.join("config.d/10-work.conf"), "Host nas\n  HostName 192.0.2.10\n  User worker\n").unwrap();
    fs::write(ssh.join("config.d/20-all.conf"), "Host *\n  User anybody\n  Port 2200\n").unwrap();
    fs::write(ssh.join("config"), config.replace("DIR", ssh.to_str().unwrap())).unwrap();
    home
}

fn resolve(home: &Path, arguments: &[&str], ssh: Option<&str>) -> Result<Settings, SettingsError> {
    let cli = ClientCli::try_parse_from([&["sshome"], arguments].concat()).unwrap();
    let environment = Environment {
        home: Some(home.to_owned()),
        user: Some("me".to_owned()),
        agent: Some(PathBuf::from("/run/agent")),
        ssh: ssh.map(PathBuf::from),
        ..Environment::default()
    };
    Settings::resolve(&cli, &environment)
}

/// The address, then whatever is not the default.
fn summary(settings: &Settings, home: &Path) -> String {
    let short = |path: &Path| path.display().to_string().replace(home.to_str().unwrap(), "~");
    let mut out = format!("{}@{}:{}", settings.user, settings.host, settings.port);
    let mut add = |text: String| out.push_str(&format!(" {text}"));
    let configured = |identity: &&Identity| identity.source != IdentitySource::Usual;
    settings.identities.iter().filter(configured).for_each(|key| add(format!("key={}", short(&key.file))));
    settings.certificates.iter().for_each(|file| add(format!("cert={}", short(file))));
    if settings.identities_only {
        add("only".to_owned());
    }
    match &settings.agent {
        None => add("no-agent".to_owned()),
        Some(agent) if agent == Path::new("/run/agent") => {}
        Some(agent) => add(format!("agent={}", short(agent))),
    }
    let known: Vec<_> = settings.known_hosts.iter().map(|file| short(file)).collect();
    if known != ["~/.ssh/known_hosts"] {
        add(format!("known={}", known.join(",")));
    }
    settings.host_key_alias.iter().for_each(|alias| add(format!("alias={alias}")));
    match settings.unknown_host {
        UnknownHost::Ask => {}
        unknown => add(format!("{unknown:?}")),
    }
    for (name, is_set) in [
        ("batch", settings.batch),
        ("no-keys", !settings.public_key),
        ("no-password", !settings.password),
        ("no-questions", !settings.keyboard_interactive),
        ("v4", settings.address_family == AddressFamily::V4),
        ("v6", settings.address_family == AddressFamily::V6),
    ] {
        if is_set {
            add(name.to_owned());
        }
    }
    settings.bind_address.iter().for_each(|address| add(format!("from={address}")));
    if settings.keepalive != Keepalive::default() {
        add(format!("alive={:?}*{}", settings.keepalive.interval, settings.keepalive.count));
    }
    if settings.connect_timeout != CONNECT_TIMEOUT {
        add(format!("within={:?}", settings.connect_timeout));
    }
    match &settings.proxy {
        Proxy::Direct => {}
        Proxy::Command(command) => add(format!("command={command}")),
        Proxy::Jump(jump) => add(format!("through {}", summary(jump, home))),
    }
    out
}

fn has_openssh() -> bool {
    Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn real_configurations_mean_the_same_with_and_without_openssh() {
    let with_openssh = has_openssh();
    if !with_openssh {
        eprintln!("skipped: half of real_configurations_mean_the_same_with_and_without_openssh: no ssh");
    }
    assert!(SHAPES.len() >= 20);
    for Shape { name, config, arguments, want, alone } in SHAPES {
        let home = home(config);
        let found = |ssh| summary(&resolve(home.path(), arguments, ssh).unwrap(), home.path());
        assert_eq!(found(None), alone.unwrap_or(want), "{name}, by ourselves");
        if with_openssh {
            assert_eq!(found(Some("ssh")), *want, "{name}, by OpenSSH");
        }
    }
}

#[test]
fn a_missing_or_failing_ssh_is_replaced() {
    let home = home("Host nas\n  Port 9\n");
    for ssh in ["/nonexistent/ssh", "false", "true"] {
        let settings = resolve(home.path(), &["nas"], Some(ssh)).unwrap();
        // A program that prints nothing resolves nothing; then our own defaults apply.
        assert_eq!(settings.port, if ssh == "true" { DEFAULT_PORT } else { 9 }, "{ssh}");
    }
}

#[test]
fn the_command_line_is_part_of_the_question() {
    if !has_openssh() {
        return eprintln!("skipped: the_command_line_is_part_of_the_question: no ssh");
    }
    let home = home("Match user ann\n  IdentityFile ~/.ssh/ann\n  Port 7\nHost *\n  ProxyJump gate\n");
    let found =
        |arguments: &[&str]| summary(&resolve(home.path(), arguments, Some("ssh")).unwrap(), home.path());
    assert_eq!(found(&["ann@nas"]), "ann@nas:7 key=~/.ssh/ann through me@gate:22");
    assert_eq!(found(&["-P", "9", "-J", "none", "ann@nas"]), "ann@nas:9 key=~/.ssh/ann");
    assert_eq!(found(&["-o", "Port=8", "-J", "x:7", "nas"]), "me@nas:8 through me@x:7 through me@gate:22");
    assert_eq!(found(&["-F", "none", "-o", "User=eve", "-6", "nas"]), "eve@nas:2222 v6");
}

#[test]
fn a_circle_of_jump_hosts_is_an_error() {
    let home = home("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n");
    let error = resolve(home.path(), &["a"], None).unwrap_err().to_string();
    assert!(error.contains("more than 8 jump hosts"), "{error}");
    let error = resolve(home.path(), &["-J", "b:x", "a"], None).unwrap_err().to_string();
    assert!(error.starts_with("jump host b:x: "), "{error}");
}
