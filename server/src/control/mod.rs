//! The socket at which an administrator asks the running server, and tells it what to do.
//!
//! A request is one line of JSON, and so is its answer. Who may open the socket may ask: it is its owner's
//! alone, in a folder that is its owner's alone.

mod client;
mod durations;
mod server;
mod status;
mod text;

pub use client::{ClientError, ask, ask_any};
pub use server::{BindError, ControlSocket, examine};
pub(crate) use status::metrics_snapshot;

use serde::{Deserialize, Serialize};

/// An answer as people read it, or as a line of JSON.
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

/// Whether part of what was asked for was not done.
#[must_use]
pub fn is_incomplete(answer: &ControlResponse) -> bool {
    match answer {
        ControlResponse::Scanned { homes } => homes.iter().any(|home| home.compared.is_none()),
        ControlResponse::Applied(applied) => !applied.pending.is_empty(),
        _ => false,
    }
}

/// The penalties that a server told of, as people read them, or as a line of JSON.
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

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// What the server does.
    Status,
    /// To end the session of this number, or all of the user of this name.
    Kick {
        /// A number or a name.
        who: String,
    },
    /// To count a user's home, or all, and to compare the books.
    QuotaScan {
        /// Whose; none for all.
        user: Option<String>,
    },
    /// To take up the settings as they are now.
    Reload,
    /// The same, and to tell how a user's settings in the file and in force compare then.
    Apply {
        /// Whose.
        user: String,
    },
    /// To open a user's home anew by its path.
    HomeReopen {
        /// Whose.
        user: String,
    },
    /// To lift the penalty of an address.
    Forgive {
        /// The address, a network as it is listed, or `all`.
        source: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum ControlResponse {
    /// What the server does.
    Status(StatusReport),
    /// The sessions that were ended.
    Kicked {
        /// Their numbers.
        sessions: Vec<u64>,
    },
    /// What was counted.
    Scanned {
        /// A home each.
        homes: Vec<ScanReport>,
    },
    /// The settings are taken up.
    Reloaded {
        /// Users who can log in now.
        added: Vec<String>,
        /// Users who cannot any more.
        removed: Vec<String>,
        /// How many sessions were ended.
        ended: usize,
        /// Homes that are not served.
        #[serde(default)]
        unavailable: Vec<UnavailableHomeReport>,
    },
    /// What became of the settings of one user.
    Applied(AppliedSettings),
    /// A home was opened.
    Reopened {
        /// Whose.
        user: String,
        /// Whether there was anything to do.
        anew: bool,
        /// Whether its folder was missing, so that an empty one was made.
        #[serde(default)]
        made: bool,
    },
    /// Penalties were lifted.
    Forgiven {
        /// The addresses and networks that had one.
        sources: Vec<String>,
    },
    /// It was not done.
    Error {
        /// Why.
        message: String,
    },
}

/// How the settings of a user in the file compare with those in force, after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedSettings {
    /// Whose.
    pub user: String,
    /// Why the file as a whole was refused; none if it was taken up.
    pub refused: Option<String>,
    /// The settings that are others in the file than in force.
    pub pending: Vec<String>,
    /// What the file takes away from users, which is in force although the file was refused: `ann: disabled`.
    #[serde(default)]
    pub revoked: Vec<String>,
    /// Why the home is not served, if it is not.
    pub unavailable: Option<String>,
    /// How many sessions were ended.
    pub ended: usize,
}

/// A home that is not served: its user is locked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnavailableHomeReport {
    /// Whose.
    pub user: String,
    /// Where it should be; bytes that are no text are escaped.
    pub root: String,
    /// Why, with what to do.
    pub why: String,
}

/// What a server does. Times are in seconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs, in seconds since 1970.
    pub since: u64,
    /// The sessions of users who have logged in, the oldest first.
    pub sessions: Vec<SessionReport>,
    /// Where it listens.
    #[serde(default)]
    pub listen: Vec<String>,
    /// Where it answers Prometheus, by its settings.
    #[serde(default)]
    pub metrics: Option<String>,
    /// Why the settings in the file do not apply; none if they do.
    #[serde(default)]
    pub settings_refused: Option<String>,
    /// The homes that are served.
    pub homes: Vec<HomeReport>,
    /// The homes that are not, or were replaced.
    #[serde(default)]
    pub unavailable: Vec<UnavailableHomeReport>,
    /// Open files, sockets and the like of the process; none if they cannot be counted.
    #[serde(default)]
    pub descriptors: Option<u64>,
    /// How many there may be.
    #[serde(default)]
    pub max_descriptors: Option<u64>,
    /// Addresses that failed to log in.
    pub penalties: Vec<PenaltyReport>,
    /// Lines of the log that could not be written since the start.
    #[serde(default)]
    pub lost_log_lines: u64,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its number.
    pub session: u64,
    /// Who.
    pub user: String,
    /// From where.
    pub source: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// For how long nothing has moved.
    pub idle: f64,
    /// What is at work on its channels: `sshome`, `sftp`, `exec`, `greeting`.
    pub ways: Vec<String>,
    /// What is under way.
    pub transfers: Vec<TransferReport>,
}

/// A transfer that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferReport {
    /// `upload`, `download` or `copy`.
    pub direction: String,
    /// The file; bytes that are no text are escaped.
    pub path: String,
    /// Bytes that were moved.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
    /// For how long.
    pub seconds: f64,
}

/// What a home holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeReport {
    /// Whose.
    pub user: String,
    /// Bytes that are stored.
    pub used: u64,
    /// Bytes that uploads and partial uploads have on the disk or have reserved.
    pub reserved: u64,
    /// Of these, bytes that do not count: they take the place of files that will be replaced.
    #[serde(default)]
    pub credited: u64,
    /// Bytes that may be stored; none for no limit.
    pub quota: Option<u64>,
    /// Files, directories and links.
    pub entries: u64,
    /// How many there may be; none for no limit.
    pub max_entries: Option<u64>,
    /// Bytes that are free on its disk; none if the disk does not tell.
    #[serde(default)]
    pub disk_free: Option<u64>,
    /// What could not be counted; while there is anything, nothing more is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<UnreadableReport>,
    /// The directories that were counted, and cannot be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<UnreadableReport>,
}

/// The entries of a home that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableReport {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<UnreadableEntryReport>,
}

/// An entry that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableEntryReport {
    /// Its path in the home; bytes that are no text are escaped.
    pub path: String,
    /// Why.
    pub why: String,
}

/// What a source has left of its penalty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PenaltyReport {
    /// An address, or a network.
    pub source: String,
    /// Seconds that are left.
    pub left: f64,
    /// For how many seconds more it is refused; none if it is let in.
    pub refused: Option<f64>,
}

/// What came of counting a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReport {
    /// Whose.
    pub user: String,
    /// What was found, beside what was booked; none if nothing can be said.
    pub compared: Option<ScanComparison>,
    /// Why nothing can be said.
    pub error: Option<String>,
    /// What could not be read, if that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<UnreadableReport>,
}

/// What the disk holds and what the books said. The books are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanComparison {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Entries on the disk.
    pub entries: u64,
    /// How many bytes too many were booked; less than 0 if there were too few.
    pub bytes_off: i64,
    /// The same of entries.
    pub entries_off: i64,
    /// Bytes of uploads and partial uploads on the disk.
    #[serde(default)]
    pub staged: u64,
    /// How many too many are booked for them; less than 0 if there are too few. That is not corrected.
    #[serde(default)]
    pub staged_off: i64,
}
