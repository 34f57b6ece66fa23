//! Mixed work for a long time: whether the server still holds what it held at the beginning, and whether
//! every byte is right.

mod clients;
mod page;
mod series;
mod unrest;
mod worker;

use crate::files::empty;
use crate::servers::{self, ServerProcess};
use crate::stage::Stage;
use anyhow::{Result, bail};
use clients::WORKERS;
use series::{ProcessSample, Series};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the server is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How long its sessions, threads and descriptors may take to go when all clients are gone.
const SETTLE: Duration = Duration::from_secs(60);

/// What all that takes part shares.
pub(crate) struct Soak<'a> {
    stage: &'a Stage,
    server: ServerProcess,
    /// Why it ends before its time.
    failed: Mutex<Option<anyhow::Error>>,
    stop: AtomicBool,
    counts: Counts,
}

/// What has happened so far.
#[derive(Default)]
struct Counts {
    /// Files that were stored, fetched and compared, and their bytes.
    files: AtomicU64,
    bytes: AtomicU64,
    /// Sessions that were ended by an administrator, and commands of clients that failed by it.
    kicks: AtomicU64,
    cut: AtomicU64,
    /// Settings that were taken up, and broken ones that were refused.
    reloads: AtomicU64,
    refused: AtomicU64,
}

/// Lets everybody work for so long, and gives the page's table.
///
/// # Errors
/// If a byte was wrong, a client failed for no reason, or the server held more and more.
pub(crate) fn run(time: Duration, stage: &Stage) -> Result<String> {
    let workers: Vec<_> = WORKERS.iter().filter(|worker| worker.is_installed()).collect();
    for missing in WORKERS.iter().filter(|worker| !worker.is_installed()) {
        println!("{} is left out: its programs are missing, see scripts/install-test-deps", missing.user);
    }
    empty(&stage.files())?;
    let server = servers::sshomed(stage, &unrest::settings(stage, 0)?)?;
    let begin = ProcessSample::of(server.id())?;
    let soak = Soak {
        stage,
        server,
        failed: Mutex::new(None),
        stop: AtomicBool::new(false),
        counts: Counts::default(),
    };
    let series = thread::scope(|scope| {
        for worker in &workers {
            scope.spawn(|| soak.or_fail(|| worker.work(&soak)));
        }
        scope.spawn(|| soak.or_fail(|| unrest::disturb(&soak)));
        let series = soak.watch(time);
        soak.stop.store(true, Relaxed);
        series
    })?;
    if let Some(error) = soak.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let end = rest(&soak.server, begin)?;
    let books = unrest::books(stage)?;
    let verdict = series.verdict()?;
    Ok(page::text(&workers, &series, begin, end, &format!("{verdict} {books}")))
}

impl Soak<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Looks at the server until the time is over, or somebody has failed.
    fn watch(&self, time: Duration) -> Result<Series> {
        let (begun, mut series) = (Instant::now(), Series::default());
        while begun.elapsed() < time && !self.is_over() {
            thread::sleep(LOOK.min(time.saturating_sub(begun.elapsed())));
            let sample = ProcessSample::of(self.server.id());
            if sample.is_err() {
                // Nobody else would end.
                self.stop.store(true, Relaxed);
            }
            if let Some(row) = series.add(begun.elapsed(), sample?, &self.counts) {
                println!("{row}");
            }
        }
        Ok(series)
    }

    fn or_fail(&self, work: impl FnOnce() -> Result<()>) {
        if let Err(error) = work() {
            println!("failed: {error:#}");
            self.stop.store(true, Relaxed);
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
    }
}

/// Waits until the server has no more open than at the beginning, and one directory for each user that has
/// come since.
fn rest(server: &ServerProcess, begin: ProcessSample) -> Result<ProcessSample> {
    let begun = Instant::now();
    loop {
        let sample = ProcessSample::of(server.id())?;
        if sample.descriptors <= begin.descriptors + unrest::GUESTS {
            return Ok(sample);
        }
        if begun.elapsed() > SETTLE {
            bail!(
                "the server has {} descriptors open with no client left, and had {} at the beginning",
                sample.descriptors,
                begin.descriptors
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}
