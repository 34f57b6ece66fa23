//! Metrics for Prometheus in the text format OpenMetrics 1.0.

mod direction;
mod http;

pub use direction::TransferDirection;
pub use http::serve;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sshome_store_posix::OpenDescriptors;
use std::fmt;
use std::time::Duration;

type OneLabel = [(&'static str, &'static str); 1];
type TwoLabels = [(&'static str, &'static str); 2];
type UserLabel = [(&'static str, String); 1];

/// The counters since the start of the server, and gauges.
pub struct Metrics {
    registry: Registry,
    logins: Family<TwoLabels, Counter>,
    connections_refused: Counter,
    without_login: Family<OneLabel, Counter>,
    bytes: Family<OneLabel, Counter>,
    saved: Family<OneLabel, Counter>,
    transfers: Family<TwoLabels, Counter>,
    quota_refusals: Counter,
    log_lines_lost: Counter,
    held: Gauge,
    abandoned: Gauge,
    requests: Family<TwoLabels, Histogram, fn() -> Histogram>,
    sessions: Family<UserLabel, Gauge>,
    used: Family<UserLabel, Gauge>,
    reserved: Family<UserLabel, Gauge>,
    quota: Family<UserLabel, Gauge>,
    entries: Family<UserLabel, Gauge>,
    disk_free: Family<UserLabel, Gauge>,
    unavailable: Family<UserLabel, Gauge>,
    unreadable: Family<UserLabel, Gauge>,
    counting: Family<UserLabel, Gauge>,
    settings_stale: Gauge,
    open_descriptors: Gauge,
    max_descriptors: Gauge,
    descriptors: OpenDescriptors,
}

/// The current values of gauges.
#[derive(Clone, Debug, Default)]
pub struct MetricsSnapshot {
    /// For each served home.
    pub homes: Vec<HomeMetrics>,
    /// Users whose homes are unavailable or were replaced.
    pub unavailable: Vec<String>,
    /// Whether the file was rejected, so that older settings are in effect.
    pub settings_stale: bool,
    /// Memory that all users hold, in bytes: unprocessed input and unsent output.
    pub held: u64,
    /// Channels of ended sessions whose work hangs in the store.
    pub abandoned: u64,
}

/// The current values of one user's home.
#[derive(Clone, Debug, Default)]
pub struct HomeMetrics {
    /// The user.
    pub user: String,
    /// Open sessions.
    pub sessions: u64,
    /// Bytes that are stored.
    pub used: u64,
    /// Bytes that are reserved in addition.
    pub reserved: u64,
    /// The quota in bytes. `None` if unlimited.
    pub quota: Option<u64>,
    /// Files, directories and links.
    pub entries: u64,
    /// Whether it is being counted.
    pub counting: bool,
    /// Free bytes on the home's disk. `None` if unknown.
    pub disk_free: Option<u64>,
    /// Entries that the last scan or the last inspection of the homes could not read.
    pub unreadable: u64,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new(OpenDescriptors::default())
    }
}

impl Metrics {
    /// Metrics with all counters at zero.
    #[must_use]
    pub fn new(descriptors: OpenDescriptors) -> Metrics {
        let mut registry = Registry::with_prefix("sshomed");
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        let metrics = Metrics {
            registry: Registry::default(),
            logins: Family::default(),
            connections_refused: Counter::default(),
            without_login: Family::default(),
            bytes: Family::default(),
            saved: Family::default(),
            transfers: Family::default(),
            quota_refusals: Counter::default(),
            log_lines_lost: Counter::default(),
            held: Gauge::default(),
            abandoned: Gauge::default(),
            requests: Family::new_with_constructor(seconds),
            sessions: Family::default(),
            used: Family::default(),
            reserved: Family::default(),
            quota: Family::default(),
            entries: Family::default(),
            disk_free: Family::default(),
            unavailable: Family::default(),
            unreadable: Family::default(),
            counting: Family::default(),
            settings_stale: Gauge::default(),
            open_descriptors: Gauge::default(),
            max_descriptors: Gauge::default(),
            descriptors,
        };
        let m = &metrics;
        registry.register("logins", "Logins, by method and result", m.logins.clone());
        let help = "Connections refused before a byte was read";
        registry.register("connections_refused", help, m.connections_refused.clone());
        let help = "Connections that ended without a login, by reason";
        registry.register("connections_without_login", help, m.without_login.clone());
        registry.register_with_unit("transferred", "Bytes of files", Unit::Bytes, m.bytes.clone());
        let help = "Bytes of files that were not sent because compression made them shorter";
        registry.register_with_unit("compression_saved", help, Unit::Bytes, m.saved.clone());
        registry.register("files", "Files transferred, by direction and result", m.transfers.clone());
        registry.register("quota_refusals", "Writes refused by a quota", m.quota_refusals.clone());
        let help = "Lines of the log that could not be written, or not in time";
        registry.register("log_lines_lost", help, m.log_lines_lost.clone());
        let help = "Bytes received and not yet processed, and bytes queued to be sent";
        registry.register_with_unit("held", help, Unit::Bytes, m.held.clone());
        let help = "Work of ended sessions that hangs in the store";
        registry.register("abandoned_work", help, m.abandoned.clone());
        let help = "Time from the start of a request to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, m.requests.clone());
        registry.register("sessions", "Open sessions", m.sessions.clone());
        registry.register_with_unit("used", "Bytes stored in a home", Unit::Bytes, m.used.clone());
        let help = "Bytes reserved in a home for uploads and partial uploads";
        registry.register_with_unit("reserved", help, Unit::Bytes, m.reserved.clone());
        let help = "Quota of a home; absent if unlimited";
        registry.register_with_unit("quota", help, Unit::Bytes, m.quota.clone());
        registry.register("entries", "Files, directories and links in a home", m.entries.clone());
        let help = "Bytes free on the disk of a home";
        registry.register_with_unit("disk_free", help, Unit::Bytes, m.disk_free.clone());
        let help =
            "1 for each home that is not served, or was replaced or closed to the server while it runs";
        registry.register("home_unavailable", help, m.unavailable.clone());
        let help = "Entries of a home that are not readable to the server";
        registry.register("home_unreadable_entries", help, m.unreadable.clone());
        let help = "1 for each home that is being counted: what it holds is what was counted so far, and uploads wait";
        registry.register("home_counting", help, m.counting.clone());
        let help = "1 if the settings file was rejected and the previous settings are in force";
        registry.register("settings_stale", help, m.settings_stale.clone());
        registry.register("open_descriptors", "Open descriptors", m.open_descriptors.clone());
        let help = "Limit on open descriptors; 0 for no limit";
        registry.register("max_descriptors", help, m.max_descriptors.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the server", version);
        Metrics { registry, ..metrics }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// All metrics as text, with the current values of gauges.
    #[must_use]
    pub fn render(&self, moment: &MetricsSnapshot) -> String {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let gauges = [&self.sessions, &self.used, &self.reserved, &self.quota, &self.entries];
        let others = [&self.disk_free, &self.unavailable, &self.unreadable, &self.counting];
        gauges.iter().chain(&others).for_each(|gauge| gauge.clear());
        self.settings_stale.set(moment.settings_stale.into());
        self.held.set(count(moment.held));
        self.abandoned.set(count(moment.abandoned));
        self.open_descriptors.set(self.descriptors.open().map_or(0, count));
        self.max_descriptors.set(self.descriptors.limit().map_or(0, count));
        for user in &moment.unavailable {
            self.unavailable.get_or_create(&[("user", user.clone())]).set(1);
        }
        for standing in &moment.homes {
            let set = |gauge: &Family<UserLabel, Gauge>, value: u64| {
                gauge.get_or_create(&[("user", standing.user.clone())]).set(count(value));
            };
            set(&self.sessions, standing.sessions);
            set(&self.used, standing.used);
            set(&self.reserved, standing.reserved);
            if let Some(quota) = standing.quota {
                set(&self.quota, quota);
            }
            set(&self.entries, standing.entries);
            set(&self.unreadable, standing.unreadable);
            if standing.counting {
                set(&self.counting, 1);
            }
            if let Some(free) = standing.disk_free {
                set(&self.disk_free, free);
            }
        }
        self.log_lines_lost.inc_by(crate::log::lost_lines().saturating_sub(self.log_lines_lost.get()));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// The descriptors of this process.
    #[must_use]
    pub fn descriptors(&self) -> &OpenDescriptors {
        &self.descriptors
    }

    /// A connection was refused before it was greeted.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub(crate) fn ended_without_login(&self, reason: &'static str) {
        self.without_login.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn login(&self, method: &'static str, accepted: bool) {
        let result = if accepted { "accepted" } else { "refused" };
        self.logins.get_or_create(&[("method", method), ("result", result)]).inc();
    }

    pub(crate) fn bytes(&self, direction: TransferDirection, bytes: u64) {
        self.bytes.get_or_create(&[("direction", direction.name())]).inc_by(bytes);
    }

    /// Counts bytes that compression saved.
    pub(crate) fn saved(&self, direction: TransferDirection, bytes: u64) {
        if bytes > 0 {
            self.saved.get_or_create(&[("direction", direction.name())]).inc_by(bytes);
        }
    }

    pub(crate) fn transfer(&self, direction: TransferDirection, result: &'static str) {
        self.transfers.get_or_create(&[("direction", direction.name()), ("result", result)]).inc();
    }

    pub(crate) fn quota_refusal(&self) {
        self.quota_refusals.inc();
    }

    pub(crate) fn request(&self, way: &'static str, request: &'static str, lasted: Duration) {
        self.requests.get_or_create(&[("way", way), ("request", request)]).observe(lasted.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges_are_in_the_text() {
        let metrics = Metrics::default();
        metrics.login("password", false);
        metrics.bytes(TransferDirection::Upload, 5);
        metrics.saved(TransferDirection::Upload, 3);
        metrics.transfer(TransferDirection::Upload, "done");
        metrics.request("sshome", "ls", Duration::from_millis(1));
        let ann =
            HomeMetrics { user: "ann".into(), sessions: 2, used: 5, unreadable: 3, ..HomeMetrics::default() };
        let zcl =
            HomeMetrics { user: "zcl".into(), quota: Some(9), counting: true, ..HomeMetrics::default() };
        let moment = MetricsSnapshot {
            homes: vec![ann, zcl.clone()],
            unavailable: vec!["ben".into()],
            settings_stale: true,
            held: 7,
            abandoned: 2,
        };
        let text = metrics.render(&moment);
        for line in [
            "sshomed_logins_total{method=\"password\",result=\"refused\"} 1",
            "sshomed_transferred_bytes_total{direction=\"upload\"} 5",
            "sshomed_compression_saved_bytes_total{direction=\"upload\"} 3",
            "sshomed_files_total{direction=\"upload\",result=\"done\"} 1",
            "sshomed_request_duration_seconds_count{way=\"sshome\",request=\"ls\"} 1",
            "sshomed_sessions{user=\"ann\"} 2",
            "sshomed_held_bytes 7",
            "sshomed_abandoned_work 2",
            "sshomed_used_bytes{user=\"ann\"} 5",
            "sshomed_quota_bytes{user=\"zcl\"} 9",
            "sshomed_home_unavailable{user=\"ben\"} 1",
            "sshomed_home_unreadable_entries{user=\"ann\"} 3",
            "sshomed_home_counting{user=\"zcl\"} 1",
            "sshomed_settings_stale 1",
            concat!("sshomed_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert!(text.contains("\nsshomed_log_lines_lost_total "));
        assert!(!text.contains("sshomed_quota_bytes{user=\"ann\"}"));
        assert!(!text.contains("sshomed_home_counting{user=\"ann\"}"));
        // A removed user has no values.
        let text = metrics.render(&MetricsSnapshot { homes: vec![zcl], ..MetricsSnapshot::default() });
        assert!(!text.contains("ann") && !text.contains("ben") && text.contains("sshomed_settings_stale 0"));
    }
}
