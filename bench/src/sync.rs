//! push and pull beside rsync and rclone: what a repeated synchronisation costs.

mod program;

use self::program::Program::{self, Rclone, Rsync, Sshome};
use crate::files;
use crate::link::{Link, LinkProxy};
use crate::measure;
use crate::page::{Row, Table};
use crate::report::percentile;
use crate::servers::{ServerProcess, Service, start};
use crate::stage::Stage;
use crate::workload::{Content, FileSet};
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// One synchronisation, done by several programs in turn.
struct SyncCase {
    name: &'static str,
    files: FileSet,
    change: Change,
    link: Option<Link>,
    is_pull: bool,
    programs: &'static [Program],
}

/// How the source differs from the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// One file in this number of files is longer.
    OneFileIn(u64),
    /// The number of ranges that are overwritten at random offsets, and the length of each in bytes.
    Overwritten(u64, usize),
    /// The number of bytes that are inserted at the front.
    Inserted(usize),
    /// Everything.
    Everything,
}

const TREE: FileSet =
    FileSet { name: "tree", count: 100_000, size: 1000, content: Content::Random, stored: false };
const FEWER: FileSet = FileSet { count: 20_000, size: 16 << 10, ..TREE };
const BIG: FileSet = FileSet { name: "image", count: 1, size: 1 << 30, ..TREE };

const FAR: Option<Link> = Some(Link { round_trip: Duration::from_millis(50), rate: None });
const NARROW: Option<Link> = Some(Link { round_trip: Duration::from_millis(20), rate: Some(100_000_000) });

const MIRROR: &[Program] = &[Sshome(""), Rsync("")];
const MIRRORS: &[Program] = &[Sshome(""), Rsync(""), Rclone];
/// `--delta=auto` sends whole files here, since the proxy is on the same machine as the server.
const SLOW: &[Program] = &[Sshome("--delta=always"), Rsync("")];
const FAST: &[Program] = &[Sshome("--delta=always"), Sshome(""), Rsync("--no-W"), Rsync("--no-W --fsync")];

/// The cases, in the order of the table.
const CASES: [SyncCase; 13] = [
    tree("push 100,000 unchanged files", TREE, Change::None, None, false, MIRROR),
    tree("pull 100,000 unchanged files", TREE, Change::None, None, true, MIRROR),
    tree("push 100,000 unchanged files, delay 50 ms", TREE, Change::None, FAR, false, MIRROR),
    tree("pull 100,000 unchanged files, delay 50 ms", TREE, Change::None, FAR, true, MIRROR),
    tree("push 20,000 files, 1 % changed", FEWER, Change::OneFileIn(100), None, false, MIRRORS),
    one(
        "push 1 GiB, 1 % changed in 100 places, delay 20 ms, 100 Mbit/s",
        Change::Overwritten(100, 107_374),
        NARROW,
        SLOW,
    ),
    one(
        "push 1 GiB, 1 MiB inserted at the front, delay 20 ms, 100 Mbit/s",
        Change::Inserted(1 << 20),
        NARROW,
        SLOW,
    ),
    one(
        "push 1 GiB, 2600 × 4 KiB overwritten, delay 20 ms, 100 Mbit/s",
        Change::Overwritten(2600, 4096),
        NARROW,
        SLOW,
    ),
    one(
        "push 1 GiB, nothing in common, delay 20 ms, 100 Mbit/s",
        Change::Everything,
        NARROW,
        &[Sshome("--delta=always"), Sshome("--delta=never"), Rsync("")],
    ),
    one("push 1 GiB, 1 % changed in 100 places", Change::Overwritten(100, 107_374), None, FAST),
    one("push 1 GiB, 1 MiB inserted at the front", Change::Inserted(1 << 20), None, FAST),
    one("push 1 GiB, 2600 × 4 KiB overwritten", Change::Overwritten(2600, 4096), None, FAST),
    one("push 1 GiB, nothing in common", Change::Everything, None, FAST),
];

/// The names of all cases.
pub(crate) fn names() -> Vec<&'static str> {
    CASES.iter().map(|case| case.name).collect()
}

const fn tree(
    name: &'static str,
    files: FileSet,
    change: Change,
    link: Option<Link>,
    is_pull: bool,
    programs: &'static [Program],
) -> SyncCase {
    SyncCase { name, files, change, link, is_pull, programs }
}

const fn one(
    name: &'static str,
    change: Change,
    link: Option<Link>,
    programs: &'static [Program],
) -> SyncCase {
    tree(name, BIG, change, link, false, programs)
}

/// By how much a new version is newer.
const NEWER: Duration = Duration::from_secs(10);

/// What is measured.
pub(crate) struct SyncRun<'a> {
    /// Only cases whose name contains this.
    pub(crate) only: Option<&'a str>,
    /// The factor by which files are shorter or fewer.
    pub(crate) shrink: u64,
    pub(crate) rounds: u32,
}

/// The runs of one program.
struct SyncSamples {
    program: Program,
    seconds: Vec<f64>,
    /// Bytes over the link; 0 without one.
    bytes: Vec<u64>,
    memory: (u64, u64),
}

impl SyncRun<'_> {
    /// Measures each case with each program in turn. `run` has the date and the build.
    pub(crate) fn measure(&self, stage: &Stage, run: &str) -> Result<Table> {
        let servers = [Service::Sshomed, Service::Sshd].map(|service| {
            start(service, stage, &[Service::Sshomed.user()?]).map(|server| (service, server))
        });
        let servers: Vec<(Service, ServerProcess)> = servers.into_iter().collect::<Result<_>>()?;
        let head = "| synchronisation | program | median | fastest – slowest | of the first | over the link | peak memory: \
                    client, server | measured |\n|---|---|---:|---:|---:|---:|---:|---|";
        let mut table = Table { head: head.to_owned(), rows: Vec::new() };
        for case in CASES.iter().filter(|case| self.only.is_none_or(|part| case.name.contains(part))) {
            let ground = Ground::prepare(case, self.shrink, stage)?;
            let mut all: Vec<SyncSamples> = case
                .programs
                .iter()
                .map(|program| SyncSamples {
                    program: *program,
                    seconds: vec![],
                    bytes: vec![],
                    memory: (0, 0),
                })
                .collect();
            for round in 1..=self.rounds {
                for samples in &mut all {
                    let service = samples.program.service();
                    let (_, server) =
                        servers.iter().find(|(own, _)| *own == service).context("it was not started")?;
                    ground.once(case, samples, server, stage).with_context(|| {
                        format!("{}, {}, round {round}", case.name, samples.program.label())
                    })?;
                    let (seconds, bytes) = (samples.seconds.last(), samples.bytes.last());
                    println!("{} · {} · {seconds:?} s, {bytes:?} bytes", case.name, samples.program.label());
                }
            }
            table.rows.extend(rows(case, &all, run));
        }
        Ok(table)
    }
}

fn rows(case: &SyncCase, all: &[SyncSamples], run: &str) -> Vec<Row> {
    let median = |samples: &SyncSamples| percentile(&samples.seconds, 0.5);
    let first = all.first().map_or(f64::NAN, median);
    let row = |samples: &SyncSamples| {
        let (least, most) = (percentile(&samples.seconds, 0.0), percentile(&samples.seconds, 1.0));
        let mut bytes = samples.bytes.clone();
        bytes.sort_unstable();
        let bytes = match bytes.get(bytes.len() / 2) {
            Some(bytes) if *bytes > 0 => format!("{:.2} MB", *bytes as f64 / 1e6),
            _ => "–".to_owned(),
        };
        let (client, server) = samples.memory;
        let line = format!(
            "| {} | {} | {:.2} s | {least:.2} – {most:.2} s | {:.2} | {bytes} | {} MiB, {} MiB | {run} |",
            case.name,
            samples.program.label(),
            median(samples),
            median(samples) / first,
            client >> 20,
            server >> 20,
        );
        Row { workload: case.name.to_owned(), line }
    };
    all.iter().map(row).collect()
}

/// The folders of a case: the new version, and the old one that each run begins with.
struct Ground {
    new: PathBuf,
    old: PathBuf,
}

impl Ground {
    fn prepare(case: &SyncCase, shrink: u64, stage: &Stage) -> Result<Ground> {
        let made = stage.made();
        fs::create_dir_all(&made)?;
        files::empty(&made)?;
        let mut set = case.files;
        match set.count {
            1 => set.size /= shrink,
            _ => set.count /= shrink,
        }
        let (old, new) = (made.join("old"), made.join("new"));
        for path in [&old, &new] {
            fs::create_dir_all(path)?;
        }
        files::make(&set, &old)?;
        copy(&old, &new)?;
        case.change.apply(&new.join(set.name), &set, shrink)?;
        if set.count == 1 && case.change != Change::None {
            // rsync compares whole seconds.
            File::options().write(true).open(new.join(set.name))?.set_modified(SystemTime::now() + NEWER)?;
        }
        Ok(Ground { new, old })
    }

    /// One run, from the old version to the new one, which is verified.
    fn once(
        &self,
        case: &SyncCase,
        samples: &mut SyncSamples,
        server: &ServerProcess,
        stage: &Stage,
    ) -> Result<()> {
        let service = samples.program.service();
        let remote = stage.arrived(service, crate::workload::Direction::Put).join("sync");
        let local = stage.made().join("local");
        let (source, target) = match case.is_pull {
            true => (&remote, &local),
            false => (&self.new, &remote),
        };
        copy(&self.old, target)?;
        if case.is_pull {
            copy(&self.new, source)?;
        }
        let proxy = case.link.map(|link| LinkProxy::to(server.port, link)).transpose()?;
        let port = proxy.as_ref().map_or(server.port, LinkProxy::port);
        let command = samples.program.command(case.is_pull, source, target, (stage, port))?;
        let sample = measure::run(command, server, &stage.log())?;
        samples.seconds.push(sample.wall.as_secs_f64());
        samples.bytes.push(proxy.as_ref().map_or(0, LinkProxy::carried));
        let (client, server) = samples.memory;
        samples.memory = (client.max(sample.client_memory), server.max(sample.server_memory));
        drop(proxy);
        files::same(&self.new, target).context("the destination is not like the source")?;
        fs::remove_dir_all(&remote)?;
        if case.is_pull { Ok(fs::remove_dir_all(&local)?) } else { Ok(()) }
    }
}

/// Makes `to` a copy of `from`, with times.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().context("running cp")?;
    ensure!(done.success(), "cp has failed");
    Ok(())
}

impl Change {
    fn apply(self, path: &Path, set: &FileSet, shrink: u64) -> Result<()> {
        let mut random = StdRng::seed_from_u64(7);
        match self {
            Change::None => Ok(()),
            Change::OneFileIn(every) => {
                for relative in files::paths(set).step_by(usize::try_from(every)?) {
                    let mut file = File::options().append(true).open(path.join(relative))?;
                    file.write_all(b"a change")?;
                }
                Ok(())
            }
            Change::Overwritten(count, length) => {
                let mut file = File::options().write(true).open(path)?;
                let mut piece = vec![0; length];
                for _ in 0..(count / shrink).max(1) {
                    random.fill_bytes(&mut piece);
                    // As a database does: at a multiple of the page size.
                    let pages = (set.size - length as u64) / 4096;
                    file.seek(SeekFrom::Start(random.random_range(0..pages) * 4096))?;
                    file.write_all(&piece)?;
                }
                Ok(())
            }
            Change::Inserted(length) => {
                let mut old = Vec::new();
                File::open(path)?.read_to_end(&mut old)?;
                let mut front = vec![0; length];
                random.fill_bytes(&mut front);
                let mut file = File::create(path)?;
                file.write_all(&front)?;
                Ok(file.write_all(&old)?)
            }
            Change::Everything => {
                fs::remove_file(path)?;
                let other = FileSet { name: "other", ..*set };
                let folder = path.parent().context("it has a folder")?;
                // Another length gives other bytes.
                files::make(&FileSet { size: set.size - 1, ..other }, folder)?;
                Ok(fs::rename(folder.join(other.name), path)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_make_a_file_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let set = FileSet { size: 1 << 20, ..BIG };
        for change in [Change::Overwritten(3, 4096), Change::Inserted(1000), Change::Everything] {
            files::empty(folder.path()).unwrap();
            files::make(&set, folder.path()).unwrap();
            let path = folder.path().join(set.name);
            let old = fs::read(&path).unwrap();
            change.apply(&path, &set, 1).unwrap();
            let new = fs::read(&path).unwrap();
            assert!(new != old);
            match change {
                Change::Inserted(length) => assert!(new[length..] == old),
                Change::Overwritten(..) => assert_eq!(new.len(), old.len()),
                _ => assert!(new[..1000] != old[..1000]),
            }
        }
    }

    #[test]
    fn every_case_has_its_own_name() {
        let mut names = names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}
