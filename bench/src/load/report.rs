//! The tables of docs/performance.md's part "Many sessions".

use super::active::{BESIDE, Seen};
use super::client::Way;
use super::idle::{CROWDS, Weight};
use crate::page::{self, Row, Table};
use crate::report::{PERFORMANCE_PAGE, percentile};
use crate::servers::Service;
use anyhow::Result;
use std::time::Duration;

/// The parts of the page.
const IDLE: &str = "idle";
const ACTIVE: &str = "active";

/// The measurements so far, which are printed as they arrive.
#[derive(Default)]
pub(crate) struct Report {
    weights: Vec<Weight>,
    seen: Vec<(Service, Seen)>,
}

impl Report {
    pub(super) fn idle(&mut self, weight: Weight) {
        println!("{}", idle_line(&weight, ""));
        self.weights.push(weight);
    }

    pub(super) fn active(&mut self, service: Service, seen: Seen) {
        for (way, latencies) in &seen.latencies {
            println!("{}", active_line(service, &seen, *way, latencies, ""));
        }
        self.seen.push((service, seen));
    }

    /// Prints the tables; writes them into docs/performance.md if `write` is set. `run` has the date and the build.
    pub(crate) fn tell(&self, run: &str, surroundings: &str, write: bool) -> Result<()> {
        let (idle, active) = (self.idle_table(run), self.active_table(run));
        for (part, table, names) in [
            (IDLE, idle, CROWDS.map(|crowd| crowd.name).to_vec()),
            (ACTIVE, active, BESIDE.map(|beside| beside.name).to_vec()),
        ] {
            if table.rows.is_empty() {
                continue;
            }
            println!("\n{}", table.markdown());
            if write {
                page::update(PERFORMANCE_PAGE, part, &table, &names, surroundings)?;
            }
        }
        Ok(())
    }

    fn idle_table(&self, run: &str) -> Table {
        let head = "| server, subsystem | sessions | server alone | with all sessions | per session | per session, after 1 MiB \
                    each way | measured |\n|---|---:|---:|---:|---:|---:|---|";
        let row = |weight: &Weight| Row {
            workload: weight.crowd.name.to_owned(),
            line: idle_line(weight, &format!(" {run} |")),
        };
        Table { head: head.to_owned(), rows: self.weights.iter().map(row).collect() }
    }

    fn active_table(&self, run: &str) -> Table {
        let head = "| load | server, subsystem | `ls`: median | 99th percentile | slowest | count | gets: total | per session: \
                    least – median – most | puts: total | per session: least – median – most | measured |\n\
                    |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|";
        let mut rows = Vec::new();
        for beside in BESIDE {
            for (service, seen) in self.seen.iter().filter(|(_, seen)| seen.beside.name == beside.name) {
                let line = |(way, latencies): &(Way, Vec<Duration>)| Row {
                    workload: beside.name.to_owned(),
                    line: active_line(*service, seen, *way, latencies, &format!(" {run} |")),
                };
                rows.extend(seen.latencies.iter().map(line));
            }
        }
        Table { head: head.to_owned(), rows }
    }
}

fn idle_line(weight: &Weight, end: &str) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let each = |bytes: u64| format!("{} KiB", weight.each(bytes) >> 10);
    format!(
        "| {} | {} | {} | {} | {} | {} |{end}",
        weight.crowd.name,
        weight.crowd.sessions,
        mib(weight.alone),
        mib(weight.listed),
        each(weight.listed),
        weight.worked.map(each).unwrap_or_default(),
    )
}

fn active_line(service: Service, seen: &Seen, way: Way, latencies: &[Duration], end: &str) -> String {
    let taken: Vec<f64> = latencies.iter().map(Duration::as_secs_f64).collect();
    let millis = |share: f64| format!("{:.1} ms", percentile(&taken, share) * 1e3);
    format!(
        "| {} | {service}, {way} | {} | {} | {} | {} | {} | {} |{end}",
        seen.beside.name,
        millis(0.5),
        millis(0.99),
        millis(1.0),
        taken.len(),
        shares(&seen.got, seen.time),
        shares(&seen.put, seen.time),
    )
}

/// Two columns: the total rate, and the smallest, the median and the largest share of a session.
fn shares(moved: &[u64], time: Duration) -> String {
    if moved.is_empty() {
        return " | ".to_owned();
    }
    let megabytes: Vec<f64> = moved.iter().map(|bytes| *bytes as f64 / 1e6).collect();
    let sum: f64 = megabytes.iter().sum();
    let share = |share: f64| percentile(&megabytes, share);
    format!(
        "{:.0} MB/s | {:.1} – {:.1} – {:.1} MB",
        sum / time.as_secs_f64(),
        share(0.0),
        share(0.5),
        share(1.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let latencies = vec![(Way::Sftp, [1, 2, 9].map(Duration::from_millis).to_vec())];
        let (got, put) = (vec![20_000_000, 10_000_000, 30_000_000], Vec::new());
        Seen { beside: BESIDE[1], latencies, got, put, time: Duration::from_secs(6) }
    }

    #[test]
    fn a_line_shows_latencies_and_shares() {
        let seen = seen();
        let (way, latencies) = &seen.latencies[0];
        assert_eq!(
            active_line(Service::Sshd, &seen, *way, latencies, " today |"),
            "| 8 gets of another user | sshd, sftp | 2.0 ms | 9.0 ms | 9.0 ms | 3 | 10 MB/s | \
             10.0 – 20.0 – 30.0 MB |  |  | today |"
        );
    }

    #[test]
    fn memory_without_sessions_is_not_attributed_to_them() {
        let crowd = super::super::Crowd { sessions: 10, ..CROWDS[0] };
        let weight = Weight { crowd, alone: 10 << 20, listed: 11 << 20, worked: Some(12 << 20) };
        assert_eq!(
            idle_line(&weight, ""),
            "| sshomed, sftp | 10 | 10.0 MiB | 11.0 MiB | 102 KiB | 204 KiB |"
        );
    }
}
