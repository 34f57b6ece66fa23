//! Many sessions at once: the memory of idle ones, the latency of a small request beside transfers, and how those share
//! the throughput.

mod active;
mod client;
mod host;
mod idle;
mod report;

use crate::servers::Service;
use crate::stage::Stage;
use active::{BESIDE, observe};
use anyhow::{Context, Result};
use client::Way;
use host::LoadHost;
use idle::{CROWDS, Crowd, weigh};
use report::Report;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// The time for each measurement.
const MEASUREMENT_TIME: Duration = Duration::from_secs(30);

/// The options of the load test.
pub(crate) struct LoadOptions<'a> {
    /// Only rows whose name contains this.
    pub(crate) only: Option<&'a str>,
    /// The factor by which sessions and time are reduced.
    pub(crate) shrink: usize,
}

impl LoadOptions<'_> {
    fn wants(&self, name: &str) -> bool {
        self.only.is_none_or(|part| name.contains(part))
    }
}

/// Measures both servers, one after the other. Returns the tables.
pub(crate) fn run(options: &LoadOptions<'_>, stage: &Stage) -> Result<Report> {
    allow_open_files()?;
    let mut report = Report::default();
    for crowd in CROWDS.iter().filter(|crowd| options.wants(crowd.name)) {
        let crowd = Crowd { sessions: crowd.sessions.div_ceil(options.shrink), ..*crowd };
        let weight = weigh(crowd, stage).with_context(|| format!("idle: {}", crowd.name))?;
        report.idle(weight);
    }
    for service in [Service::Sshomed, Service::Sshd] {
        let wanted: Vec<_> = BESIDE.iter().filter(|beside| options.wants(beside.name)).collect();
        if wanted.is_empty() {
            continue;
        }
        let ways = match service {
            Service::Sshomed => &[Way::Sftp, Way::Native][..],
            Service::Sshd | Service::Tcp => &[Way::Sftp],
        };
        let host = LoadHost::start(service, stage)?;
        for beside in wanted {
            let time = MEASUREMENT_TIME / u32::try_from(options.shrink)?;
            let seen = observe(beside.shrunk(options.shrink), ways, time, &host);
            report.active(service, seen.with_context(|| format!("beside {}: {service}", beside.name))?);
        }
    }
    Ok(report)
}

/// Each session needs a descriptor.
fn allow_open_files() -> Result<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).context("allowing more open files")
}
