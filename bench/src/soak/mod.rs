//! The soak test: mixed work for a long time. The server's memory and descriptors may not grow, and every byte has to
//! be right.

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

/// The interval of samples of the server.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// The time limit for the end of its sessions, threads and descriptors after the last client.
const SERVER_IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The shared state of a soak.
pub(crate) struct Soak<'a> {
    stage: &'a Stage,
    server: ServerProcess,
    /// The failure that ends it early.
    failed: Mutex<Option<anyhow::Error>>,
    stop: AtomicBool,
    counts: Counts,
}

/// The counters.
#[derive(Default)]
struct Counts {
    /// Files that were uploaded, downloaded and compared, and their bytes.
    files: AtomicU64,
    bytes: AtomicU64,
    /// Sessions that an administrator ended, and commands that failed because of that.
    kicks: AtomicU64,
    cut: AtomicU64,
    /// Settings that were applied, and broken ones that were refused.
    reloads: AtomicU64,
    refused: AtomicU64,
}

/// Runs all workers for this time. Returns the table of the page.
///
/// # Errors
/// If a byte was wrong, a client failed for no reason, or the server's use of resources grew.
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

    /// Samples the server until the time is over, or a worker fails.
    fn watch(&self, time: Duration) -> Result<Series> {
        let (begun, mut series) = (Instant::now(), Series::default());
        while begun.elapsed() < time && !self.is_over() {
            thread::sleep(SAMPLE_INTERVAL.min(time.saturating_sub(begun.elapsed())));
            let sample = ProcessSample::of(self.server.id());
            if sample.is_err() {
                // The other threads end, too.
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

/// Waits until the server has no more descriptors than at the beginning, apart from a directory for each new user.
fn rest(server: &ServerProcess, begin: ProcessSample) -> Result<ProcessSample> {
    let begun = Instant::now();
    loop {
        let sample = ProcessSample::of(server.id())?;
        if sample.descriptors <= begin.descriptors + unrest::GUESTS {
            return Ok(sample);
        }
        if begun.elapsed() > SERVER_IDLE_LIMIT {
            bail!(
                "the server has {} descriptors open with no client left, and had {} at the beginning",
                sample.descriptors,
                begin.descriptors
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}
