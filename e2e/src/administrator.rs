use crate::{Outcome, binary};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Somebody who asks a running server, with `sshomed` as a program.
pub struct Administrator {
    dir: PathBuf,
}

impl Administrator {
    pub(crate) fn of(dir: PathBuf) -> Administrator {
        Administrator { dir }
    }

    /// Runs `sshomed` in the server's folder.
    ///
    /// # Panics
    /// If the program cannot be run.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(binary("sshomed").unwrap());
        command.arg("--dir").arg(&self.dir).args(arguments).output().unwrap().into()
    }

    /// What it says as JSON.
    ///
    /// # Panics
    /// If it fails, or says something else.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        serde_json::from_slice(&outcome.stdout).unwrap()
    }
}
