//! The workloads, and the clients that run them.

use crate::link::Link;
use crate::servers::Service;
use crate::tool::Tool::{
    self, EightFastSftp, EightSftp, Lftp, OldScp, PlainSftp, Rclone, Rsync, RsyncZstd, Scp, Sftp, Sshfs,
    Sshome, SshomeFour, SshomeNever, SshomeOne, Tcp,
};
use std::time::Duration;

/// Test files, a direction, a link, and the contenders.
#[derive(Clone)]
pub(crate) struct Workload {
    /// Its name in the table.
    pub(crate) name: &'static str,
    pub(crate) files: FileSet,
    pub(crate) direction: Direction,
    /// The link; `None` is loopback.
    pub(crate) link: Option<Link>,
    pub(crate) contest: Contest,
    /// Whether client and server are kept on one core: see [`crate::pin`].
    pub(crate) one_core: bool,
}

/// The contenders of a workload. The others are compared with the first one.
#[derive(Clone, Copy)]
pub(crate) enum Contest {
    /// Several tools, each with its own server.
    Tools(&'static [Tool]),
    /// One tool, with sshomed and with sshd.
    Servers(Tool),
}

/// A client and the server that it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) tool: Tool,
    pub(crate) service: Service,
}

/// Test files of one length: a single file, or a tree of several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSet {
    /// The name of the file, or of the tree.
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    /// The length of each in bytes.
    pub(crate) size: u64,
    pub(crate) content: Content,
    /// Whether sshome uploaded them, so that they have stored digests.
    pub(crate) stored: bool,
}

/// What is in test files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Random bytes, which do not compress.
    Random,
    /// Words of a language that nobody speaks.
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Get,
    Put,
}

const BIG: FileSet = set("big.bin", 1, 1 << 30);
/// A file that was copied there, without a stored digest.
const BARE: FileSet = FileSet { name: "bare.bin", stored: false, ..BIG };
const LARGE: FileSet = set("large", 4, 512 << 20);
const SMALL: FileSet = set("small", 10_000, 4096);
const FEWER: FileSet = set("fewer", 1000, 4096);
const TREE: FileSet = set("tree", 20_000, 4096);
const FAR: FileSet = set("far.bin", 1, 256 << 20);
const SLOW: FileSet = set("slow.bin", 1, 32 << 20);
const EIGHT: FileSet = set("eight", 8, 128 << 20);
const SOURCE: FileSet = set("source", 2000, 8192);
const THOUSAND: FileSet = set("thousand", 1000, 64 << 10);
const TEXT: FileSet = FileSet { content: Content::Text, ..set("text", 32_000, 16 << 10) };
const HUGE: FileSet = set("huge.bin", 1, 4 << 30);
const MILLION: FileSet = set("million", 1_000_000, 100);

const ROUND_TRIP: Option<Link> = Some(Link { round_trip: Duration::from_millis(50), rate: None });
const NARROW: Option<Link> = Some(Link { round_trip: Duration::from_millis(50), rate: Some(100_000_000) });

/// Each connection has a rate of its own, as where every flow is shaped.
const SHAPED: Option<Link> = Some(Link { round_trip: Duration::from_millis(100), rate: Some(320_000_000) });

/// The workloads in the table of tools, in its order. Those with the same files are adjacent: the files are made once.
pub(crate) const TOOLS: [Workload; 19] = [
    get("get 1 GiB", BIG, None, &[Sshome, Sftp, Tcp]),
    put("put 1 GiB", BIG, None, &[Sshome, Sftp, Tcp]),
    get("get 1 GiB, compression auto or never", BIG, None, &[Sshome, SshomeNever]),
    put("put 1 GiB, compression auto or never", BIG, None, &[Sshome, SshomeNever]),
    get("get 1 GiB, delay 100 ms, 40 MB/s a connection", BIG, SHAPED, &[SshomeFour, SshomeOne, Lftp]),
    put("put 1 GiB, delay 100 ms, 40 MB/s a connection", BIG, SHAPED, &[SshomeFour, SshomeOne]),
    get("get 1 GiB, without a stored digest", BARE, None, &[Sshome, Sftp]),
    get("get 4 × 512 MiB", LARGE, None, &[Sshome, Sftp]),
    put("put 4 × 512 MiB", LARGE, None, &[Sshome, Sftp]),
    get("get 10,000 × 4 KiB", SMALL, None, &[Sshome, Sftp, Rsync]),
    put("put 10,000 × 4 KiB", SMALL, None, &[Sshome, Sftp, Rsync]),
    get("get 1,000 × 4 KiB, delay 50 ms", FEWER, ROUND_TRIP, &[Sshome, Sftp, Rsync]),
    put("put 1,000 × 4 KiB, delay 50 ms", FEWER, ROUND_TRIP, &[Sshome, Sftp, Rsync]),
    get("get 20,000 × 4 KiB, delay 50 ms", TREE, ROUND_TRIP, &[Sshome, Rsync]),
    get("get 256 MiB, delay 50 ms", FAR, ROUND_TRIP, &[Sshome, Sftp]),
    put("put 256 MiB, delay 50 ms", FAR, ROUND_TRIP, &[Sshome, Sftp]),
    get("get 32 MiB, delay 50 ms, 100 Mbit/s", SLOW, NARROW, &[Sshome, Sftp]),
    get("get 32,000 × 16 KiB of text, delay 50 ms, 100 Mbit/s", TEXT, NARROW, &[Sshome, RsyncZstd]),
    put("put 32,000 × 16 KiB of text, delay 50 ms, 100 Mbit/s", TEXT, NARROW, &[Sshome, RsyncZstd]),
];

/// The workloads in the table of other people's clients, in its order.
pub(crate) const CLIENTS: [Workload; 22] = [
    with(PlainSftp, "get 1 GiB with sftp", BIG, Direction::Get),
    with(PlainSftp, "put 1 GiB with sftp", BIG, Direction::Put),
    with(Sftp, "get 1 GiB with sftp -B 261120 -R 128", BIG, Direction::Get),
    with(Sftp, "put 1 GiB with sftp -B 261120 -R 128", BIG, Direction::Put),
    with(Scp, "get 1 GiB with scp", BIG, Direction::Get),
    with(Scp, "put 1 GiB with scp", BIG, Direction::Put),
    with(OldScp, "get 1 GiB with scp -O", BIG, Direction::Get),
    with(OldScp, "put 1 GiB with scp -O", BIG, Direction::Put),
    with(EightSftp, "get 8 × 128 MiB with 8 × sftp at once", EIGHT, Direction::Get),
    with(EightSftp, "put 8 × 128 MiB with 8 × sftp at once", EIGHT, Direction::Put),
    with(EightFastSftp, "get 8 × 128 MiB with 8 × sftp at once, aes128-gcm", EIGHT, Direction::Get),
    with(EightFastSftp, "put 8 × 128 MiB with 8 × sftp at once, aes128-gcm", EIGHT, Direction::Put),
    with(PlainSftp, "get 10,000 × 4 KiB with sftp -r", SMALL, Direction::Get),
    with(PlainSftp, "put 10,000 × 4 KiB with sftp -r", SMALL, Direction::Put),
    on_one_core(with(PlainSftp, "get 10,000 × 4 KiB with sftp -r, all on one core", SMALL, Direction::Get)),
    on_one_core(with(PlainSftp, "put 10,000 × 4 KiB with sftp -r, all on one core", SMALL, Direction::Put)),
    with(Sshfs, "tar of 2,000 × 8 KiB out of sshfs", SOURCE, Direction::Get),
    with(Sshfs, "tar of 2,000 × 8 KiB into sshfs", SOURCE, Direction::Put),
    on_one_core(with(Sshfs, "tar of 2,000 × 8 KiB out of sshfs, all on one core", SOURCE, Direction::Get)),
    on_one_core(with(Sshfs, "tar of 2,000 × 8 KiB into sshfs, all on one core", SOURCE, Direction::Put)),
    with(Rclone, "get 1,000 × 64 KiB with rclone, 8 transfers", THOUSAND, Direction::Get),
    with(Rclone, "put 1,000 × 64 KiB with rclone, 8 transfers", THOUSAND, Direction::Put),
];

/// The workloads that show that memory does not depend on a file's length.
pub(crate) const LONG: [Workload; 2] =
    [get("get 4 GiB", HUGE, None, &[Sshome]), put("put 4 GiB", HUGE, None, &[Sshome])];

/// The workload that is sampled while it runs.
pub(crate) const MANY: Workload = get("get 1,000,000 × 100 B", MILLION, None, &[Sshome]);

const fn set(name: &'static str, count: u64, size: u64) -> FileSet {
    FileSet { name, count, size, content: Content::Random, stored: true }
}

const fn get(name: &'static str, files: FileSet, link: Option<Link>, tools: &'static [Tool]) -> Workload {
    Workload { name, files, direction: Direction::Get, link, contest: Contest::Tools(tools), one_core: false }
}

const fn put(name: &'static str, files: FileSet, link: Option<Link>, tools: &'static [Tool]) -> Workload {
    Workload { name, files, direction: Direction::Put, link, contest: Contest::Tools(tools), one_core: false }
}

const fn with(tool: Tool, name: &'static str, files: FileSet, direction: Direction) -> Workload {
    Workload { name, files, direction, link: None, contest: Contest::Servers(tool), one_core: false }
}

const fn on_one_core(workload: Workload) -> Workload {
    Workload { one_core: true, ..workload }
}

impl Contest {
    /// All contenders, in the order of the table.
    pub(crate) fn contenders(self) -> Vec<Contender> {
        match self {
            Contest::Tools(tools) => {
                tools.iter().map(|tool| Contender { tool: *tool, service: tool.service() }).collect()
            }
            Contest::Servers(tool) => {
                [Service::Sshomed, Service::Sshd].map(|service| Contender { tool, service }).to_vec()
            }
        }
    }
}

impl Workload {
    /// The same with files shorter by this factor, or fewer small files.
    pub(crate) fn shrunk(&self, times: u64) -> Workload {
        let FileSet { count, size, .. } = self.files;
        let files = if size > 1 << 20 {
            FileSet { size: (size / times).max(1), ..self.files }
        } else {
            FileSet { count: (count / times).max(2), ..self.files }
        };
        Workload { files, ..self.clone() }
    }

    /// Whether the rate is better given in files per second than in bytes.
    pub(crate) fn is_of_small_files(&self) -> bool {
        self.files.count >= 100
    }
}

impl FileSet {
    /// The total in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.count * self.size
    }

    /// Whether it is a tree.
    pub(crate) fn is_tree(&self) -> bool {
        self.count > 1
    }
}
