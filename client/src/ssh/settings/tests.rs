//! The settings of the command line, the configuration and the environment together.

use super::*;
use clap::Parser;
use std::path::Path;

fn resolve(config: &str, arguments: &[&str]) -> Result<Settings, SettingsError> {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/config"), config).unwrap();
    let cli = ClientCli::try_parse_from([&["sshome"], arguments].concat()).unwrap();
    let environment = Environment {
        home: Some(home.path().to_owned()),
        user: Some("me".to_owned()),
        agent: Some(PathBuf::from("/run/agent")),
        ..Environment::default()
    };
    let mut settings = Settings::resolve(&cli, &environment)?;
    // The home's name differs from run to run.
    for file in
        settings.identities.iter_mut().map(|identity| &mut identity.file).chain(&mut settings.known_hosts)
    {
        if let Ok(rest) = file.strip_prefix(home.path()) {
            *file = Path::new("~").join(rest);
        }
    }
    Ok(settings)
}

fn files(settings: &Settings) -> Vec<&str> {
    settings.identities.iter().map(|identity| identity.file.to_str().unwrap()).collect()
}

#[test]
fn default_settings() {
    let settings = resolve("", &["host"]).unwrap();
    assert_eq!((settings.host.as_str(), settings.port, settings.user.as_str()), ("host", 2222, "me"));
    assert_eq!(files(&settings), ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"]);
    assert_eq!(settings.known_hosts, [Path::new("~/.ssh/known_hosts")]);
    assert_eq!(settings.unknown_host, UnknownHost::Ask);
    assert_eq!(settings.connect_timeout, Duration::from_secs(15));
}

#[test]
fn keepalives_are_those_of_ssh_config() {
    let keepalive = |config: &str| resolve(config, &["host"]).unwrap().keepalive;
    assert_eq!(keepalive(""), Keepalive::default());
    let seconds = Some(Duration::from_secs(7));
    let config = "ServerAliveInterval 7\nServerAliveCountMax 2\nServerAliveInterval 9\n";
    assert_eq!(keepalive(config), Keepalive { interval: seconds, count: 2 });
    assert_eq!(keepalive("ServerAliveInterval 0\n").interval, None);
    assert!(resolve("ServerAliveCountMax x\n", &["host"]).is_err());
}

#[test]
fn the_command_line_overrides_the_configuration() {
    let config = "Host nas\nHostName %h.example.org\nPort 22\nUser alex\nIdentityFile %d/.ssh/%r-%h\n\
                  UserKnownHostsFile ~/x\nIdentityAgent none\nConnectTimeout 3\n";
    let settings = resolve(config, &["nas"]).unwrap();
    assert_eq!(
        (settings.host.as_str(), settings.port, settings.user.as_str()),
        ("nas.example.org", 22, "alex")
    );
    assert_eq!(files(&settings), ["~/.ssh/alex-nas.example.org"]);
    assert_eq!((settings.agent, settings.connect_timeout), (None, Duration::from_secs(3)));
    let settings =
        resolve(config, &["-i", "key", "-P", "9", "--known-hosts", "k", "--accept-new", "zcl@nas:9"])
            .unwrap();
    assert_eq!((settings.port, settings.user.as_str()), (9, "zcl"));
    assert_eq!(files(&settings), ["key", "~/.ssh/zcl-nas.example.org"]);
    assert_eq!(settings.known_hosts, [Path::new("k")]);
    assert_eq!(settings.unknown_host, UnknownHost::Accept);
}

#[test]
fn a_missing_configuration_is_fine_and_an_invalid_one_is_an_error() {
    assert_eq!(resolve("Port 9\n", &["-F", "none", "host"]).unwrap().port, 2222);
    assert!(resolve("", &["-F", "/nonexistent/config", "host"]).is_err());
    let said = resolve("", &["-P", "9", "nas:7"]).unwrap_err().to_string();
    assert!(said.contains("different ports"), "{said}");
    let said = resolve("IdentityFile ~/%z\n", &["host"]).unwrap_err().to_string();
    assert!(said.starts_with("~/%z: unknown %z"), "{said}");
}
