//! The table: medians, how far the runs are apart, and how sshome stands to the others.

use crate::measure::Sample;
use crate::stage::Stage;
use crate::tool::Tool;
use crate::workload::Workload;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The parts of pages that the bench writes stand between two lines with their names; the rest is written
/// by people.
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

/// The whole table, in Markdown.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut out = String::from(
        "| workload | tool | median | fastest – slowest | rate | processor: client, server | \
         peak memory: client, server | sshome's rate | sshome's processor |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for outcome in outcomes {
        out.push_str(&row(outcome, first(outcomes, outcome).filter(|first| first.tool != outcome.tool)));
    }
    out
}

/// The medians alone, a line for each workload, and how many times as long as sshome the others take.
pub(crate) fn summary(outcomes: &[Outcome]) -> String {
    let tools: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| *tool != Tool::Tcp).collect();
    let mut out = String::from("| |");
    for tool in &tools {
        let _ = write!(out, " {tool} |");
    }
    out.push_str("\n|---|");
    out.push_str(&"---:|".repeat(tools.len()));
    for first in outcomes.iter().filter(|outcome| Some(&outcome.tool) == outcome.workload.tools.first()) {
        let _ = write!(out, "\n| {} |", first.workload.name);
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
    }
    out.push('\n');
    out
}

/// What others are compared with in an outcome's workload.
fn first<'a>(outcomes: &'a [Outcome], of: &Outcome) -> Option<&'a Outcome> {
    let first = |other: &&Outcome| {
        Some(&other.tool) == of.workload.tools.first() && other.workload.name == of.workload.name
    };
    outcomes.iter().find(first)
}

fn row(outcome: &Outcome, ours: Option<&Outcome>) -> String {
    let walls = || outcome.samples.iter().map(|sample| sample.wall.as_secs_f64());
    let (rate, cpu) = match ours {
        Some(ours) => {
            (format!("{:.2} ×", outcome.wall() / ours.wall()), format!("{:.2} ×", ours.cpu() / outcome.cpu()))
        }
        None => (String::new(), String::new()),
    };
    format!(
        "| {} | {} | {:.2} s | {:.2} – {:.2} s | {} | {:.2} s, {:.2} s | {} MiB, {} MiB | {rate} | {cpu} |\n",
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
pub(crate) fn surroundings(stage: &Stage, rounds: u32) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let sshome = first_line(&stage.binaries.join("sshome").to_string_lossy(), "--version");
    let ssh = first_line("ssh", "-V");
    let rsync = first_line("rsync", "--version");
    format!(
        "{rounds} rounds, the tools in turn; client and server on the same {cores} cores ({}), Linux {}, \
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

/// Writes the table into docs/performance.md, and the summary of the same run into README.md.
pub(crate) fn write(table: &str, summary: &str) -> Result<()> {
    put_into(Path::new(PAGE), TABLE, table)?;
    put_into(Path::new(README), SUMMARY, summary)
}

/// Writes what the long run has shown into docs/performance.md.
pub(crate) fn write_long(text: &str) -> Result<()> {
    put_into(Path::new(PAGE), LONG, text)
}

fn put_into(page: &Path, part: &str, text: &str) -> Result<()> {
    let old = fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))?;
    let new = replaced(&old, part, text)
        .with_context(|| format!("{} has no place for the bench's {part}", page.display()))?;
    fs::write(page, new).with_context(|| format!("writing {}", page.display()))?;
    println!("wrote the {part} into {}", page.display());
    Ok(())
}

fn replaced(page: &str, part: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- written by the bench: {part}: begin -->");
    let end = format!("<!-- written by the bench: {part}: end -->");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))
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
            row(&theirs, Some(&ours)),
            "| get 1 GiB | sftp | 4.00 s | 1.00 – 5.00 s | 268 MB/s | 2.00 s, 2.00 s | 3 MiB, 5 MiB | 2.00 × | 0.50 × |\n"
        );
        assert!(row(&ours, None).ends_with("| 3 MiB, 5 MiB |  |  |\n"));
    }

    #[test]
    fn the_summary_has_a_line_a_workload_and_compares() {
        let outcomes =
            [outcome(Tool::Sshome, &[2], 1), outcome(Tool::Sftp, &[5], 2), outcome(Tool::Tcp, &[1], 1)];
        assert_eq!(
            summary(&outcomes),
            "| | sshome | sftp | rsync |\n|---|---:|---:|---:|\n| get 1 GiB | 2.00 s | 5.00 s (2.5 ×) | |\n"
        );
    }

    #[test]
    fn only_what_is_between_the_lines_is_replaced() {
        let (begin, end) =
            ("<!-- written by the bench: table: begin -->", "<!-- written by the bench: table: end -->");
        let page = format!("# Page\n\n{begin}\nold\n{end}\n\nwords\n");
        let new = replaced(&page, TABLE, "table\n").unwrap();
        assert_eq!(new, format!("# Page\n\n{begin}\n\ntable\n\n{end}\n\nwords\n"));
        assert_eq!(replaced(&new, TABLE, "table").unwrap(), new);
        assert_eq!(replaced(&new, LONG, "table"), None);
        assert_eq!(replaced("# Page\n", TABLE, "table"), None);
    }
}
