//! The number of parallel connections of a transfer.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// Limit on requested connections.
const MAX_JOBS: usize = 64;

/// Limit on connections with `auto`.
const MAX_AUTO_JOBS: usize = 4;

/// Bytes that justify one more connection: a login costs as much as some of them.
const BYTES_PER_CONNECTION: u64 = 64 << 20;

/// A file of this many bytes may be divided between connections.
pub(super) const SPLIT_BYTES: u64 = 2 * BYTES_PER_CONNECTION;

/// Cores from which a file to or from a server on the same machine is divided: two connections keep four busy.
const MIN_LOCAL_CORES: usize = 4;

/// Files that justify one more connection: the server processes the files of a connection one after the other.
const FILES_PER_CONNECTION: usize = 4096;

/// The number of connections of one transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jobs {
    /// Decided by the number of files, their size and the local cores.
    #[default]
    Auto,
    /// This number, but at most one per file, or for a large file one per 64 MiB.
    Exactly(NonZeroUsize),
}

/// The amount of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Files of any length.
    pub(super) files: u64,
    /// Their length in bytes.
    pub(super) bytes: u64,
    /// Shares that different connections can work on: the files, or more if large files are divided.
    pub(super) parts: u64,
}

impl Load {
    /// A load with one more file.
    pub(super) fn and(self, bytes: u64) -> Load {
        Load {
            files: self.files + 1,
            bytes: self.bytes.saturating_add(bytes),
            parts: self.parts.saturating_add(1),
        }
    }

    /// A load with one more file, which is divided if it has at least `split_bytes` bytes: in two if it has no more.
    pub(super) fn and_divided(self, bytes: u64, split_bytes: u64) -> Load {
        let parts = bytes / (split_bytes / 2).max(1);
        let load = self.and(bytes);
        match bytes >= split_bytes {
            true => Load { parts: self.parts.saturating_add(parts.max(1)), ..load },
            false => load,
        }
    }
}

impl Jobs {
    /// A single connection.
    pub const ONE: Jobs = Jobs::Exactly(NonZeroUsize::MIN);

    /// Whether one file may be divided between connections. By default not if the server is on the same machine and both have
    /// few cores: one connection keeps two of them busy.
    pub(super) fn may_divide_files(self, is_local: bool, cores: usize) -> bool {
        match self {
            Jobs::Exactly(number) => number.get() > 1,
            Jobs::Auto => !is_local || cores >= MIN_LOCAL_CORES,
        }
    }

    /// The number of connections that this load is worth, on a machine with this many cores.
    pub(super) fn connections(self, load: Load, cores: usize) -> usize {
        let files = usize::try_from(load.files).unwrap_or(usize::MAX);
        let most = match self {
            Jobs::Exactly(number) => number.get(),
            Jobs::Auto => {
                let worth = usize::try_from(load.bytes / BYTES_PER_CONNECTION).unwrap_or(usize::MAX);
                cores.min(MAX_AUTO_JOBS).min(worth.max(files / FILES_PER_CONNECTION))
            }
        };
        most.min(usize::try_from(load.parts).unwrap_or(usize::MAX)).max(1)
    }
}

/// Why a number of connections is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wants auto, or a number from 1 to {MAX_JOBS}")]
pub struct JobsError;

impl FromStr for Jobs {
    type Err = JobsError;

    fn from_str(text: &str) -> Result<Jobs, JobsError> {
        if text == "auto" {
            return Ok(Jobs::Auto);
        }
        let number: NonZeroUsize = text.parse().map_err(|_| JobsError)?;
        if number.get() <= MAX_JOBS { Ok(Jobs::Exactly(number)) } else { Err(JobsError) }
    }
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Jobs::Auto => f.write_str("auto"),
            Jobs::Exactly(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_connections_fits_the_work() {
        let mib = 1 << 20;
        for (jobs, files, bytes, cores, connections) in [
            ("auto", 4, 2048 * mib, 2, 2),
            ("auto", 4, 2048 * mib, 64, MAX_AUTO_JOBS),
            ("auto", 1, 2048 * mib, 8, 1),
            ("auto", 8_000, 40 * mib, 8, 1),
            ("auto", 10_000, 40 * mib, 8, 2),
            ("auto", 1_000_000, 40 * mib, 2, 2),
            ("auto", 3, 200 * mib, 8, 3),
            ("auto", 0, 0, 8, 1),
            ("3", 10_000, 40 * mib, 2, 3),
            ("3", 2, 40 * mib, 2, 2),
            ("1", 10_000, 40 * mib, 2, 1),
        ] {
            let jobs: Jobs = jobs.parse().unwrap();
            let made = jobs.connections(Load { files, bytes, parts: files }, cores);
            assert_eq!(made, connections, "{jobs} for {files} files of {bytes} bytes on {cores} cores");
        }
    }

    #[test]
    fn a_file_is_not_divided_where_one_connection_keeps_all_cores_busy() {
        for (jobs, is_local, cores, divides) in [
            ("auto", true, 2, false),
            ("auto", true, 4, true),
            ("auto", false, 1, true),
            ("2", true, 1, true),
            ("1", false, 64, false),
        ] {
            let jobs: Jobs = jobs.parse().unwrap();
            assert_eq!(jobs.may_divide_files(is_local, cores), divides, "{jobs} {is_local} {cores}");
        }
    }

    #[test]
    fn a_file_of_two_shares_or_more_is_divided() {
        let mib = 1 << 20;
        for (jobs, bytes, connections) in [
            ("8", 127 * mib, 1),
            ("8", 128 * mib, 2),
            ("8", 700 * mib, 8),
            ("3", 700 * mib, 3),
            ("auto", 127 * mib, 1),
            ("auto", 200 * mib, 3),
            ("auto", 700 * mib, MAX_AUTO_JOBS),
            ("1", 700 * mib, 1),
        ] {
            let load = Load::default().and_divided(bytes, SPLIT_BYTES);
            let jobs: Jobs = jobs.parse().unwrap();
            assert_eq!(jobs.connections(load, 16), connections, "{jobs} for {bytes} bytes");
        }
        let two = Load::default().and_divided(200 * mib, SPLIT_BYTES).and_divided(5, SPLIT_BYTES);
        assert_eq!(two, Load { files: 2, bytes: 200 * mib + 5, parts: 4 });
    }

    #[test]
    fn invalid_numbers_of_connections_are_refused() {
        for text in ["0", "65", "-1", "", "Auto", "1.5"] {
            assert_eq!(text.parse::<Jobs>(), Err(JobsError), "{text}");
        }
        assert_eq!("64".parse::<Jobs>().unwrap().to_string(), "64");
    }
}
