use crate::{Outcome, binary};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An administrator of a running server, who uses `sshomed` as a program.
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

    /// The same with a line of standard input.
    ///
    /// # Panics
    /// If the program cannot be run.
    #[must_use]
    pub fn input(&self, arguments: &[&str], line: &str) -> Outcome {
        let mut command = Command::new(binary("sshomed").unwrap());
        command.arg("--dir").arg(&self.dir).args(arguments);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // A program that does not read its input may close the pipe.
        let _ = writeln!(child.stdin.take().unwrap(), "{line}");
        child.wait_with_output().unwrap().into()
    }

    /// Its output as JSON.
    ///
    /// # Panics
    /// If it fails, or its output is not JSON.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        serde_json::from_slice(&outcome.stdout).unwrap()
    }
}
