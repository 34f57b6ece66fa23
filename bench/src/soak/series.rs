//! The samples of the server's resources, and whether they grew.

use super::Counts;
use crate::measure::kib;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time of a row of the table.
const ROW_INTERVAL: Duration = Duration::from_secs(120);

/// The number of ignored samples at the beginning: five minutes. By then the allocator has reached its maximum.
const WARM_UP: usize = 60;

/// The smallest number of samples after them for a verdict.
const MIN_SAMPLES: usize = 60;

/// From the first third after the warm-up to the last, the mean memory may grow by this share plus a number of bytes:
/// thirds differ by as much at random.
const MORE_MEMORY: f64 = 0.15;
const MORE_BYTES: f64 = 16e6;

/// The median number of descriptors may grow by this many: two more sessions with their files. The maximum is random,
/// since a put of a tree has dozens open for a moment.
const MORE_DESCRIPTORS: usize = 24;

/// A sample of the server's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessSample {
    /// Resident memory, in bytes.
    pub(super) memory: u64,
    pub(super) descriptors: usize,
    pub(super) threads: u64,
}

/// The samples of a row.
#[derive(Debug, Default)]
pub(super) struct SoakRow {
    until: Duration,
    samples: Vec<ProcessSample>,
    /// The counts of its time: files, bytes, kicks, interrupted commands, reloads, broken settings.
    happened: [u64; 6],
}

#[derive(Default)]
pub(super) struct Series {
    pub(super) rows: Vec<SoakRow>,
    samples: Vec<ProcessSample>,
    current: Vec<ProcessSample>,
    before: [u64; 6],
}

impl ProcessSample {
    pub(super) fn of(process: u32) -> Result<ProcessSample> {
        let gone = || "the server has ended";
        let status = fs::read_to_string(format!("/proc/{process}/status")).with_context(gone)?;
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
        Ok(ProcessSample {
            memory: kib(&status, "VmRSS:").with_context(gone)?,
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).with_context(gone)?.count(),
            threads: threads.and_then(|threads| threads.trim().parse().ok()).with_context(gone)?,
        })
    }
}

impl Series {
    /// Adds a sample. Returns a row once it is complete.
    pub(super) fn add(&mut self, at: Duration, sample: ProcessSample, counts: &Counts) -> Option<&SoakRow> {
        self.samples.push(sample);
        self.current.push(sample);
        if at < ROW_INTERVAL * u32::try_from(self.rows.len() + 1).ok()? {
            return None;
        }
        let now = counts.all();
        let before = std::mem::replace(&mut self.before, now);
        let mut happened = now;
        happened.iter_mut().zip(before).for_each(|(now, before)| *now -= before);
        self.rows.push(SoakRow { until: at, samples: std::mem::take(&mut self.current), happened });
        self.rows.last()
    }

    /// The verdict that nothing grew.
    ///
    /// # Errors
    /// If it did.
    pub(super) fn verdict(&self) -> Result<String> {
        let samples = self.samples.get(WARM_UP..).unwrap_or_default();
        if samples.len() < MIN_SAMPLES {
            return Ok("It was too short to tell whether anything grows.".to_owned());
        }
        let third = samples.len() / 3;
        let (first, _) = samples.split_at(third);
        let (_, last) = samples.split_at(samples.len() - third);
        let (memory, before) = (mean(last), mean(first));
        let said = format!(
            "Mean memory in the first third after a warm-up: {:.1} MiB. In the last third: {:.1} MiB.",
            before / f64::from(1 << 20),
            memory / f64::from(1 << 20)
        );
        ensure!(memory <= before * (1.0 + MORE_MEMORY) + MORE_BYTES, "memory grows. {said}");
        let (now, before) = (median_descriptors(last), median_descriptors(first));
        ensure!(
            now <= before + MORE_DESCRIPTORS,
            "descriptors grow: their median was {before} in the first third after the warm-up, and {now} in the last"
        );
        Ok(said)
    }
}

impl Counts {
    fn all(&self) -> [u64; 6] {
        let Counts { files, bytes, kicks, cut, reloads, refused } = self;
        [files, bytes, kicks, cut, reloads, refused].map(|count: &AtomicU64| count.load(Relaxed))
    }
}

impl fmt::Display for SoakRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [files, bytes, kicks, cut, reloads, refused] = self.happened;
        let threads = self.samples.iter().map(|sample| sample.threads).max().unwrap_or(0);
        let memory = self.samples.iter().map(|sample| sample.memory).max().unwrap_or(0);
        write!(
            f,
            "| {} | {:.0} MiB | {} MiB | {} | {threads} | {files} | {} MB | {kicks} | {cut} | {reloads} | {refused} |",
            self.until.as_secs() / 60,
            mean(&self.samples) / f64::from(1 << 20),
            memory >> 20,
            descriptors(&self.samples),
            bytes / 1_000_000,
        )
    }
}

fn mean(samples: &[ProcessSample]) -> f64 {
    samples.iter().map(|sample| sample.memory as f64).sum::<f64>() / samples.len() as f64
}

fn median_descriptors(samples: &[ProcessSample]) -> usize {
    let mut seen: Vec<usize> = samples.iter().map(|sample| sample.descriptors).collect();
    seen.sort_unstable();
    seen.get(seen.len() / 2).copied().unwrap_or(0)
}

fn descriptors(samples: &[ProcessSample]) -> usize {
    samples.iter().map(|sample| sample.descriptors).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(sample: impl Fn(u64) -> ProcessSample) -> Series {
        let mut series = Series::default();
        for look in 1..=180 {
            series.add(Duration::from_secs(5 * look), sample(look), &Counts::default());
        }
        series
    }

    fn sample(mib: u64, descriptors: usize) -> ProcessSample {
        ProcessSample { memory: mib << 20, descriptors, threads: 9 }
    }

    #[test]
    fn a_constant_series_passes_and_a_growing_one_fails() {
        let steady = series(|look| sample(100 + look % 10, 50));
        assert!(steady.verdict().is_ok());
        // The samples of the warm-up do not count.
        assert!(series(|look| sample(if look < 50 { 1 } else { 100 }, 50)).verdict().is_ok());
        assert!(series(|look| sample(100 + look, 50)).verdict().is_err());
        assert!(series(|look| sample(100, 50 + look as usize)).verdict().is_err());
    }

    #[test]
    fn a_row_has_its_minutes_and_events() {
        let mut series = Series::default();
        let counts = Counts::default();
        for look in 1..24 {
            assert!(series.add(Duration::from_secs(5 * look), sample(100 + look, 50), &counts).is_none());
        }
        counts.files.store(7, Relaxed);
        counts.bytes.store(3_000_000, Relaxed);
        let row = series.add(Duration::from_secs(120), sample(300, 60), &counts).unwrap();
        assert_eq!(row.to_string(), "| 2 | 120 MiB | 300 MiB | 60 | 9 | 7 | 3 MB | 0 | 0 | 0 | 0 |");
    }

    #[test]
    fn a_process_is_measured() {
        let own = ProcessSample::of(std::process::id()).unwrap();
        assert!(own.memory > 0 && own.descriptors > 2 && own.threads > 0);
    }
}
