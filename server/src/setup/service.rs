//! Starts the server that was set up, and waits until it answers.

use super::install::{SetupPlan, run};
use super::machine::Machine;
use super::{ServiceKind, SetupError, unit};
use crate::config::shown;
use crate::control::{self, ControlRequest, ControlResponse};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the server may take to answer. It answers before it has counted the homes.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The interval between two questions whether it runs.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The end of a log that an error quotes, in bytes.
const QUOTED_LOG_BYTES: usize = 2000;

/// Starts the server as the answers say. Returns lines for the administrator.
pub(super) fn start(machine: &Machine, plan: &SetupPlan) -> Result<String, SetupError> {
    match plan.answers.service {
        ServiceKind::None => Ok(format!("the server does not run. Start it with: {}\n", plan.command())),
        ServiceKind::Systemd => with_systemd(machine, plan),
        ServiceKind::Background => in_background(plan),
    }
}

fn with_systemd(machine: &Machine, plan: &SetupPlan) -> Result<String, SetupError> {
    let systemctl = machine.systemctl_text();
    run(machine.systemctl().arg("daemon-reload"))?;
    // The unit is started when the server is ready.
    run(machine.systemctl().args(["enable", "--now", unit::UNIT_NAME])).map_err(|error| {
        let why = format!("{error}; `{systemctl} status sshomed` shows why");
        SetupError::NotRunning { why }
    })?;
    let pid = answering(plan, || None)?;
    let mut text =
        format!("the server runs: process {pid}, unit sshomed; `{systemctl} status sshomed` shows it\n");
    if !machine.is_root {
        text += "it ends when you log out, unless you run: loginctl enable-linger\n";
    }
    Ok(text)
}

fn in_background(plan: &SetupPlan) -> Result<String, SetupError> {
    let folder = plan.answers.folder.join("log");
    let log = folder.join("console");
    let opened = console(&folder, &log);
    let (out, err) = opened.map_err(|error| SetupError::Create { file: log.clone(), error })?;
    let mut command = plan.serve();
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    // Ctrl-C in this terminal is not for the server.
    command.process_group(0);
    let failed = |error: io::Error| SetupError::NotRunning { why: error.to_string() };
    let mut child = command.spawn().map_err(failed)?;
    let pid = answering(plan, || ended(&mut child, &log))?;
    Ok(format!(
        "the server runs: process {pid}, until the machine is restarted; its log is {}\n\
         after a restart: {} &\n",
        shown(&log),
        plan.command()
    ))
}

/// The file with the server's output, opened twice.
fn console(folder: &PathBuf, log: &PathBuf) -> io::Result<(File, File)> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    Ok((file.try_clone()?, file))
}

/// Why a process has ended, if it has.
fn ended(child: &mut Child, log: &PathBuf) -> Option<String> {
    let status = child.try_wait().ok()??;
    let text = fs::read(log).unwrap_or_default();
    let end = text.len().saturating_sub(QUOTED_LOG_BYTES);
    let text = String::from_utf8_lossy(text.get(end..).unwrap_or_default()).trim().to_owned();
    Some(format!("it ended, {status}:\n{text}"))
}

/// Waits until the server answers. Returns its process id. `ended` returns why it never will.
fn answering(plan: &SetupPlan, mut ended: impl FnMut() -> Option<String>) -> Result<u32, SetupError> {
    let socket = plan.answers.folder.join("run/control");
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let error = match control::ask(&socket, &ControlRequest::Status) {
            Ok(ControlResponse::Status(status)) => return Ok(status.pid),
            Ok(_) => "it sent an unexpected answer".to_owned(),
            Err(error) => error.to_string(),
        };
        if let Some(why) = ended() {
            return Err(SetupError::NotRunning { why });
        }
        if Instant::now() >= deadline {
            return Err(SetupError::NotRunning { why: error });
        }
        sleep(POLL_INTERVAL);
    }
}
