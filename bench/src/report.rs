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

/// Between these lines of the page is what the bench writes; the rest is written by people.
const BEGIN: &str = "<!-- written by the bench: begin -->";
const END: &str = "<!-- written by the bench: end -->";

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
        if files.is_tree() {
            format!("{:.0} files/s", files.count as f64 / self.wall())
        } else {
            format!("{:.0} MB/s", files.bytes() as f64 / 1e6 / self.wall())
        }
    }
}

/// The table and the machine that it was made on, in Markdown.
pub(crate) fn table(outcomes: &[Outcome], stage: &Stage, rounds: u32) -> String {
    let mut out = String::from(
        "| workload | tool | median | fastest – slowest | rate | processor: client, server | \
         peak memory: client, server | sshome's rate | sshome's processor |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for outcome in outcomes {
        let is_ours =
            |other: &&Outcome| other.tool == Tool::Sshome && other.workload.name == outcome.workload.name;
        let ours = outcomes.iter().find(is_ours).filter(|ours| ours.tool != outcome.tool);
        out.push_str(&row(outcome, ours));
    }
    let _ = write!(out, "\n{}\n", surroundings(stage, rounds));
    out
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

fn surroundings(stage: &Stage, rounds: u32) -> String {
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

/// Puts the table into the page, between its two lines.
pub(crate) fn write(page: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))?;
    let new = replaced(&text, table)
        .with_context(|| format!("{} has no lines \"{BEGIN}\" and \"{END}\"", page.display()))?;
    fs::write(page, new).with_context(|| format!("writing {}", page.display()))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim()))
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
    fn only_what_is_between_the_lines_is_replaced() {
        let page = format!("# Page\n\n{BEGIN}\nold\n{END}\n\nwords\n");
        let new = replaced(&page, "table\n").unwrap();
        assert_eq!(new, format!("# Page\n\n{BEGIN}\n\ntable\n\n{END}\n\nwords\n"));
        assert_eq!(replaced(&new, "table").unwrap(), new);
        assert_eq!(replaced("# Page\n", "table"), None);
    }
}
