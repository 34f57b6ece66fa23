//! Builds the status report and the metrics snapshot.

use super::durations::since_1970;
use super::{
    HomeReport, PenaltyReport, ScanComparison, SessionReport, StatusReport, TransferReport,
    UnavailableHomeReport, UnreadableEntryReport, UnreadableReport,
};
use crate::audit::TransferProgress;
use crate::config::shown;
use crate::metrics::{HomeMetrics, MetricsSnapshot};
use crate::session::{self, ServerState};
use sshome_store::quota::{Amount, LedgerUsage, StagedBytes, UnreadableEntries};
use sshome_store::{HomeProblem, HomeStore, HomeUsage};
use sshome_wire::display::Escaped;
use std::time::{Instant, SystemTime};

/// The status report. Blocks: it reads the free space of disks.
pub(super) fn status(shared: &ServerState, since: SystemTime) -> StatusReport {
    let penalties = shared.admission.penalties(Instant::now()).into_iter().map(|penalty| PenaltyReport {
        source: penalty.source,
        left: penalty.left.as_secs_f64(),
        refused: penalty.refused.map(|refused| refused.as_secs_f64()),
    });
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: since_1970(since),
        sessions: shared.sessions.logged_in().iter().filter_map(|session| one_session(session)).collect(),
        listen: shared.listen.iter().map(ToString::to_string).collect(),
        metrics: shared.config.load().metrics.map(|address| address.to_string()),
        settings_refused: shared.refused.load().as_ref().map(|why| why.to_string()),
        homes: homes(shared),
        unavailable: unavailable(&*shared.homes),
        descriptors: shared.metrics.descriptors().open(),
        max_descriptors: shared.metrics.descriptors().limit(),
        penalties: penalties.collect(),
        lost_log_lines: crate::log::lost_lines(),
        abandoned: shared.abandoned.count(),
    }
}

fn homes(shared: &ServerState) -> Vec<HomeReport> {
    let all = shared.homes.usages().into_iter();
    all.map(|(user, usage)| home(&*shared.homes, user, usage)).collect()
}

/// Homes that are unavailable or were replaced.
pub(super) fn unavailable(homes: &dyn HomeStore) -> Vec<UnavailableHomeReport> {
    homes.problems().into_iter().map(UnavailableHomeReport::from).collect()
}

impl From<HomeProblem> for UnavailableHomeReport {
    fn from(home: HomeProblem) -> UnavailableHomeReport {
        UnavailableHomeReport { root: shown(&home.root).to_string(), user: home.user, why: home.why }
    }
}

/// The snapshot for the metrics. Blocks: it reads the free space of disks.
pub(crate) fn metrics_snapshot(shared: &ServerState) -> MetricsSnapshot {
    let sessions = shared.sessions.logged_in();
    let of_user = |user: &str| {
        sessions.iter().filter(|session| session.login().is_some_and(|login| login.name() == user)).count()
    };
    let standing = |home: HomeReport| HomeMetrics {
        sessions: of_user(&home.user) as u64,
        used: home.used,
        reserved: home.reserved,
        quota: home.quota,
        counting: home.counting,
        entries: home.entries,
        disk_free: home.disk_free,
        unreadable: home.unreadable.iter().chain(&home.closed).map(|found| found.count).max().unwrap_or(0),
        user: home.user,
    };
    MetricsSnapshot {
        held: shared.memory.held() as u64,
        abandoned: shared.abandoned.count() as u64,
        homes: homes(shared).into_iter().map(standing).collect(),
        unavailable: shared.homes.problems().into_iter().map(|home| home.user).collect(),
        settings_stale: shared.refused.load().is_some(),
    }
}

pub(super) fn compared(booked: Amount, found: Amount, staged: StagedBytes) -> ScanComparison {
    let off =
        |booked: u64, found: u64| i64::try_from(i128::from(booked) - i128::from(found)).unwrap_or(i64::MAX);
    ScanComparison {
        bytes: found.bytes,
        entries: found.entries,
        bytes_off: off(booked.bytes, found.bytes),
        entries_off: off(booked.entries, found.entries),
        staged: staged.found,
        staged_off: staged.discrepancy(),
    }
}

/// The unreadable entries for a report. `None` if there are none.
pub(super) fn unreadable(unreadable: &UnreadableEntries) -> Option<UnreadableReport> {
    let first = unreadable.first.iter().map(|entry| UnreadableEntryReport {
        path: Escaped(&entry.path).to_string(),
        why: entry.why.clone(),
    });
    (!unreadable.is_empty()).then(|| UnreadableReport { count: unreadable.count, first: first.collect() })
}

fn one_session(session: &session::SshSession) -> Option<SessionReport> {
    let login = session.login()?;
    Some(SessionReport {
        session: session.audit().number(),
        user: login.name().to_owned(),
        access: login.access().name().to_owned(),
        folder: login.folder().map(|folder| folder.to_string()),
        key: login.key(),
        source: session.peer().to_string(),
        since: since_1970(session.since()),
        idle: session.idle().as_secs_f64(),
        ways: session.services().into_iter().map(str::to_owned).collect(),
        transfers: session.audit().transfers().into_iter().map(transfer).collect(),
    })
}

fn transfer(progress: TransferProgress) -> TransferReport {
    TransferReport {
        direction: progress.direction.name().to_owned(),
        path: progress.path.to_string(),
        done: progress.done,
        total: progress.total,
        seconds: progress.lasted.as_secs_f64(),
    }
}

fn home(homes: &dyn HomeStore, user: String, usage: HomeUsage) -> HomeReport {
    let HomeUsage { usage: LedgerUsage { used, staged, credited }, limits, is_counting } = usage;
    HomeReport {
        disk_free: homes.disk_free(&user),
        closed: unreadable(&homes.unreadable(&user)),
        unreadable: unreadable(&homes.uncounted(&user)),
        user,
        used: used.bytes,
        counting: is_counting,
        reserved: staged.bytes,
        credited,
        quota: limits.bytes,
        entries: used.entries,
        max_entries: limits.entries,
    }
}
