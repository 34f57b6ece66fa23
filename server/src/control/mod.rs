//! The control socket: administrators' commands to the running server.
//!
//! A request is one line of JSON, and so is its response. Access is controlled by file permissions: the socket and its
//! folder are accessible to the server's account only.

mod client;
mod durations;
mod server;
mod status;
mod text;

pub use client::{ClientError, ask, ask_any};
pub use server::{BindError, ControlSocket, examine};
pub(crate) use status::metrics_snapshot;

use serde::{Deserialize, Serialize};

/// A response as text, or as a line of JSON.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn response_text(answer: &ControlResponse, json: bool) -> Result<String, serde_json::Error> {
    if json {
        return Ok(serde_json::to_string(answer)? + "\n");
    }
    Ok(match answer {
        ControlResponse::Status(status) => text::status(status),
        ControlResponse::Kicked { sessions } => text::kicked(sessions),
        ControlResponse::Scanned { homes } => text::scanned(homes),
        ControlResponse::Reloaded { added, removed, ended, unavailable } => {
            text::reloaded(added, removed, *ended) + &text::unavailable(unavailable)
        }
        ControlResponse::Applied(applied) => text::applied(applied),
        ControlResponse::Reopened { user, anew, made } => text::reopened(user, *anew, *made),
        ControlResponse::Forgiven { sources } => text::forgiven(sources),
        ControlResponse::Error { message } => format!("{message}\n"),
    })
}

/// Whether part of the request failed.
#[must_use]
pub fn is_incomplete(answer: &ControlResponse) -> bool {
    match answer {
        ControlResponse::Scanned { homes } => homes.iter().any(|home| home.compared.is_none()),
        ControlResponse::Applied(applied) => !applied.pending.is_empty(),
        _ => false,
    }
}

/// The penalties of a status report as text, or as a line of JSON.
///
/// # Errors
/// If they cannot be written as JSON.
pub fn shown_penalties(status: &StatusReport, json: bool) -> Result<String, serde_json::Error> {
    match json {
        true => Ok(serde_json::json!({ "penalties": status.penalties }).to_string() + "\n"),
        false if status.penalties.is_empty() => Ok("no address has a penalty\n".to_owned()),
        false => Ok(text::penalties(&status.penalties)),
    }
}

/// A request to the running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// A status report.
    Status,
    /// End the session with this number, or all sessions of the user with this name.
    Kick {
        /// A number or a name.
        who: String,
    },
    /// Scan a user's home, or all homes, and correct the accounting.
    QuotaScan {
        /// The user. `None` for all.
        user: Option<String>,
    },
    /// Reload the settings.
    Reload,
    /// Reload the settings, and compare a user's settings in the file with the current ones.
    Apply {
        /// The user.
        user: String,
    },
    /// Reopen a user's home by its path.
    HomeReopen {
        /// The user.
        user: String,
    },
    /// Lift the penalty of an address.
    Forgive {
        /// The address, a network as it is listed, or `all`.
        source: String,
    },
}

/// The response of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum ControlResponse {
    /// The status report.
    Status(StatusReport),
    /// The sessions that were ended.
    Kicked {
        /// Their numbers.
        sessions: Vec<u64>,
    },
    /// The results of a quota scan.
    Scanned {
        /// One for each home.
        homes: Vec<ScanReport>,
    },
    /// The settings were reloaded.
    Reloaded {
        /// Users who can log in now.
        added: Vec<String>,
        /// Users who can no longer log in.
        removed: Vec<String>,
        /// How many sessions were ended.
        ended: usize,
        /// Unavailable homes.
        #[serde(default)]
        unavailable: Vec<UnavailableHomeReport>,
    },
    /// The state of one user's settings after a reload.
    Applied(AppliedSettings),
    /// A home was reopened.
    Reopened {
        /// The user.
        user: String,
        /// Whether there was anything to do.
        anew: bool,
        /// Whether its folder was missing, so that an empty one was created.
        #[serde(default)]
        made: bool,
    },
    /// Penalties were lifted.
    Forgiven {
        /// The addresses and networks that had one.
        sources: Vec<String>,
    },
    /// The request failed.
    Error {
        /// The reason.
        message: String,
    },
}

/// A user's settings in the file compared with the current ones, after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedSettings {
    /// The user.
    pub user: String,
    /// Why the file was rejected. `None` if it was applied.
    pub refused: Option<String>,
    /// The settings that differ from the file.
    pub pending: Vec<String>,
    /// Rights that a rejected file revokes, which were applied: `ann: disabled`.
    #[serde(default)]
    pub revoked: Vec<String>,
    /// Why the home is not served, if it is not.
    pub unavailable: Option<String>,
    /// How many sessions were ended.
    pub ended: usize,
}

/// An unavailable home. Its user is locked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnavailableHomeReport {
    /// The user.
    pub user: String,
    /// Its path; bytes that are not UTF-8 are escaped.
    pub root: String,
    /// The reason, with the remedy.
    pub why: String,
}

/// A status report. Times are in seconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its start time, in seconds since 1970.
    pub since: u64,
    /// The sessions of users who have logged in, the oldest first.
    pub sessions: Vec<SessionReport>,
    /// The addresses that it listens on.
    #[serde(default)]
    pub listen: Vec<String>,
    /// Where it answers Prometheus, by its settings.
    #[serde(default)]
    pub metrics: Option<String>,
    /// Why the settings in the file were rejected. `None` if they are in effect.
    #[serde(default)]
    pub settings_refused: Option<String>,
    /// The homes.
    pub homes: Vec<HomeReport>,
    /// Homes that are unavailable or were replaced.
    #[serde(default)]
    pub unavailable: Vec<UnavailableHomeReport>,
    /// The open descriptors of the process. `None` if they cannot be counted.
    #[serde(default)]
    pub descriptors: Option<u64>,
    /// The limit of open descriptors.
    #[serde(default)]
    pub max_descriptors: Option<u64>,
    /// Sources with a penalty.
    pub penalties: Vec<PenaltyReport>,
    /// Lines of the log that could not be written since the start.
    #[serde(default)]
    pub lost_log_lines: u64,
    /// Channels of ended sessions whose work hangs in the store.
    #[serde(default)]
    pub abandoned: usize,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its number.
    pub session: u64,
    /// The user.
    pub user: String,
    /// The address of the client.
    pub source: String,
    /// Its start time, in seconds since 1970.
    pub since: u64,
    /// The time since the last activity.
    pub idle: f64,
    /// Its permissions, such as `read-write`.
    #[serde(default)]
    pub access: String,
    /// The folder at which the view of its key begins. `None` for the whole home.
    #[serde(default)]
    pub folder: Option<String>,
    /// The fingerprint of the key of its login. `None` for a password.
    #[serde(default)]
    pub key: Option<String>,
    /// The services that run on its channels: `sshome`, `sftp`, `exec`, `greeting`.
    pub ways: Vec<String>,
    /// The transfers in progress.
    pub transfers: Vec<TransferReport>,
}

/// A transfer in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferReport {
    /// `upload`, `download` or `copy`.
    pub direction: String,
    /// The file; bytes that are not UTF-8 are escaped.
    pub path: String,
    /// Transferred bytes.
    pub done: u64,
    /// Total bytes, if known.
    pub total: Option<u64>,
    /// Its duration so far.
    pub seconds: f64,
}

/// The usage of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeReport {
    /// The user.
    pub user: String,
    /// Bytes that are stored.
    pub used: u64,
    /// Bytes that uploads and partial uploads have on the disk or have reserved.
    pub reserved: u64,
    /// The part of `reserved` that does not count, because it replaces existing files.
    #[serde(default)]
    pub credited: u64,
    /// The quota in bytes. `None` if unlimited.
    pub quota: Option<u64>,
    /// Files, directories and links.
    pub entries: u64,
    /// The limit of entries. `None` if unlimited.
    pub max_entries: Option<u64>,
    /// Free bytes on its disk. `None` if unknown.
    #[serde(default)]
    pub disk_free: Option<u64>,
    /// Whether it is being counted: what it holds is what was counted so far, and uploads wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counting: bool,
    /// Entries that could not be counted. Uploads are refused while there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<UnreadableReport>,
    /// Directories that were counted and became unreadable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<UnreadableReport>,
}

/// The unreadable entries of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableReport {
    /// Their number.
    pub count: u64,
    /// The first of them.
    pub first: Vec<UnreadableEntryReport>,
}

/// An entry that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableEntryReport {
    /// Its path in the home; bytes that are not UTF-8 are escaped.
    pub path: String,
    /// The reason.
    pub why: String,
}

/// The penalty of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PenaltyReport {
    /// An address, or a network.
    pub source: String,
    /// Remaining seconds.
    pub left: f64,
    /// The seconds for which it is refused. `None` if it is admitted.
    pub refused: Option<f64>,
}

/// The result of a quota scan of one home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReport {
    /// The user.
    pub user: String,
    /// The comparison with the accounting. `None` if the scan failed.
    pub compared: Option<ScanComparison>,
    /// Why the scan failed.
    pub error: Option<String>,
    /// The unreadable entries, if they are the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<UnreadableReport>,
}

/// The usage on the disk compared with the accounting, which is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanComparison {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Entries on the disk.
    pub entries: u64,
    /// The error of the recorded bytes: positive if too many were recorded.
    pub bytes_off: i64,
    /// The error of the recorded entries.
    pub entries_off: i64,
    /// Bytes of uploads and partial uploads on the disk.
    #[serde(default)]
    pub staged: u64,
    /// The error of the bytes recorded for them. It is not corrected.
    #[serde(default)]
    pub staged_off: i64,
}
