//! Writes the folder of a server and its unit. Nothing that exists is changed.

use super::answers::SetupAnswers;
use super::machine::Machine;
use super::{ServiceKind, SetupError, settings, unit};
use crate::config::{Algorithms, shown};
use crate::host_key::load_or_make;
use crate::invocation::quoted;
use nix::unistd::User;
use russh::keys::HashAlg;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// Everything that is to be written, checked.
pub(super) struct SetupPlan {
    pub(super) answers: SetupAnswers,
    program: PathBuf,
    settings: Zeroizing<String>,
    /// The file and the text of the unit, if there is to be one.
    pub(super) unit: Option<(PathBuf, String)>,
}

impl SetupPlan {
    /// Checks that everything can be written.
    pub(super) fn new(machine: &Machine, answers: SetupAnswers) -> Result<SetupPlan, SetupError> {
        let settings = settings::text(&answers)?;
        let unit = match answers.service {
            ServiceKind::Systemd => Some(new_unit(machine, &answers)?),
            ServiceKind::Background | ServiceKind::None => None,
        };
        if answers.account.is_some() && !others_can_run(&machine.program) {
            let program = shown(&machine.program);
            let why = format!(
                "{program} cannot be run by other accounts: install -m 755 {program} /usr/local/bin/, and run that"
            );
            return Err(SetupError::Answer { option: "--account", why });
        }
        Ok(SetupPlan { answers, program: machine.program.clone(), settings, unit })
    }

    /// Writes the account, the folder, the host key, the settings and the unit. Returns the fingerprint of the host key.
    pub(super) fn write(&self) -> Result<String, SetupError> {
        let folder = &self.answers.folder;
        let owner = self.answers.account.as_deref().map(|name| account(name, folder)).transpose()?;
        let owner = owner.as_ref().map(|user| (user.uid.as_raw(), user.gid.as_raw()));
        for dir in [folder.clone(), folder.join("etc")] {
            make_folder(&dir, 0o750, owner).map_err(|error| SetupError::Create { file: dir, error })?;
        }
        let key = host_key(&folder.join("keys/host_ed25519"), owner)?;
        create(&folder.join("etc/users.toml"), 0o600, self.settings.as_bytes(), owner)?;
        if let Some((file, text)) = &self.unit {
            let units = file.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(units)
                .map_err(|error| SetupError::Create { file: units.to_owned(), error })?;
            match create(file, 0o644, text.as_bytes(), None) {
                // The same text, as the plan found.
                Err(SetupError::Exists { .. }) => {}
                created => created?,
            }
        }
        Ok(key)
    }

    /// The program and its folder, as a command begins.
    pub(super) fn command(&self) -> String {
        let folder = quoted(&self.answers.folder.to_string_lossy());
        format!("{} --dir {folder}", quoted(&self.program.to_string_lossy()))
    }

    /// The command that starts the server in the foreground.
    pub(super) fn serve(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--dir").arg(&self.answers.folder);
        command
    }
}

/// The unit, unless a different one has its name.
fn new_unit(machine: &Machine, answers: &SetupAnswers) -> Result<(PathBuf, String), SetupError> {
    let text = unit::text(answers, &machine.program)?;
    let units = machine.units().ok_or_else(|| SetupError::Answer {
        option: "--service",
        why: "this account has no home directory for units: choose background or none".to_owned(),
    })?;
    let file = units.join(unit::UNIT_NAME);
    match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((file, text)),
        Ok(found) if found == text.as_bytes() => Ok((file, text)),
        _ => {
            let remedy =
                "it may be that of another server; use --service none, and write a unit of another name";
            Err(SetupError::Exists { file, remedy: remedy.to_owned() })
        }
    }
}

/// Whether any account can run a program.
fn others_can_run(program: &Path) -> bool {
    let passes = |path: &Path| fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 != 0);
    program.ancestors().all(passes)
}

/// The system account, which is created if it is missing.
fn account(name: &str, folder: &Path) -> Result<User, SetupError> {
    let found = || User::from_name(name).ok().flatten();
    if let Some(user) = found() {
        return Ok(user);
    }
    let mut useradd = Command::new("useradd");
    useradd.args(["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]);
    useradd.arg("--home-dir").arg(folder).arg(name).stdin(Stdio::null());
    run(&mut useradd)?;
    found().ok_or_else(|| SetupError::Command {
        command: "useradd".to_owned(),
        why: format!("there is still no account {name}"),
    })
}

/// Runs a command. Fails if it does.
pub(super) fn run(command: &mut Command) -> Result<(), SetupError> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let text = words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let why = match command.output() {
        Ok(done) if done.status.success() => return Ok(()),
        Ok(done) => format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim()),
        Err(error) => error.to_string(),
    };
    Err(SetupError::Command { command: text, why })
}

/// The fingerprint of the host key. A missing one is generated: root would keep it for itself at the server's first start.
fn host_key(file: &Path, owner: Option<(u32, u32)>) -> Result<String, SetupError> {
    let failed = |error| SetupError::Create { file: file.to_owned(), error };
    let folder = file.parent().unwrap_or(Path::new("/"));
    make_folder(folder, 0o700, owner).map_err(failed)?;
    let (key, is_new) = load_or_make(file, Algorithms::Strict)?;
    if let Some((uid, gid)) = owner.filter(|_| is_new) {
        chown(file, Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

/// Makes a folder that belongs to the server. An empty one that exists is given to it.
fn make_folder(folder: &Path, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    let is_new = match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        made => made.map(|()| true)?,
    };
    match owner {
        Some((uid, gid)) if is_new || fs::read_dir(folder)?.next().is_none() => {
            chown(folder, Some(uid), Some(gid))
        }
        _ => Ok(()),
    }
}

/// Creates a file. Never replaces one.
fn create(file: &Path, mode: u32, content: &[u8], owner: Option<(u32, u32)>) -> Result<(), SetupError> {
    let write = || {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        new.write_all(content)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::fchown(&new, Some(uid), Some(gid))?;
        }
        new.sync_all()?;
        File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            SetupError::Exists { file: file.to_owned(), remedy: "remove it, or set up elsewhere".to_owned() }
        }
        _ => SetupError::Create { file: file.to_owned(), error },
    })
}
