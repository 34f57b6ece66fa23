//! Our own reading of ssh_config.

use super::*;
use std::fs;
use std::path::Path;

const CONFIG: &str = "\
# before any Host: for all
IgnoreUnknown Strange*,Odd
StrangeThing yes
Compression yes

Host nas nas.*
    HostName %h.example.org
    port=2200
    User \"alex b\"   # a comment
    IdentityFile ~/.ssh/nas
    StrictHostKeyChecking accept-new

Host * !*.example.org
    User zcl
    IdentityFile = %d/.ssh/%r
    IdentitiesOnly yes
    UserKnownHostsFile ~/a \"~/b c\"
    ProxyJump none
";

/// What a file in a home directory says about a host, with notes. `DIR` stands for the directory.
fn read_file(text: &str, query: HostQuery<'_>) -> Result<(HostConfig, Vec<String>), SshConfigError> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("more")).unwrap();
    fs::write(dir.path().join("more/1.conf"), "Host nas\nUser included\nMatch user included\nPort 9\n")
        .unwrap();
    fs::write(dir.path().join("more/2.conf"), "User second\n").unwrap();
    fs::write(dir.path().join("circle"), "Include circle\n").unwrap();
    let path = dir.path().join("config");
    fs::write(&path, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    let file = ConfigFile { path, is_named: true, base: dir.path().to_owned() };
    read(&[file], HostQuery { home: Some(dir.path()), ..query })
}

const QUERY: HostQuery<'_> =
    HostQuery { host: "nas", user: None, local_user: Some("me"), home: None, options: &[] };

fn config(text: &str) -> HostConfig {
    let (config, notes) = read_file(text, QUERY).unwrap();
    assert!(notes.is_empty(), "{text}: {notes:?}");
    config
}

#[test]
fn the_first_value_wins_and_identity_files_accumulate() {
    let (config, _) = read_file(CONFIG, HostQuery { host: "NAS", ..QUERY }).unwrap();
    assert_eq!(config.host_name.as_deref(), Some("NAS.example.org"));
    assert_eq!((config.port, config.user.as_deref()), (Some(2200), Some("alex b")));
    assert_eq!(config.identity_files, ["~/.ssh/nas", "%d/.ssh/%r"]);
    assert_eq!(config.identities_only, Some(true));
    assert_eq!(config.known_hosts, Some(vec!["~/a".to_owned(), "~/b c".to_owned()]));
    assert_eq!(config.unknown_host, Some(UnknownHost::Accept));
}

#[test]
fn a_negated_pattern_does_not_match() {
    let user = |host| read_file(CONFIG, HostQuery { host, ..QUERY }).unwrap().0.user;
    assert_eq!(user("x.example.org"), None);
    assert_eq!(user("elsewhere").as_deref(), Some("zcl"));
}

#[test]
fn options_come_first() {
    let options = ["Port=9".to_owned(), "User  ann".to_owned()];
    let (config, _) =
        read_file("Port 7\nUser x\nBatchMode yes", HostQuery { options: &options, ..QUERY }).unwrap();
    assert_eq!((config.port, config.user.as_deref(), config.batch), (Some(9), Some("ann"), Some(true)));
    let options = ["Port=many".to_owned()];
    let error = read_file("", HostQuery { options: &options, ..QUERY }).unwrap_err().to_string();
    assert_eq!(error, "-o Port=many: many is not a port (1 to 65535)");
}

#[test]
fn matches_on_hosts_and_users_are_decided() {
    for (line, query, want) in [
        ("Match all", QUERY, true),
        ("Match host nas", QUERY, true),
        ("Match host=n*,!nas", QUERY, false),
        ("Match !host other user me", QUERY, true),
        ("Match user ann", HostQuery { user: Some("ann"), ..QUERY }, true),
        ("Match localuser you", QUERY, false),
        ("Match originalhost nas localuser me", QUERY, true),
        ("Match final all", QUERY, true),
        ("Match canonical", QUERY, false),
        ("Match host other exec \"touch DIR/ran\"", QUERY, false),
        ("HostName x\nMatch host x", QUERY, true),
        ("User x\nMatch user x", QUERY, true),
    ] {
        let (config, notes) = read_file(&format!("{line}\nPort 9\n"), query).unwrap();
        assert_eq!((config.port.is_some(), notes.len()), (want, 0), "{line}");
    }
}

#[test]
fn what_only_openssh_can_decide_is_skipped_with_a_note() {
    for line in
        ["Match exec \"true\"", "Match host nas exec true", "Match localnetwork 10.0.0.0/8", "Match tagged x"]
    {
        let (config, notes) = read_file(&format!("{line}\nPort 9\nHost nas\nUser ann\n"), QUERY).unwrap();
        assert_eq!((config.port, config.user.as_deref()), (None, Some("ann")));
        assert!(notes[0].contains("config:1: Match ") && notes.len() == 1, "{notes:?}");
    }
}

#[test]
fn files_are_included_where_their_line_applies() {
    let included = config("Include more/*.conf\nPort 7\n");
    assert_eq!((included.user.as_deref(), included.port), (Some("included"), Some(9)));
    let included = config("Host other\nInclude more/*.conf\nHost nas\nPort 7\n");
    assert_eq!((included.user.as_deref(), included.port), (None, Some(7)));
    // The lines of an included file do not change which section the lines after it belong to.
    let included = config("Host nas\nInclude more/1.conf missing\nPort 7\nInclude ~/more/2.conf\n");
    assert_eq!((included.user.as_deref(), included.port), (Some("included"), Some(9)));
    assert_eq!(config("Include \"DIR/more/2.conf\"").user.as_deref(), Some("second"));
    let error = read_file("Include circle", QUERY).unwrap_err().to_string();
    assert!(error.contains("circle:1: too many files include each other"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    fs::write(&path, "Port 9\n").unwrap();
    let read = |mode, is_named| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&[ConfigFile { path: path.clone(), is_named, base: dir.path().to_owned() }], QUERY)
    };
    assert!(read(0o644, false).is_ok() && read(0o646, true).is_ok());
    let error = read(0o646, false).unwrap_err().to_string();
    assert!(error.contains("chmod go-w"), "{error}");
}

#[test]
fn an_unknown_keyword_is_noted_and_ignored() {
    let (config, notes) = read_file("Prot 22\nHost nas\n  Usr \"open\n  Port 9\n", QUERY).unwrap();
    assert_eq!(config.port, Some(9));
    assert!(notes.len() == 2 && notes[0].ends_with("config:1: unknown keyword prot ignored"), "{notes:?}");
    // What does not concern the host, or this client, is not looked at.
    self::config(
        "Host other\n  Prot 22\n  Port many\n  ProxyUseFdpass yes\nHost nas\n  RemoteCommand echo \"x\n",
    );
}

#[test]
fn an_option_that_would_change_the_route_is_refused_where_it_applies() {
    for text in ["BindInterface eth0", "Host nas\nProxyUseFdpass yes"] {
        let error = read_file(text, QUERY).unwrap_err().to_string();
        assert!(error.contains("not supported") && error.contains("-F"), "{error}");
    }
    config("ProxyUseFdpass no");
}

#[test]
fn the_first_of_the_two_proxies_wins() {
    let jump = |list: &str| Some(ProxyConfig::Jump(list.to_owned()));
    assert_eq!(config("ProxyJump a,b\nProxyCommand x\n").proxy, jump("a,b"));
    let command = r#"ssh -W "%h:%p" x # all of it"#;
    let found = config(&format!("ProxyCommand={command}  \nProxyJump a\n")).proxy;
    assert_eq!(found, Some(ProxyConfig::Command(command.to_owned())));
}

#[test]
fn times_have_units() {
    for (text, seconds) in [("90", 90), ("1m30s", 90), ("2H", 7200), ("1d", 86400), ("1w", 604_800)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "m", "1x", "-1", "1m30q"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn errors_name_their_line() {
    for text in [
        "Port 0",
        "Port many",
        "User",
        "User a b",
        "Host",
        "Match",
        "Match host",
        "Include",
        "ProxyCommand",
        "IdentityFile \"open",
        "StrictHostKeyChecking perhaps",
        "IdentitiesOnly maybe",
        "AddressFamily inet5",
        "Host nas\nConnectTimeout soon",
    ] {
        let error = read_file(text, QUERY).unwrap_err();
        let SshConfigError::Line { line, .. } = &error else { panic!("{error}") };
        assert_eq!(*line, text.lines().count(), "{text}");
    }
    let error = read_file("\nPort x\n", QUERY).unwrap_err().to_string();
    assert!(error.ends_with("config:2: x is not a port (1 to 65535)"), "{error}");
    let missing =
        ConfigFile { path: "/nonexistent/config".into(), is_named: true, base: Path::new("/").into() };
    assert!(read(&[missing], QUERY).is_err());
}
