//! sshome side by side with OpenSSH and rsync: the same files, the same machine, the same run.
//!
//! Starts `sshomed` and OpenSSH's `sshd` on loopback, lets every tool do every workload in turn, checks
//! that what arrived is what was sent, and writes the medians to docs/performance.md.

mod files;
mod measure;
mod report;
mod servers;
mod stage;
mod tool;
mod workload;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use measure::Sample;
use report::Outcome;
use servers::Servers;
use stage::Stage;
use std::path::{Path, PathBuf};
use std::process::Command;
use tool::Tool;
use workload::{WORKLOADS, Workload};

#[derive(Parser)]
#[command(about = "Runs sshome side by side with OpenSSH and rsync, and writes docs/performance.md")]
struct Options {
    /// How often each tool does each workload
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only workloads whose name contains this; the page is not written
    #[arg(long, value_name = "PART OF A NAME")]
    only: Option<String>,
    /// Only these tools; the page is not written
    #[arg(long, value_delimiter = ',', value_name = "TOOL")]
    tools: Vec<Tool>,
    /// Files this many times smaller or fewer, to try the bench itself; the page is not written
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    shrink: u64,
}

impl Options {
    fn workloads(&self) -> Vec<Workload> {
        let wanted =
            |workload: &&Workload| self.only.as_ref().is_none_or(|part| workload.name.contains(part));
        WORKLOADS.iter().filter(wanted).map(|workload| workload.shrunk(self.shrink)).collect()
    }

    fn tools(&self) -> Vec<Tool> {
        let wanted = |tool: &Tool| self.tools.is_empty() || self.tools.contains(tool);
        Tool::ALL.into_iter().filter(wanted).collect()
    }

    /// Whether the result is the whole table.
    fn whole(&self) -> bool {
        self.only.is_none() && self.tools.is_empty() && self.shrink == 1
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let workloads = options.workloads();
    ensure!(!workloads.is_empty(), "no workload has such a name");
    let tools = installed(options.tools())?;
    if options.shrink > 1 {
        println!("files {} times smaller or fewer than the names of the workloads say", options.shrink);
    }
    if tools.contains(&Tool::Sshome) {
        build()?;
    }

    let stage = Stage::new(&workloads, binaries()?)?;
    let servers = Servers::start(&stage, &tools)?;
    let mut outcomes = Vec::new();
    for workload in &workloads {
        outcomes.extend(run(workload, &tools, options.rounds, &stage, &servers)?);
    }
    let table = report::table(&outcomes, &stage, options.rounds);
    println!("\n{table}");
    if options.whole() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
        report::write(&page, &table)?;
        println!("wrote docs/performance.md");
    }
    Ok(())
}

/// One workload, the tools in turn.
fn run(
    workload: &Workload,
    tools: &[Tool],
    rounds: u32,
    stage: &Stage,
    servers: &Servers,
) -> Result<Vec<Outcome>> {
    let tools = tools.iter().copied().filter(|tool| workload.tools.contains(tool));
    let mut outcomes: Vec<_> = tools.map(|tool| Outcome::new(workload.clone(), tool)).collect();
    for round in 1..=rounds {
        for outcome in &mut outcomes {
            let tool = outcome.tool;
            let sample = once(workload, tool, stage, servers)
                .with_context(|| format!("{}, {tool}, round {round}", workload.name))?;
            println!("{} · round {round} of {rounds} · {tool} · {sample}", workload.name);
            outcome.samples.push(sample);
        }
    }
    Ok(outcomes)
}

/// One transfer, from an empty place to a checked result.
fn once(workload: &Workload, tool: Tool, stage: &Stage, servers: &Servers) -> Result<Sample> {
    let arrived = stage.arrived(tool, workload.direction);
    files::empty(&arrived)?;
    let server = servers.of(tool)?;
    let command = tool.command(workload, stage, server.port)?;
    let sample = measure::run(command, server, &stage.log())?;
    let source = stage.files().join(workload.files.name);
    files::same(&source, &arrived.join(workload.files.name)).context("what arrived is not what was sent")?;
    files::empty(&arrived)?;
    Ok(sample)
}

/// The tools that are there; the others are said.
fn installed(tools: Vec<Tool>) -> Result<Vec<Tool>> {
    let (there, missing): (Vec<_>, Vec<_>) = tools.into_iter().partition(|tool| tool.is_installed());
    for tool in missing {
        println!("{tool} is not installed and left out: see scripts/install-test-deps");
    }
    ensure!(!there.is_empty(), "no tool is left to run");
    Ok(there)
}

/// Builds what is measured.
fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--release", "-p", "sshomed", "-p", "sshome"]);
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    ensure!(command.status().context("running cargo")?.success(), "sshome does not build");
    Ok(())
}

/// The folder of what was built: it stands beside the bench's own, or is it.
fn binaries() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the folder of the binaries")?;
    let target = own.ancestors().nth(2).context("finding the folder of the binaries")?;
    Ok(target.join("release"))
}
