//! Very many small files: whether rate and memory of both ends stay constant.

use crate::command::sshome_with_events;
use crate::files;
use crate::measure::{forget_peak, memory};
use crate::servers::{Servers, Service};
use crate::stage::Stage;
use crate::workload::MANY;
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The number of samples.
const SAMPLES: u64 = 10;

/// The client's event for a finished file.
const FILE_DONE: &str = r#"{"event":"file""#;

/// One sample.
#[derive(Debug)]
struct ManySample {
    /// Files that were finished at its end.
    files: u64,
    taken: Duration,
    /// Peak of the client's resident memory within it, in bytes.
    client_memory: u64,
    /// The same of the server.
    server_memory: u64,
}

/// Downloads the files once. Returns a table in Markdown.
pub(crate) fn run(shrink: u64, stage: &Stage, servers: &Servers) -> Result<String> {
    let workload = MANY.shrunk(shrink);
    let files = workload.files;
    println!("{}: making them", workload.name);
    stage.provide(&files, servers)?;
    let server = servers.of(Service::Sshomed)?;
    let mut command = sshome_with_events(&workload, stage, server.port)?;
    let begin = Instant::now();
    let mut client =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting sshome")?;
    let events = client.stdout.take().context("sshome has no standard output")?;
    forget_peak(server.id())?;
    let (mut steps, mut done, mut last) = (Vec::new(), 0, begin);
    for line in BufReader::new(events).lines() {
        if !line?.starts_with(FILE_DONE) {
            continue;
        }
        done += 1;
        if done % (files.count / SAMPLES).max(1) == 0 {
            let (client_memory, server_memory) = (memory(client.id()), memory(server.id()));
            let taken = std::mem::replace(&mut last, Instant::now()).elapsed();
            steps.push(ManySample { files: done, taken, client_memory, server_memory });
            println!("{} · {:?}", workload.name, steps.last());
            forget_peak(server.id())?;
            // It may have ended.
            let _ = forget_peak(client.id());
        }
    }
    ensure!(client.wait()?.success(), "sshome failed");
    let taken = begin.elapsed();
    let arrived = stage.arrived(Service::Sshomed, workload.direction);
    stage.check(&workload, &arrived)?;
    files::empty(&arrived)?;
    Ok(table(workload.name, &steps, taken))
}

fn table(name: &str, steps: &[ManySample], taken: Duration) -> String {
    let mut out = format!(
        "{name}, once: {:.1} s in total, in equal steps. The first step includes the listing:\n\n\
         | files so far | time of the step | rate | peak memory: client, server |\n|---:|---:|---:|---:|\n",
        taken.as_secs_f64()
    );
    let mut before = 0;
    for step in steps {
        let (seconds, files) = (step.taken.as_secs_f64(), step.files - before);
        before = step.files;
        let _ = writeln!(
            out,
            "| {} | {seconds:.2} s | {:.0} files/s | {} MiB, {} MiB |",
            step.files,
            files as f64 / seconds,
            step.client_memory >> 20,
            step.server_memory >> 20
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_its_own_rate() {
        let step = |files, seconds| ManySample {
            files,
            taken: Duration::from_secs(seconds),
            client_memory: 30 << 20,
            server_memory: 40 << 20,
        };
        let table = table("get", &[step(1000, 2), step(2000, 4)], Duration::from_secs(6));
        assert!(table.contains("| 1000 | 2.00 s | 500 files/s | 30 MiB, 40 MiB |"), "{table}");
        assert!(table.contains("| 2000 | 4.00 s | 250 files/s | 30 MiB, 40 MiB |"), "{table}");
    }
}
