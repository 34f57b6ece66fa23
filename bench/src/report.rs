//! The tables: medians, how far the runs are apart, and how sshome stands to the others.

use crate::measure::Sample;
use crate::page::{self, Row, Table};
use crate::stage::Stage;
use crate::tool::Tool;
use crate::workload::{WORKLOADS, Workload};
use anyhow::Result;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The parts of pages that the bench writes.
const TABLE: &str = "table";
const LONG: &str = "long";
const SUMMARY: &str = "summary";

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// What one tool did of one workload, round by round.
pub(crate) struct Outcome {
    pub(crate) workload: Workload,
    pub(crate) tool: Tool,
    pub(crate) samples: Vec<Sample>,
}

impl Outcome {
    pub(crate) fn new(workload: Workload, tool: Tool) -> Outcome {
        Outcome { workload, tool, samples: Vec::new() }
    }

    fn seconds(&self, of: impl Fn(&Sample) -> Duration) -> f64 {
        median(self.samples.iter().map(|sample| of(sample).as_secs_f64()))
    }

    fn wall(&self) -> f64 {
        self.seconds(|sample| sample.wall)
    }

    /// Of both ends together.
    fn cpu(&self) -> f64 {
        self.seconds(|sample| sample.client_cpu + sample.server_cpu)
    }

    fn peak(&self, of: impl Fn(&Sample) -> u64) -> u64 {
        self.samples.iter().map(of).max().unwrap_or(0) >> 20
    }

    fn rate(&self) -> String {
        let files = &self.workload.files;
        if self.workload.is_of_small_files() {
            format!("{:.0} files/s", files.count as f64 / self.wall())
        } else {
            format!("{:.0} MB/s", files.bytes() as f64 / 1e6 / self.wall())
        }
    }
}

/// A row for each outcome; `run` says when and of what build they are.
pub(crate) fn table(outcomes: &[Outcome], run: &str) -> Table {
    let head = "| workload | tool | median | fastest – slowest | rate | processor: client, server | \
                peak memory: client, server | sshome's rate | sshome's processor | measured |\n\
                |---|---|---:|---:|---:|---:|---:|---:|---:|---|";
    let row = |outcome: &Outcome| {
        let rival = first(outcomes, outcome).filter(|first| first.tool != outcome.tool);
        Row { workload: outcome.workload.name.to_owned(), line: line(outcome, rival, run) }
    };
    Table { head: head.to_owned(), rows: outcomes.iter().map(row).collect() }
}

/// The medians alone, a line for each workload, and how many times as long as sshome the others take.
fn summary(outcomes: &[Outcome]) -> Table {
    let tools: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| *tool != Tool::Tcp).collect();
    let names: String = tools.iter().map(|tool| format!(" {tool} |")).collect();
    let head = format!("| |{names}\n|---|{}", "---:|".repeat(tools.len()));
    let firsts = outcomes.iter().filter(|outcome| Some(&outcome.tool) == outcome.workload.tools.first());
    let row = |first: &Outcome| {
        let mut out = format!("| {} |", first.workload.name);
        for tool in &tools {
            let of_tool =
                |other: &&Outcome| other.tool == *tool && other.workload.name == first.workload.name;
            match outcomes.iter().find(of_tool) {
                None => out.push_str(" |"),
                Some(own) if own.tool == first.tool => out.push_str(&format!(" {:.2} s |", own.wall())),
                Some(other) => {
                    let times = other.wall() / first.wall();
                    out.push_str(&format!(" {:.2} s ({times:.1} ×) |", other.wall()));
                }
            }
        }
        Row { workload: first.workload.name.to_owned(), line: out }
    };
    Table { head, rows: firsts.map(row).collect() }
}

/// What others are compared with in an outcome's workload.
fn first<'a>(outcomes: &'a [Outcome], of: &Outcome) -> Option<&'a Outcome> {
    let first = |other: &&Outcome| {
        Some(&other.tool) == of.workload.tools.first() && other.workload.name == of.workload.name
    };
    outcomes.iter().find(first)
}

fn line(outcome: &Outcome, ours: Option<&Outcome>, run: &str) -> String {
    let walls = || outcome.samples.iter().map(|sample| sample.wall.as_secs_f64());
    let (rate, cpu) = match ours {
        Some(ours) => {
            (format!("{:.2} ×", outcome.wall() / ours.wall()), format!("{:.2} ×", ours.cpu() / outcome.cpu()))
        }
        None => (String::new(), String::new()),
    };
    format!(
        "| {} | {} | {:.2} s | {:.2} – {:.2} s | {} | {:.2} s, {:.2} s | {} MiB, {} MiB | {rate} | {cpu} | {run} |",
        outcome.workload.name,
        outcome.tool,
        outcome.wall(),
        walls().fold(f64::INFINITY, f64::min),
        walls().fold(0.0, f64::max),
        outcome.rate(),
        outcome.seconds(|sample| sample.client_cpu),
        outcome.seconds(|sample| sample.server_cpu),
        outcome.peak(|sample| sample.client_memory),
        outcome.peak(|sample| sample.server_memory),
    )
}

/// The machine, the versions, and how it was measured.
pub(crate) fn surroundings(stage: &Stage) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let sshome = first_line(&stage.binaries.join("sshome").to_string_lossy(), "--version");
    let ssh = first_line("ssh", "-V");
    let rsync = first_line("rsync", "--version");
    format!(
        "The tools in turn; client and server on the same {cores} cores ({}), Linux {}, \
         files on tmpfs, over loopback. {}. Logging in is part of every run. Memory of several processes \
         is their sum.",
        model.map_or("unknown processor", |(_, model)| model),
        kernel.trim(),
        [sshome, ssh, rsync].into_iter().flatten().collect::<Vec<_>>().join("; "),
    )
}

/// What a program says about its version; OpenSSH says it on standard error.
fn first_line(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let line =
        String::from_utf8_lossy(&said).lines().next()?.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(line)
}

/// When and of what build a run is, and how often it repeats.
pub(crate) fn run(rounds: u32) -> String {
    let date = jiff::Zoned::now().date();
    let commit = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty=+", "--exclude=*"])
        .output();
    let commit = commit.ok().filter(|output| output.status.success()).map_or_else(
        || "an unknown commit".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    format!("{date}, {commit}, {rounds} rounds")
}

/// Writes the rows of these workloads into docs/performance.md, and into the summary in README.md.
pub(crate) fn write(outcomes: &[Outcome], run: &str, surroundings: &str) -> Result<()> {
    let names = WORKLOADS.map(|workload| workload.name);
    page::update(PAGE, TABLE, &table(outcomes, run), &names, surroundings)?;
    page::update(README, SUMMARY, &summary(outcomes), &names, "")
}

/// Writes what the long run has shown into docs/performance.md.
pub(crate) fn write_long(text: &str) -> Result<()> {
    page::write(PAGE, LONG, text)
}

/// The value in the middle; the mean of the two there if their number is even.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = values.get(half).copied().unwrap_or(f64::NAN);
    let lower = half.checked_sub(1).and_then(|below| values.get(below)).copied();
    if values.len().is_multiple_of(2) { (lower.unwrap_or(upper) + upper) / 2.0 } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WORKLOADS;

    fn outcome(tool: Tool, walls: &[u64], cpu: u64) -> Outcome {
        let sample = |wall: &u64| Sample {
            wall: Duration::from_secs(*wall),
            client_cpu: Duration::from_secs(cpu),
            server_cpu: Duration::from_secs(cpu),
            client_memory: 3 << 20,
            server_memory: 5 << 20,
        };
        let samples = walls.iter().map(sample).collect();
        Outcome { workload: WORKLOADS[0].clone(), tool, samples }
    }

    #[test]
    fn a_median_does_not_care_for_order_or_one_far_away() {
        assert_eq!(median([3.0, 1.0, 100.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 1.0, 2.0, 100.0].into_iter()), 3.0);
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn a_row_compares_with_ours() {
        let ours = outcome(Tool::Sshome, &[2, 2, 9], 1);
        let theirs = outcome(Tool::Sftp, &[4, 5, 1], 2);
        assert_eq!(
            line(&theirs, Some(&ours), "today"),
            "| get 1 GiB | sftp | 4.00 s | 1.00 – 5.00 s | 268 MB/s | 2.00 s, 2.00 s | 3 MiB, 5 MiB | 2.00 × | 0.50 × | today |"
        );
        assert!(line(&ours, None, "today").ends_with("| 3 MiB, 5 MiB |  |  | today |"));
    }

    #[test]
    fn the_summary_has_a_line_a_workload_and_compares() {
        let outcomes =
            [outcome(Tool::Sshome, &[2], 1), outcome(Tool::Sftp, &[5], 2), outcome(Tool::Tcp, &[1], 1)];
        assert_eq!(
            summary(&outcomes).markdown(),
            "| | sshome | sftp | rsync |\n|---|---:|---:|---:|\n| get 1 GiB | 2.00 s | 5.00 s (2.5 ×) | |\n"
        );
    }
}
