//! Disturbances by an administrator: changed settings, broken settings, ended sessions.

use super::Soak;
use super::clients::WORKERS;
use crate::servers::user;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Command, Output};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

/// The interval of disturbances.
const CHANGE_INTERVAL: Duration = Duration::from_millis(1500);

/// The number of users that are added and removed.
pub(super) const GUESTS: usize = 4;

/// The rate limit of each user, so that all get CPU time, and transfers last long enough to be interrupted.
const LIMITED_RATE: &str = "60 MiB/s";

/// The settings of a step: guests are added and removed, and limits change.
pub(super) fn settings(stage: &Stage, step: usize) -> Result<String> {
    let sessions = 100 + step % 7;
    let mut text = format!(
        "[server.limits]\nmax-startups = \"1000:30:2000\"\nsessions-per-user = {sessions}\n\n\
         [defaults]\nupload-rate = \"{LIMITED_RATE}\"\ndownload-rate = \"{LIMITED_RATE}\"\nmax-files = {}\n",
        100_000 + step
    );
    for worker in &WORKERS {
        text += &user(stage, worker.user)?;
    }
    for guest in 0..step % (GUESTS + 1) {
        text += &user(stage, &format!("guest{guest}"))?;
    }
    Ok(text)
}

/// Disturbs the server until the soak is over.
pub(super) fn disturb(soak: &Soak<'_>) -> Result<()> {
    let kicked: Vec<&str> =
        WORKERS.iter().filter(|worker| worker.is_kicked).map(|worker| worker.user).collect();
    let mut turns = kicked.iter().cycle();
    let mut step = 0;
    while !soak.is_over() {
        step += 1;
        match step % 4 {
            // The server notices the change by itself.
            0 => write(soak.stage, &settings(soak.stage, step)?)?,
            1 => {
                kill_process(process(soak)?, Signal::HUP)?;
                soak.counts.reloads.fetch_add(1, Relaxed);
            }
            2 => reload(soak, step)?,
            _ => broken(soak, step)?,
        }
        let user = turns.next().context("nobody is kicked")?;
        // The user may have no session at the moment.
        if ask(soak.stage, &["kick", user])?.status.success() {
            soak.counts.kicks.fetch_add(1, Relaxed);
        }
        thread::sleep(CHANGE_INTERVAL);
    }
    Ok(())
}

/// Compares the accounting with the disk. Returns the result as text.
pub(super) fn books(stage: &Stage) -> Result<String> {
    let output = ask(stage, &["quota", "scan", "--json"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "quota scan failed: {said}");
    let answer: serde_json::Value = serde_json::from_str(&said)?;
    let homes = answer.get("homes").and_then(|homes| homes.as_array()).context("a scan without homes")?;
    for home in homes {
        let off = |key: &str| home.get("compared")?.get(key)?.as_i64();
        let agrees = off("bytes_off") == Some(0) && off("entries_off") == Some(0);
        ensure!(agrees, "the books are not the disk's: {home}");
    }
    Ok(format!("The accounting of {} homes equalled the disk, to the byte.", homes.len()))
}

fn reload(soak: &Soak<'_>, step: usize) -> Result<()> {
    write(soak.stage, &settings(soak.stage, step)?)?;
    let output = ask(soak.stage, &["reload"])?;
    ensure!(output.status.success(), "reload: {}", String::from_utf8_lossy(&output.stderr));
    soak.counts.reloads.fetch_add(1, Relaxed);
    Ok(())
}

/// Writes settings with a mistake, which must not change anything.
fn broken(soak: &Soak<'_>, step: usize) -> Result<()> {
    let settings = settings(soak.stage, step)?;
    write(soak.stage, &settings.replace("max-files", "most-files"))?;
    let output = ask(soak.stage, &["reload"])?;
    ensure!(!output.status.success(), "settings with a mistake were taken up");
    soak.counts.refused.fetch_add(1, Relaxed);
    write(soak.stage, &settings)
}

/// Replaces the settings atomically, as editors do.
fn write(stage: &Stage, settings: &str) -> Result<()> {
    let folder = stage.sshomed().join("etc");
    fs::write(folder.join("users.toml.new"), settings)?;
    Ok(fs::rename(folder.join("users.toml.new"), folder.join("users.toml"))?)
}

fn ask(stage: &Stage, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(stage.binaries.join("sshomed"));
    command.arg("--dir").arg(stage.sshomed()).args(words);
    command.output().context("running sshomed")
}

fn process(soak: &Soak<'_>) -> Result<Pid> {
    i32::try_from(soak.server.id()).ok().and_then(Pid::from_raw).context("a process has no id")
}
