//! The result of a reload.

use crate::config::ConfigError;
use sshome_store::HomeProblem;

/// The changes that a reload made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadSummary {
    /// Users who can log in now.
    pub added: Vec<String>,
    /// Users who can no longer log in.
    pub removed: Vec<String>,
    /// Sessions that were ended.
    pub ended: usize,
    /// Homes that are not served, whose users are locked out.
    pub unavailable: Vec<HomeProblem>,
}

/// A rejected reload.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", revoked_text(.revoked, *.ended))]
pub struct RejectedReload {
    /// The reason.
    pub error: ReloadError,
    /// Rights that the file revokes, which were applied: `ann: removed`.
    pub revoked: Vec<String>,
    /// Sessions that were ended.
    pub ended: usize,
}

impl RejectedReload {
    /// The rejection as one line, for the log.
    pub(super) fn in_one_line(&self) -> String {
        self.to_string().lines().collect::<Vec<_>>().join("; ")
    }
}

/// A user's settings in the file compared with the current ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSettingsState {
    /// The settings that differ.
    pub pending: Vec<String>,
    /// Why the user's home is not served, if it is not.
    pub unavailable: Option<String>,
}

/// Why a reload was rejected.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is unreadable or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A change needs a restart.
    #[error("restart needed: {} cannot change while the server runs", .0.join(", "))]
    Restart(Vec<String>),
    /// A bug in the server.
    #[error("the new settings could not be checked: {0}")]
    Fault(#[from] tokio::task::JoinError),
}

fn revoked_text(revoked: &[String], ended: usize) -> String {
    let sessions = match ended {
        0 => String::new(),
        1 => "; 1 session was ended".to_owned(),
        ended => format!("; {ended} sessions were ended"),
    };
    match revoked {
        [] => format!("\nthe previous settings stay in force{sessions}"),
        revoked => {
            format!(
                "\napart from this, which was revoked, the previous settings stay in force: {}{sessions}",
                revoked.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use tempfile::TempDir;

    #[test]
    fn the_log_has_a_refused_reload_in_one_line() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("users.toml");
        std::fs::write(&file, "[users.ann]\nquota = \"much\"\naccess = \"none\"\n").unwrap();
        let error = config::load(dir.path(), Some(&file), &[]).unwrap_err();
        let refused =
            RejectedReload { error: error.into(), revoked: vec!["zcl: removed".to_owned()], ended: 1 };
        assert_eq!(refused.to_string().lines().count(), 3, "{refused}");
        let line = refused.in_one_line();
        assert_eq!(line.lines().count(), 1, "{line}");
        for part in ["users.ann.quota", "users.ann.access", "; apart from this", "zcl: removed; 1 session"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
