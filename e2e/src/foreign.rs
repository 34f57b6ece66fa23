//! Other people's clients, which may not be installed.

use crate::Client;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The path of a program, if it is installed. If not, the skipped test is reported.
#[must_use]
pub fn program(name: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {test}: no {name} here; scripts/install-test-deps installs it");
    }
    found
}

/// A program that scripts/install-test-deps puts below the target folder, at this path. If it is missing, the skipped
/// test is reported.
///
/// # Panics
/// If the test does not run as target/PROFILE/deps/NAME.
#[must_use]
pub fn installed(path: &str, test: &str) -> Option<PathBuf> {
    let test_program = std::env::current_exe().unwrap();
    let target = test_program.ancestors().nth(3).unwrap();
    program(target.join(path).to_str().unwrap(), test)
}

impl Client {
    /// Another program in this client's folder, with its home directory and a clean environment.
    #[must_use]
    pub fn foreign(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("TERM", "xterm")
            .env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The options that OpenSSH's programs need to reach the server and log in. The caller adds `-p` or `-P PORT`, on
    /// which they differ.
    #[must_use]
    pub fn openssh_options(&self) -> Vec<String> {
        let known = format!("UserKnownHostsFile={}", self.known_hosts().display());
        // Not `-i`, which sshfs does not have.
        let key = format!("IdentityFile={}", self.key().display());
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        for option in ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", &known, &key] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// OpenSSH's `ssh`, ready for a command.
    #[must_use]
    pub fn ssh(&self, program: PathBuf) -> Command {
        let mut command = self.foreign(program);
        command.args(self.openssh_options()).args(["-p", &self.port(), &self.destination()]);
        command
    }

    /// OpenSSH's `scp` in its old protocol, ready for names.
    #[must_use]
    pub fn old_scp(&self, program: PathBuf) -> Command {
        let mut command = self.foreign(program);
        command.args(self.openssh_options()).args(["-O", "-P", &self.port()]);
        command
    }
}
