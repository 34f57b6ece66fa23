//! Other people's clients: programs that this machine may have or not.

use crate::Client;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where a program is, if this machine has it. If not, it is said which test that leaves out.
#[must_use]
pub fn program(name: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {test}: no {name} here; scripts/install-test-deps installs it");
    }
    found
}

/// A program that scripts/install-test-deps puts below the target folder, at this path there. If it is
/// missing, the test that this leaves out is named.
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
    /// Somebody else's program, in this client's folder and with its home directory, and with nothing
    /// of our own environment in its.
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

    /// What OpenSSH's programs are told so that they reach the server and log in; `-p` or `-P PORT`
    /// is left to the caller, since they do not agree on it.
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
