//! sshome side by side with OpenSSH and rsync: the same files, the same machine, the same run.
//!
//! Starts `sshomed` and OpenSSH's `sshd` on loopback, runs every workload with each client in turn, verifies the
//! result, and writes the medians to docs/performance.md.

mod command;
mod files;
mod link;
mod load;
mod many;
mod measure;
mod page;
mod pin;
mod raw;
mod report;
mod servers;
mod soak;
mod stage;
mod sync;
mod tool;
mod workload;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use link::LinkProxy;
use measure::Sample;
use pin::Pinned;
use raw::Raw;
use report::Measurement;
use servers::{Servers, Service};
use stage::Stage;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tool::Tool;
use workload::{CLIENTS, Contender, FileSet, LONG, TOOLS, Workload};

/// The programs are built with the profile of the bench itself. A debug build is only for trying the bench: it writes
/// no page.
const BUILD_PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

#[derive(Parser)]
#[command(about = "Runs sshome side by side with OpenSSH and rsync, and writes docs/performance.md")]
struct BenchOptions {
    /// How often each tool does each workload
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only workloads whose name contains this; the page's rows of all others stay
    #[arg(long, value_name = "PART OF A NAME")]
    only: Option<String>,
    /// Only these tools; no page is written
    #[arg(long, value_delimiter = ',', value_name = "TOOL")]
    tools: Vec<Tool>,
    /// Files this many times shorter or fewer, to try the bench itself; no page is written
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    shrink: u64,
    /// Instead of the table: whether sshome's memory grows, with files of 4 GiB and with 1,000,000 files
    #[arg(long)]
    long: bool,
    /// Instead of the table: what idle sessions cost, how soon a small `ls` is answered beside others, and how
    /// these share what there is
    #[arg(long, conflicts_with = "long")]
    load: bool,
    /// Instead of the table: minutes of mixed work, after which the server may hold no more than before; writes
    /// docs/soak.md if there are 30 or more
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["long", "load"])]
    soak: Option<u64>,
    /// Instead of the table: push and pull beside rsync and rclone, of unchanged and of changed trees and files
    #[arg(long, conflicts_with_all = ["long", "load", "soak"])]
    sync: bool,
    #[command(subcommand)]
    raw: Option<Raw>,
}

impl BenchOptions {
    fn workloads(&self) -> Vec<Workload> {
        let all = if self.long { LONG.to_vec() } else { [&TOOLS[..], &CLIENTS].concat() };
        let wanted =
            |workload: &&Workload| self.only.as_ref().is_none_or(|part| workload.name.contains(part));
        all.iter().filter(wanted).map(|workload| workload.shrunk(self.shrink)).collect()
    }

    /// The contenders that are installed. The others are reported.
    fn contenders(&self, workloads: &[Workload]) -> Result<Vec<Contender>> {
        let mut contenders: Vec<Contender> = Vec::new();
        let mut missing: Vec<Tool> = Vec::new();
        for contender in workloads.iter().flat_map(|workload| workload.contest.contenders()) {
            let tool = contender.tool;
            if !self.tools.is_empty() && !self.tools.contains(&tool) || contenders.contains(&contender) {
                continue;
            }
            if tool.is_installed() {
                contenders.push(contender);
            } else if !missing.contains(&tool) {
                println!("{tool} is not installed and left out: see scripts/install-test-deps");
                missing.push(tool);
            }
        }
        ensure!(!contenders.is_empty(), "nobody is left to run");
        Ok(contenders)
    }

    /// Whether the result is written to the pages: only full workloads with all tools.
    fn is_for_pages(&self) -> bool {
        self.tools.is_empty() && self.shrink == 1 && BUILD_PROFILE == "release"
    }
}

fn main() -> Result<()> {
    let options = BenchOptions::parse();
    if let Some(raw) = &options.raw {
        return raw.run();
    }
    let target = target()?;
    if options.load {
        return load(&options, &target);
    }
    if options.sync {
        return sync(&options, &target);
    }
    if let Some(minutes) = options.soak {
        return soak(minutes, &options, &target);
    }
    let workloads = options.workloads();
    ensure!(!workloads.is_empty() || options.long, "no workload has such a name");
    let mut contenders = options.contenders(&workloads)?;
    let ours = Contender { tool: Tool::Sshome, service: Service::Sshomed };
    if options.long && !contenders.contains(&ours) {
        contenders.push(ours);
    }
    if options.shrink > 1 {
        println!("files {} times shorter or fewer than the names of the workloads say", options.shrink);
    }
    build(&target)?;
    let stage = Stage::new(target.join(BUILD_PROFILE))?;
    let servers = Servers::start(&stage, &contenders)?;
    let outcomes = run_all(&workloads, &contenders, options.rounds, &stage, &servers)?;
    let (run, surroundings) =
        (report::run(&format!("{} rounds", options.rounds)), report::surroundings(&stage));
    if options.long {
        let many = many::run(options.shrink, &stage, &servers)?;
        let table = report::tools(&outcomes, &run).markdown();
        let text = format!("{table}\n{many}\n{surroundings}\n");
        println!("\n{text}");
        let whole = options.is_for_pages() && options.only.is_none();
        return if whole { report::write_long(&text) } else { Ok(()) };
    }
    for table in [report::tools(&outcomes, &run), report::clients(&outcomes, &run)] {
        if !table.rows.is_empty() {
            println!("\n{}", table.markdown());
        }
    }
    println!("{surroundings}\n");
    if options.is_for_pages() { report::write(&outcomes, &run, &surroundings) } else { Ok(()) }
}

fn load(options: &BenchOptions, target: &Path) -> Result<()> {
    build(target)?;
    let stage = Stage::new(target.join(BUILD_PROFILE))?;
    let shrink = usize::try_from(options.shrink)?;
    let report = load::run(&load::LoadOptions { only: options.only.as_deref(), shrink }, &stage)?;
    report.tell(&report::run("once"), &report::surroundings(&stage), options.is_for_pages())
}

fn sync(options: &BenchOptions, target: &Path) -> Result<()> {
    build(target)?;
    let stage = Stage::new(target.join(BUILD_PROFILE))?;
    let run = sync::SyncRun { only: options.only.as_deref(), shrink: options.shrink, rounds: options.rounds };
    let table = run.measure(&stage, &report::run(&format!("{} rounds", options.rounds)))?;
    println!("\n{}", table.markdown());
    match options.is_for_pages() {
        true => report::write_sync(&table, &sync::names(), &report::surroundings(&stage)),
        false => Ok(()),
    }
}

/// Shorter soaks, in minutes, only try the bench.
const DEFAULT_SOAK_MINUTES: u64 = 30;

fn soak(minutes: u64, options: &BenchOptions, target: &Path) -> Result<()> {
    build(target)?;
    let stage = Stage::new(target.join(BUILD_PROFILE))?;
    let table = soak::run(Duration::from_secs(60 * minutes), &stage)?;
    let text = format!("{table} {}\n\n{}", report::run("once"), report::surroundings(&stage));
    println!("\n{text}");
    if options.is_for_pages() && minutes >= DEFAULT_SOAK_MINUTES { report::write_soak(&text) } else { Ok(()) }
}

fn run_all(
    workloads: &[Workload],
    contenders: &[Contender],
    rounds: u32,
    stage: &Stage,
    servers: &Servers,
) -> Result<Vec<Measurement>> {
    let mut outcomes = Vec::new();
    let mut there: Option<FileSet> = None;
    for workload in workloads {
        if there != Some(workload.files) {
            stage.provide(&workload.files, servers)?;
            there = Some(workload.files);
        }
        outcomes.extend(run(workload, contenders, rounds, stage, servers)?);
    }
    Ok(outcomes)
}

/// One workload, its contenders in turn.
fn run(
    workload: &Workload,
    contenders: &[Contender],
    rounds: u32,
    stage: &Stage,
    servers: &Servers,
) -> Result<Vec<Measurement>> {
    let there = workload.contest.contenders().into_iter().filter(|contender| contenders.contains(contender));
    let mut outcomes: Vec<_> = there.map(|contender| Measurement::new(workload.clone(), contender)).collect();
    for round in 1..=rounds {
        for outcome in &mut outcomes {
            let label = outcome.label();
            let sample = once(workload, outcome.contender, stage, servers)
                .with_context(|| format!("{}, {label}, round {round}", workload.name))?;
            println!("{} · round {round} of {rounds} · {label} · {sample}", workload.name);
            outcome.samples.push(sample);
        }
    }
    Ok(outcomes)
}

/// One transfer, from an empty target to a verified result.
fn once(workload: &Workload, contender: Contender, stage: &Stage, servers: &Servers) -> Result<Sample> {
    let arrived = stage.arrived(contender.service, workload.direction);
    files::empty(&arrived)?;
    let server = servers.of(contender.service)?;
    let proxy = workload.link.map(|link| LinkProxy::to(server.port, link)).transpose()?;
    let port = proxy.as_ref().map_or(server.port, LinkProxy::port);
    let command = command::command(contender, workload, stage, port)?;
    let pinned = workload.one_core.then(|| Pinned::begin(server.id())).transpose()?;
    let sample = measure::run(command, server, &stage.log())?;
    drop(pinned);
    stage.check(workload, &arrived)?;
    files::empty(&arrived)?;
    Ok(sample)
}

/// Builds the measured programs.
fn build(target: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "-p", "sshomed", "-p", "sshome"]);
    command.args((BUILD_PROFILE == "release").then_some("--release"));
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    command.arg("--target-dir").arg(target);
    ensure!(command.status().context("running cargo")?.success(), "sshome does not build");
    Ok(())
}

/// The folder that cargo builds into: the bench itself was built there.
fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the folder that cargo builds into")?;
    let target = own.ancestors().nth(2).context("finding the folder that cargo builds into")?;
    Ok(target.to_owned())
}
