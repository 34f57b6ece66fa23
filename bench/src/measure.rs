//! The cost of a transfer: time, CPU time and memory of both ends.

use crate::servers::ServerProcess;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The interval of memory samples. The kernel keeps the peak of a process, so only an increase in its last moments can
/// be missed.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// The time limit for the end of a server's sessions after the client's end.
const SESSION_END_LIMIT: Duration = Duration::from_secs(10);

/// One run of one tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// The time from the start of the client to its end, including the login.
    pub(crate) wall: Duration,
    /// CPU time, user and system, of the client and its children.
    pub(crate) client_cpu: Duration,
    /// The same of the server and its sessions.
    pub(crate) server_cpu: Duration,
    /// Peak of the client's resident memory in bytes; of several processes the sum.
    pub(crate) client_memory: u64,
    /// The same of the server and its sessions.
    pub(crate) server_memory: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { wall, client_cpu, server_cpu, .. } = self;
        write!(
            f,
            "{:.2} s, processor {:.2} s + {:.2} s, memory {} MiB + {} MiB",
            wall.as_secs_f64(),
            client_cpu.as_secs_f64(),
            server_cpu.as_secs_f64(),
            self.client_memory >> 20,
            self.server_memory >> 20
        )
    }
}

/// Runs a client to its end. Its output is written to `log`, and is in the error if it fails.
pub(crate) fn run(mut command: Command, server: &ServerProcess, log: &Path) -> Result<Sample> {
    let output = File::create(log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let server = server.id();
    settle(server)?;
    forget_peak(server)?;
    let before = cpu(server)?;

    let begin = Instant::now();
    let mut client =
        command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
    let watched = watch(client.id(), server, || await_end(client.id()));
    let wall = begin.elapsed();
    // The usage of an ended process is available until it is reaped.
    let client_cpu = cpu(client.id());
    let status = client.wait()?;
    let (client_memory, server_memory) = watched?;
    if !status.success() {
        bail!("the client ended with {status}; it said:\n{}", String::from_utf8_lossy(&fs::read(log)?));
    }
    settle(server)?;
    Ok(Sample {
        wall,
        client_cpu: client_cpu?,
        server_cpu: cpu(server)?.saturating_sub(before),
        client_memory,
        server_memory,
    })
}

/// Runs `work`. Returns the memory peaks of both ends meanwhile.
fn watch(client: u32, server: u32, work: impl FnOnce() -> Result<()>) -> Result<(u64, u64)> {
    let (done, client_peak, server_peak) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                client_peak.fetch_max(memory(client), Ordering::Relaxed);
                server_peak.fetch_max(memory(server), Ordering::Relaxed);
                thread::sleep(SAMPLE_INTERVAL);
            }
        });
        let result = work();
        server_peak.fetch_max(memory(server), Ordering::Relaxed);
        done.store(true, Ordering::Relaxed);
        result
    })?;
    Ok((client_peak.into_inner(), server_peak.into_inner()))
}

/// Waits for the end of a child without reaping it.
fn await_end(child: u32) -> Result<()> {
    let id = i32::try_from(child).ok().and_then(Pid::from_raw).context("a process has no id")?;
    waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        .context("waiting for the client")?;
    Ok(())
}

/// Waits until a server has no session processes: their CPU time is included in its own only then.
fn settle(server: u32) -> Result<()> {
    let begin = Instant::now();
    while !children(server).is_empty() {
        ensure!(
            begin.elapsed() < SESSION_END_LIMIT,
            "the server still has sessions after the client has ended"
        );
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// User and system time of a process and of the children that it has waited for.
fn cpu(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("process {process} is gone"))?;
    let ticks = ticks(&stat).with_context(|| format!("/proc/{process}/stat is not what it should be"))?;
    let millis = ticks * 1000 / rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(millis))
}

/// utime, stime, cutime and cstime: fields 14 to 17. The second, the name, may contain anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().skip(11).take(4).collect();
    (fields.len() == 4).then_some(())?;
    fields.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// Makes the kernel forget a process's peak of memory, so that the next one is of the next run.
pub(crate) fn forget_peak(process: u32) -> Result<()> {
    fs::write(format!("/proc/{process}/clear_refs"), "5")
        .with_context(|| format!("resetting the peak of memory of process {process}"))
}

/// The peaks of a process and all below it, in bytes; 0 for one that has ended.
pub(crate) fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    kib(&status, "VmHWM:").unwrap_or(0) + children(process).into_iter().map(memory).sum::<u64>()
}

/// What a process and all below it hold in memory, in bytes: the proportional set size, in which a page that
/// several share is divided among them.
pub(crate) fn proportional(process: u32) -> Result<u64> {
    let file = format!("/proc/{process}/smaps_rollup");
    let rollup = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let own = kib(&rollup, "Pss:").with_context(|| format!("{file} is not what it should be"))?;
    // One that has ended meanwhile holds nothing.
    let below = children(process).into_iter().map(|child| proportional(child).unwrap_or(0));
    Ok(own + below.sum::<u64>())
}

/// A line of /proc in bytes.
pub(crate) fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn children(process: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.flatten().map(of_task).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_after_a_name_of_any_kind() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 9 0 0 100 20 3 4 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(127));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t    12 kB\nVmRSS:\t 3 kB\n";
        assert_eq!(kib(status, "VmHWM:"), Some(12 << 10));
        assert_eq!(kib("Name:\tzombie\n", "VmHWM:"), None);
        assert!(proportional(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn a_child_is_measured_until_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        assert!(memory(child.id()) > 0);
        child.kill().unwrap();
        await_end(child.id()).unwrap();
        assert!(cpu(child.id()).is_ok());
        child.wait().unwrap();
        assert!(cpu(child.id()).is_err());
    }
}
