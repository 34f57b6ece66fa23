//! Any text as `etc/users.toml`. Each mistake names an existing line, and its message has no control characters. Text
//! without a mistake gives the same settings when it is read again, and no two homes overlap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshomed::config::{self, ConfigError};
use std::sync::LazyLock;
use tempfile::TempDir;

static DIR: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("etc")).expect("a folder");
    dir
});

fuzz_target!(|text: &str| {
    // The text could name files outside the folder, such as a device without an end. They must not be read.
    if text.contains("/") {
        return;
    }
    std::fs::write(DIR.path().join("etc/users.toml"), text).expect("a file");
    match config::load(DIR.path(), None, &[]) {
        Ok(config) => {
            let again = config.load_again().expect("it was read before");
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            for (index, one) in config.accounts.iter().enumerate() {
                for other in config.accounts.iter().skip(index + 1) {
                    assert!(one.name != other.name && !one.root.starts_with(&other.root));
                    assert!(!other.root.starts_with(&one.root), "{:?} is in {:?}", other.root, one.root);
                }
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
            let ConfigError::Invalid { mistakes, .. } = error else { panic!("{told}") };
            assert!(!mistakes.is_empty());
            let lines = text.lines().count().max(1) + usize::from(text.ends_with('\n'));
            for mistake in mistakes {
                assert!(mistake.line.is_none_or(|line| (1..=lines).contains(&line)), "{mistake:?}");
            }
        }
    }
});
