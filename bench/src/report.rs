//! The tables: medians, the spread of the runs, and sshome compared with the others.

use crate::measure::Sample;
use crate::page::{self, Row, Table};
use crate::stage::Stage;
use crate::tool::Tool;
use crate::workload::{CLIENTS, Contender, Contest, TOOLS, Workload};
use anyhow::Result;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The parts of pages that the bench writes.
const TABLE_PART: &str = "table";
const CLIENTS_PART: &str = "clients";
const LONG_PART: &str = "long";
const SUMMARY_PART: &str = "summary";

/// The page of most tables.
pub(crate) const PERFORMANCE_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
const SOAK_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/soak.md");

/// The samples of a contender for a workload.
pub(crate) struct Measurement {
    pub(crate) workload: Workload,
    pub(crate) contender: Contender,
    pub(crate) samples: Vec<Sample>,
}

impl Measurement {
    pub(crate) fn new(workload: Workload, contender: Contender) -> Measurement {
        Measurement { workload, contender, samples: Vec::new() }
    }

    /// The name of what the contenders differ in.
    pub(crate) fn label(&self) -> String {
        match self.workload.contest {
            Contest::Tools(_) => self.contender.tool.to_string(),
            Contest::Servers(_) => self.contender.service.to_string(),
        }
    }

    /// Whether the others are compared with it.
    fn is_first(&self) -> bool {
        self.workload.contest.contenders().first() == Some(&self.contender)
    }

    /// The one that the others are compared with.
    fn first<'a>(&self, outcomes: &'a [Measurement]) -> Option<&'a Measurement> {
        outcomes.iter().find(|other| other.is_first() && other.workload.name == self.workload.name)
    }

    fn seconds(&self, of: impl Fn(&Sample) -> Duration) -> f64 {
        median(self.samples.iter().map(|sample| of(sample).as_secs_f64()))
    }

    fn wall(&self) -> f64 {
        self.seconds(|sample| sample.wall)
    }

    /// The CPU time that is compared: of both ends, or of the servers.
    fn cpu(&self) -> f64 {
        self.seconds(|sample| match self.workload.contest {
            Contest::Tools(_) => sample.client_cpu + sample.server_cpu,
            Contest::Servers(_) => sample.server_cpu,
        })
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

/// The table of tools: a row for each measurement. `run` has the date and the build.
pub(crate) fn tools(outcomes: &[Measurement], run: &str) -> Table {
    table(outcomes, run, "tool", "sshome", |contest| matches!(contest, Contest::Tools(_)))
}

/// The table of other people's clients, in the same way.
pub(crate) fn clients(outcomes: &[Measurement], run: &str) -> Table {
    table(outcomes, run, "server", "sshomed", |contest| matches!(contest, Contest::Servers(_)))
}

fn table(outcomes: &[Measurement], run: &str, kind: &str, ours: &str, of: impl Fn(Contest) -> bool) -> Table {
    let head = format!(
        "| workload | {kind} | median | fastest – slowest | rate | processor time: client, server | \
         peak memory: client, server | speedup of {ours} | processor time of {ours} | measured |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---|"
    );
    let row = |outcome: &Measurement| {
        let rival = outcome.first(outcomes).filter(|_| !outcome.is_first());
        Row { workload: outcome.workload.name.to_owned(), line: line(outcome, rival, run) }
    };
    let rows = outcomes.iter().filter(|outcome| of(outcome.workload.contest)).map(row);
    Table { head, rows: rows.collect() }
}

/// The medians alone, a row for each workload, and the factors by which the others take longer than sshome.
fn summary(outcomes: &[Measurement]) -> Table {
    let tools: Vec<Tool> = Tool::SIDE_BY_SIDE.into_iter().filter(|tool| *tool != Tool::Tcp).collect();
    let names: String = tools.iter().map(|tool| format!(" {tool} |")).collect();
    let head = format!("| |{names}\n|---|{}", "---:|".repeat(tools.len()));
    let row = |first: &Measurement| {
        let mut line = format!("| {} |", first.workload.name);
        for tool in &tools {
            let of_tool = |other: &&Measurement| {
                other.contender.tool.column() == *tool && other.workload.name == first.workload.name
            };
            line.push_str(&match outcomes.iter().find(of_tool) {
                None => " |".to_owned(),
                Some(own) if own.is_first() => format!(" {:.2} s |", own.wall()),
                Some(other) => {
                    let times = other.wall() / first.wall();
                    format!(" {:.2} s ({times:.1} ×) |", other.wall())
                }
            });
        }
        Row { workload: first.workload.name.to_owned(), line }
    };
    let compared = |outcome: &&Measurement| match outcome.workload.contest {
        Contest::Tools(rivals) => {
            outcome.is_first() && rivals.iter().skip(1).any(|rival| tools.contains(&rival.column()))
        }
        Contest::Servers(_) => false,
    };
    Table { head, rows: outcomes.iter().filter(compared).map(row).collect() }
}

fn line(outcome: &Measurement, ours: Option<&Measurement>, run: &str) -> String {
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
        outcome.label(),
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
    let sshome = version(&stage.binaries.join("sshome").to_string_lossy(), "--version");
    let ssh = version("ssh", "-V");
    let [rsync, sshfs, rclone] = [("rsync", "--version"), ("sshfs", "--version"), ("rclone", "version")]
        .map(|(name, option)| version(name, option));
    format!(
        "The tools alternate. Client and server run on the same {cores} cores ({}), Linux {}, with files on tmpfs, \
         over loopback. {}. Every run includes the login. The memory of several processes is their sum.",
        model.map_or("unknown processor", |(_, model)| model),
        kernel.trim(),
        [sshome, ssh, rsync, sshfs, rclone].into_iter().flatten().collect::<Vec<_>>().join("; "),
    )
}

/// The version that a program prints. OpenSSH prints it on standard error, and sshfs also prints those of its
/// libraries.
fn version(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let own = said.lines().find(|line| line.to_lowercase().starts_with(program));
    let line = own.or_else(|| said.lines().next())?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The date and the build of a run, and the number of repetitions.
pub(crate) fn run(how_often: &str) -> String {
    let date = jiff::Zoned::now().date();
    let commit = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty=+", "--exclude=*"])
        .output();
    let commit = commit.ok().filter(|output| output.status.success()).map_or_else(
        || "an unknown commit".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    format!("{date}, {commit}, {how_often}")
}

/// Writes the rows of these workloads into docs/performance.md, and into the summary at its top.
pub(crate) fn write(outcomes: &[Measurement], run: &str, surroundings: &str) -> Result<()> {
    let (names, client_names) = (TOOLS.map(|workload| workload.name), CLIENTS.map(|workload| workload.name));
    let (tools, clients) = (tools(outcomes, run), clients(outcomes, run));
    if !tools.rows.is_empty() {
        page::update(PERFORMANCE_PAGE, TABLE_PART, &tools, &names, surroundings)?;
        page::update(PERFORMANCE_PAGE, SUMMARY_PART, &summary(outcomes), &names, "")?;
    }
    if !clients.rows.is_empty() {
        page::update(PERFORMANCE_PAGE, CLIENTS_PART, &clients, &client_names, surroundings)?;
    }
    Ok(())
}

/// Writes the result of the long run into docs/performance.md.
pub(crate) fn write_long(text: &str) -> Result<()> {
    page::write(PERFORMANCE_PAGE, LONG_PART, text)
}

/// Writes the table of synchronisations into docs/performance.md.
pub(crate) fn write_sync(table: &Table, names: &[&str], surroundings: &str) -> Result<()> {
    page::update(PERFORMANCE_PAGE, "sync", table, names, surroundings)
}

/// Writes the result of a soak into docs/soak.md.
pub(crate) fn write_soak(text: &str) -> Result<()> {
    page::write(SOAK_PAGE, "soak", text)
}

/// The percentile: the smallest value that this share of the values (0 to 1) do not exceed.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (share * values.len() as f64).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The median; the mean of the two middle values if their number is even.
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
    use crate::servers::Service;

    fn outcome(tool: Tool, walls: &[u64], cpu: u64) -> Measurement {
        of(TOOLS[0].clone(), Contender { tool, service: tool.service() }, walls, cpu)
    }

    fn of(workload: Workload, contender: Contender, walls: &[u64], cpu: u64) -> Measurement {
        let sample = |wall: &u64| Sample {
            wall: Duration::from_secs(*wall),
            client_cpu: Duration::from_secs(cpu),
            server_cpu: Duration::from_secs(2 * cpu),
            client_memory: 3 << 20,
            server_memory: 5 << 20,
        };
        let samples = walls.iter().map(sample).collect();
        Measurement { workload, contender, samples }
    }

    #[test]
    fn a_median_ignores_order_and_outliers() {
        assert_eq!(median([3.0, 1.0, 100.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 1.0, 2.0, 100.0].into_iter()), 3.0);
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| percentile(&values, share)), [1.0, 100.0, 198.0, 200.0]);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_row_compares_with_ours() {
        let ours = outcome(Tool::Sshome, &[2, 2, 9], 1);
        let theirs = outcome(Tool::Sftp, &[4, 5, 1], 2);
        assert_eq!(
            line(&theirs, Some(&ours), "today"),
            "| get 1 GiB | sftp | 4.00 s | 1.00 – 5.00 s | 268 MB/s | 2.00 s, 4.00 s | 3 MiB, 5 MiB | 2.00 × | 0.50 × | today |"
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

    #[test]
    fn servers_are_compared_by_their_own_processor_time_and_in_their_own_table() {
        let server = |service, wall, cpu| {
            let tool = Tool::PlainSftp;
            of(CLIENTS[0].clone(), Contender { tool, service }, &[wall], cpu)
        };
        let outcomes = [server(Service::Sshomed, 2, 1), server(Service::Sshd, 3, 4)];
        assert!(tools(&outcomes, "today").rows.is_empty() && summary(&outcomes).rows.is_empty());
        let rows = clients(&outcomes, "today").rows;
        assert!(rows[0].line.starts_with("| get 1 GiB with sftp | sshomed | 2.00 s |"), "{rows:?}");
        assert!(rows[0].line.ends_with("|  |  | today |"), "{rows:?}");
        assert!(rows[1].line.starts_with("| get 1 GiB with sftp | sshd | 3.00 s |"), "{rows:?}");
        assert!(rows[1].line.ends_with("| 1.50 × | 0.25 × | today |"), "{rows:?}");
    }
}
