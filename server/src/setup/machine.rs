//! The machine and the account that a server is set up on.

use crate::accounts::check_name;
use nix::unistd::{Uid, User};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The machine, as `sshomed setup` finds it.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) is_root: bool,
    /// The person who sets up the server: with sudo, the account that called it.
    pub(super) person: Option<User>,
    /// This program.
    pub(super) program: PathBuf,
    /// Whether systemd runs: as root that of the system, otherwise that of the account.
    pub(super) has_systemd: bool,
}

/// Public keys of a person, the best first.
const PUBLIC_KEYS: [&str; 3] = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];

impl Machine {
    /// Looks at this machine.
    pub(super) fn detect() -> Machine {
        let is_root = Uid::effective().is_root();
        // Unknown without /proc.
        let program = env::current_exe().unwrap_or_else(|_| PathBuf::from("sshomed"));
        let caller = env::var("SUDO_USER").ok().filter(|_| is_root);
        let person = match caller {
            Some(name) => User::from_name(&name),
            None if is_root => Ok(None),
            None => User::from_uid(Uid::effective()),
        };
        // An account that cannot be looked up only takes away defaults.
        let person = person.ok().flatten();
        let mut machine = Machine { is_root, person, program, has_systemd: false };
        machine.has_systemd = machine.runs_systemd();
        machine
    }

    /// `systemctl` for the service manager that would run the server.
    pub(super) fn systemctl(&self) -> Command {
        let mut command = Command::new("systemctl");
        if !self.is_root {
            command.arg("--user");
        }
        command.stdin(Stdio::null());
        command
    }

    /// The same as text.
    pub(super) fn systemctl_text(&self) -> &'static str {
        if self.is_root { "systemctl" } else { "systemctl --user" }
    }

    fn runs_systemd(&self) -> bool {
        let Ok(state) = self.systemctl().arg("is-system-running").output() else { return false };
        // It exits with an error in the states that are not "running", but those have units.
        let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
        ["running", "degraded", "starting", "initializing", "maintenance"].contains(&state.as_str())
    }

    /// The home directory of the person.
    pub(super) fn home(&self) -> Option<PathBuf> {
        let own = env::var_os("HOME").map(PathBuf::from).filter(|home| !self.is_root && home.is_absolute());
        own.or_else(|| self.person.as_ref().map(|person| person.dir.clone()))
    }

    /// The default of the server's folder.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        if self.is_root { Some("/srv/sshome".into()) } else { self.home().map(|home| home.join("sshome")) }
    }

    /// The person's name, if it can be a user's.
    pub(super) fn user(&self) -> Option<&str> {
        let name = self.person.as_ref().map(|person| person.name.as_str());
        name.filter(|name| *name != "root" && check_name(name).is_ok())
    }

    /// The person's public key.
    pub(super) fn key(&self) -> Option<PathBuf> {
        let folder = self.home()?.join(".ssh");
        PUBLIC_KEYS.iter().map(|name| folder.join(name)).find(|file| file.is_file())
    }

    /// The folder of units.
    pub(super) fn units(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some("/etc/systemd/system".into());
        }
        let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = config.or_else(|| self.home().map(|home| home.join(".config")))?;
        Some(config.join("systemd/user"))
    }

    /// The path that an answer names: `~/` is the home directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => Path::new(text).to_owned(),
        }
    }
}
