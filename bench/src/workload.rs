//! What the tools have to do.

use crate::link::Link;
use crate::tool::Tool::{self, Rsync, Sftp, Sshome, Tcp};
use std::time::Duration;

/// Some files, a direction, a way between the ends, and the tools that do it.
#[derive(Clone)]
pub(crate) struct Workload {
    /// As it stands in the table.
    pub(crate) name: &'static str,
    pub(crate) files: FileSet,
    pub(crate) direction: Direction,
    /// None is loopback.
    pub(crate) link: Option<Link>,
    /// The first is the one that the others are compared with.
    pub(crate) tools: &'static [Tool],
}

/// Files of one length. One of them is a file, several are a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSet {
    /// The name of the file, or of the tree.
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    /// The length of each in bytes.
    pub(crate) size: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Get,
    Put,
}

const BIG: FileSet = FileSet { name: "big.bin", count: 1, size: 1 << 30 };
const LARGE: FileSet = FileSet { name: "large", count: 4, size: 512 << 20 };
const SMALL: FileSet = FileSet { name: "small", count: 10_000, size: 4096 };
const FEWER: FileSet = FileSet { name: "fewer", count: 1000, size: 4096 };
const FAR: FileSet = FileSet { name: "far.bin", count: 1, size: 256 << 20 };
const SLOW: FileSet = FileSet { name: "slow.bin", count: 1, size: 32 << 20 };
const HUGE: FileSet = FileSet { name: "huge.bin", count: 1, size: 4 << 30 };
const MILLION: FileSet = FileSet { name: "million", count: 1_000_000, size: 100 };

const ROUND_TRIP: Option<Link> = Some(Link { round_trip: Duration::from_millis(50), rate: None });
const NARROW: Option<Link> = Some(Link { round_trip: Duration::from_millis(50), rate: Some(100_000_000) });

/// All that go into the table, in its order. Those with the same files stand together: they are made once.
pub(crate) const WORKLOADS: [Workload; 11] = [
    get("get 1 GiB", BIG, None, &[Sshome, Sftp, Tcp]),
    put("put 1 GiB", BIG, None, &[Sshome, Sftp, Tcp]),
    get("get 4 × 512 MiB", LARGE, None, &[Sshome, Sftp]),
    put("put 4 × 512 MiB", LARGE, None, &[Sshome, Sftp]),
    get("get 10,000 × 4 KiB", SMALL, None, &[Sshome, Sftp, Rsync]),
    put("put 10,000 × 4 KiB", SMALL, None, &[Sshome, Sftp, Rsync]),
    get("get 1,000 × 4 KiB, delay 50 ms", FEWER, ROUND_TRIP, &[Sshome, Sftp, Rsync]),
    put("put 1,000 × 4 KiB, delay 50 ms", FEWER, ROUND_TRIP, &[Sshome, Sftp, Rsync]),
    get("get 256 MiB, delay 50 ms", FAR, ROUND_TRIP, &[Sshome, Sftp]),
    put("put 256 MiB, delay 50 ms", FAR, ROUND_TRIP, &[Sshome, Sftp]),
    get("get 32 MiB, delay 50 ms, 100 Mbit/s", SLOW, NARROW, &[Sshome, Sftp]),
];

/// Those that show that memory does not grow with a file's length.
pub(crate) const LONG: [Workload; 2] =
    [get("get 4 GiB", HUGE, None, &[Sshome]), put("put 4 GiB", HUGE, None, &[Sshome])];

/// The one that is looked at while it runs.
pub(crate) const MANY: Workload = get("get 1,000,000 × 100 B", MILLION, None, &[Sshome]);

const fn get(name: &'static str, files: FileSet, link: Option<Link>, tools: &'static [Tool]) -> Workload {
    Workload { name, files, direction: Direction::Get, link, tools }
}

const fn put(name: &'static str, files: FileSet, link: Option<Link>, tools: &'static [Tool]) -> Workload {
    Workload { name, files, direction: Direction::Put, link, tools }
}

impl Workload {
    /// The same with files that many times shorter, or that many times fewer small ones.
    pub(crate) fn shrunk(&self, times: u64) -> Workload {
        let FileSet { name, count, size } = self.files;
        let files = if size > 1 << 20 {
            FileSet { name, count, size: (size / times).max(1) }
        } else {
            FileSet { name, count: (count / times).max(2), size }
        };
        Workload { files, ..self.clone() }
    }

    /// Whether a rate in files a second says more than one in bytes.
    pub(crate) fn is_of_small_files(&self) -> bool {
        self.files.count >= 100
    }
}

impl FileSet {
    /// Bytes in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.count * self.size
    }

    /// Whether it is a tree.
    pub(crate) fn is_tree(&self) -> bool {
        self.count > 1
    }
}
