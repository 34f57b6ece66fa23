//! Any text as the client's `~/.ssh/config`. A mistake names an existing line, and its message has no control
//! characters. Text that is added at the end does not change the settings of a host.
#![no_main]

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use sshome::cli::ClientCli;
use sshome::ssh::{Environment, Settings, SettingsError, SshConfigError};
use std::sync::LazyLock;
use tempfile::TempDir;

static HOME: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(dir.path().join(".ssh")).expect("a folder");
    dir
});

fuzz_target!(|text: &[u8]| {
    let more = [text, b"\nHost *\nUser behind\nPort 9\n"].concat();
    match (resolve(text), resolve(&more)) {
        (Ok(settings), Ok(longer)) => {
            assert!(longer.user == settings.user || (&*settings.user, &*longer.user) == ("me", "behind"));
            assert!(longer.port == settings.port || (settings.port, longer.port) == (2222, 9));
            assert_eq!(longer.unknown_host, settings.unknown_host);
        }
        (Err(error), longer) => {
            let told = error.to_string();
            assert!(!told.contains(char::is_control), "{told:?}");
            assert_eq!(longer.err().map(|error| error.to_string()), Some(told));
            if let SettingsError::Config(SshConfigError::Line { line, .. }) = error {
                let lines = String::from_utf8_lossy(text).lines().count();
                assert!((1..=lines).contains(&line), "{line} of {lines}");
            }
        }
        (Ok(_), Err(error)) => panic!("what was added is no mistake: {error}"),
    }
});

fn resolve(text: &[u8]) -> Result<Settings, SettingsError> {
    std::fs::write(HOME.path().join(".ssh/config"), text).expect("a file");
    let cli = ClientCli::try_parse_from(["sshome", "nas"]).expect("a command line");
    let environment = Environment {
        home: Some(HOME.path().to_owned()),
        user: Some("me".to_owned()),
        ..Environment::default()
    };
    Settings::resolve(&cli, &environment)
}
