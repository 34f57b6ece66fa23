//! The rounds of a user: files are made, uploaded, compared on the server's disk, downloaded, compared and removed.

use super::Soak;
use super::clients::{SoakClient, Worker};
use crate::files::{empty, same};
use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;

/// The largest number of tries of a command, for a user whose sessions are ended again and again.
const MAX_ATTEMPTS: usize = 200;

/// The exit code of timeout(1) if the time was over.
const TIMEOUT_EXIT_CODE: i32 = 124;

/// The working folder of a user's client.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn top(&self) -> &Path {
        &self.0
    }

    pub(super) fn source(&self) -> PathBuf {
        self.0.join("source")
    }

    pub(super) fn back(&self) -> PathBuf {
        self.0.join("back")
    }

    pub(super) fn mount(&self) -> PathBuf {
        self.0.join("mount")
    }

    /// The name of a file in `source`.
    pub(super) fn file(number: usize) -> String {
        format!("file{number:03}")
    }
}

impl Worker {
    /// Runs rounds until the soak is over.
    pub(super) fn work(&self, soak: &Soak<'_>) -> Result<()> {
        let place = Place(soak.stage.path().join("soak").join(self.user));
        for folder in [place.source(), place.back(), place.mount()] {
            fs::create_dir_all(folder)?;
        }
        let mut random: StdRng = rand::make_rng();
        let mut round = 0;
        while !soak.is_over() {
            round += 1;
            self.round(soak, &place, &mut random).with_context(|| format!("{}, round {round}", self.user))?;
        }
        Ok(())
    }

    fn round(&self, soak: &Soak<'_>, place: &Place, random: &mut StdRng) -> Result<()> {
        let bytes = self.plant(&place.source(), random)?;
        let stored = soak.stage.sshomed().join("home").join(self.user).join("source");
        self.persist(soak, place, || self.store(soak, place)).context("storing")?;
        same(&place.source(), &stored).context("what was stored is not what was sent")?;
        empty(&place.back())?;
        self.persist(soak, place, || self.fetch(soak, place)).context("fetching")?;
        same(&place.source(), &place.back().join("source"))
            .context("what was fetched is not what was sent")?;
        // Its connection may be lost after the removal: then there is nothing to remove.
        while stored.exists() {
            self.attempt(soak, place, self.remove(soak, place)?).context("removing")?;
        }
        soak.counts.files.fetch_add(self.files as u64, Relaxed);
        soak.counts.bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Makes new files, some of them short and some long. Returns their total in bytes.
    fn plant(&self, folder: &Path, random: &mut StdRng) -> Result<u64> {
        let mut sum = 0;
        for number in 0..self.files {
            let most = if number % 4 == 0 { self.longest } else { self.longest / 16 };
            // A long session always has many bytes.
            let least = if self.client == SoakClient::SshomeAtLength { most } else { 0 };
            let mut content = vec![0; random.random_range(least..=most)];
            random.fill_bytes(&mut content);
            fs::write(folder.join(Place::file(number)), &content)?;
            sum += content.len() as u64;
        }
        Ok(sum)
    }

    /// Runs a client until it succeeds: at the first try, unless the user is kicked.
    fn persist(&self, soak: &Soak<'_>, place: &Place, command: impl Fn() -> Result<Command>) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            if self.attempt(soak, place, command()?)? {
                return Ok(());
            }
        }
        bail!("not once in {MAX_ATTEMPTS} tries")
    }

    /// Runs a client. Returns whether it succeeded. It may only fail for a user who is kicked.
    fn attempt(&self, soak: &Soak<'_>, place: &Place, mut command: Command) -> Result<bool> {
        let log = place.top().join("log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let status = command.status().context("running timeout")?;
        if status.success() {
            return Ok(true);
        }
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        ensure!(status.code() != Some(TIMEOUT_EXIT_CODE), "the client hung; it said:\n{said}");
        ensure!(self.is_kicked, "the client ended with {status}; it said:\n{said}");
        soak.counts.cut.fetch_add(1, Relaxed);
        Ok(false)
    }
}
