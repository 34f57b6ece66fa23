//! The socket at which an administrator asks the running server, and tells it what to do.
//!
//! A request is one line of JSON, and so is its answer. Who may open the socket may ask: it is its owner's
//! alone, in a folder that is its owner's alone.

mod client;
mod seconds;
mod server;
mod status;
mod text;

pub use client::{ClientError, ask};
pub use server::{BindError, Control};
pub(crate) use status::standings;

use serde::{Deserialize, Serialize};

/// An answer as people read it, or as a line of JSON.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn shown(answer: &Answer, json: bool) -> Result<String, serde_json::Error> {
    if json {
        return Ok(serde_json::to_string(answer)? + "\n");
    }
    Ok(match answer {
        Answer::Status(status) => text::status(status),
        Answer::Kicked { sessions } => text::kicked(sessions),
        Answer::Scanned { homes } => text::scanned(homes),
        Answer::Reloaded { added, removed, ended } => text::reloaded(added, removed, *ended),
        Answer::Error { message } => format!("{message}\n"),
    })
}

/// Whether part of what was asked for was not done.
#[must_use]
pub fn is_incomplete(answer: &Answer) -> bool {
    matches!(answer, Answer::Scanned { homes } if homes.iter().any(|home| home.compared.is_none()))
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
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
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// What the server does.
    Status(Status),
    /// The sessions that were ended.
    Kicked {
        /// Their numbers.
        sessions: Vec<u64>,
    },
    /// What was counted.
    Scanned {
        /// A home each.
        homes: Vec<Scanned>,
    },
    /// The settings are taken up.
    Reloaded {
        /// Users who can log in now.
        added: Vec<String>,
        /// Users who cannot any more.
        removed: Vec<String>,
        /// How many sessions were ended.
        ended: usize,
    },
    /// It was not done.
    Error {
        /// Why.
        message: String,
    },
}

/// What a server does. Times are in seconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs, in seconds since 1970.
    pub since: u64,
    /// The sessions of users who have logged in, the oldest first.
    pub sessions: Vec<Session>,
    /// The homes that are served.
    pub homes: Vec<Home>,
    /// Addresses that failed to log in.
    pub penalties: Vec<Penalty>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
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
    pub transfers: Vec<Transfer>,
}

/// A transfer that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
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
pub struct Home {
    /// Whose.
    pub user: String,
    /// Bytes that are stored.
    pub used: u64,
    /// Bytes that are set aside.
    pub reserved: u64,
    /// Bytes that may be stored; none for no limit.
    pub quota: Option<u64>,
    /// Files, directories and links.
    pub entries: u64,
    /// How many there may be; none for no limit.
    pub max_entries: Option<u64>,
}

/// What a source has left of its penalty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Penalty {
    /// An address, or a network.
    pub source: String,
    /// Seconds that are left.
    pub left: f64,
    /// For how many seconds more it is refused; none if it is let in.
    pub refused: Option<f64>,
}

/// What came of counting a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Whose.
    pub user: String,
    /// What was found, beside what was booked; none if nothing can be said.
    pub compared: Option<Compared>,
    /// Why nothing can be said.
    pub error: Option<String>,
}

/// What the disk holds and what the books said. The books are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Entries on the disk.
    pub entries: u64,
    /// How many bytes too many were booked; less than 0 if there were too few.
    pub bytes_off: i64,
    /// The same of entries.
    pub entries_off: i64,
}
