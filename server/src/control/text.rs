//! Formats responses as text.

use super::durations::{since_1970, spoken};
use super::{
    AppliedSettings, HomeReport, PenaltyReport, ScanReport, SessionReport, StatusReport, TransferReport,
    UnavailableHomeReport, UnreadableReport,
};
use crate::admin::columns;
use sshome_store::entries;
use sshome_wire::display::Size;
use std::time::SystemTime;

/// The status report.
pub(super) fn status(status: &StatusReport) -> String {
    let now = since_1970(SystemTime::now());
    let ago = |since: u64| spoken(now.saturating_sub(since));
    let mut text = format!("sshomed {}, pid {}, up {}\n\n", status.version, status.pid, ago(status.since));
    if let Some(why) = &status.settings_refused {
        text += &format!("the file was rejected and the previous settings are in force: {why}\n\n");
    }
    text += &sessions(&status.sessions, ago);
    let transfers = status
        .sessions
        .iter()
        .flat_map(|session| session.transfers.iter().map(move |transfer| one_transfer(session, transfer)));
    let transfers: Vec<_> = transfers.collect();
    if !transfers.is_empty() {
        let head = ["SESSION", "TRANSFER", "DONE", "RATE", "FILE"].map(str::to_owned);
        text += "\n";
        text += &columns(&[vec![head], transfers].concat());
    }
    text += "\n";
    let head = ["HOME", "USED", "RESERVED", "QUOTA", "FILES", "MAX FILES", "DISK FREE"].map(str::to_owned);
    text += &columns(&[vec![head], status.homes.iter().map(home).collect()].concat());
    for home in status.homes.iter().filter(|home| home.counting) {
        text += &format!(
            "\nThe home of {} is being counted, {} so far: uploads to it wait\n",
            home.user,
            entries(home.entries)
        );
    }
    for home in &status.homes {
        if let Some(found) = &home.unreadable {
            text +=
                &format!("\nPart of the home of {} cannot be read: uploads to it are refused\n", home.user);
            text += &unreadable(Some(found));
        }
        if let Some(found) = home.closed.as_ref().filter(|_| home.unreadable.is_none()) {
            text += &format!("\nDirectories in the home of {} can no longer be read\n", home.user);
            text += &unreadable(Some(found));
        }
    }
    if !status.unavailable.is_empty() {
        text += "\n";
        text += &unavailable(&status.unavailable);
    }
    if !status.penalties.is_empty() {
        text += "\n";
        text += &penalties(&status.penalties);
    }
    match status.lost_log_lines {
        0 => {}
        lost => {
            text += &format!(
                "\n{lost} lines of the log were lost: its disk is full or failed, or nobody reads it\n"
            )
        }
    }
    match status.abandoned {
        0 => {}
        channels => text += &format!("\n{channels} channels of ended sessions wait for a disk that hangs\n"),
    }
    if let (Some(open), Some(most)) = (status.descriptors, status.max_descriptors) {
        text += &format!("\n{open} of {most} descriptors are open\n");
    }
    text
}

/// The table of penalties.
pub(super) fn penalties(penalties: &[PenaltyReport]) -> String {
    let head = ["ADDRESS", "PENALTY", "REFUSED FOR"].map(str::to_owned);
    let rows = penalties.iter().map(|penalty| {
        let refused = penalty.refused.map_or("-".to_owned(), whole);
        [penalty.source.clone(), whole(penalty.left), refused]
    });
    columns(&[vec![head], rows.collect()].concat())
}

/// Unavailable homes, one line each.
pub(super) fn unavailable(homes: &[UnavailableHomeReport]) -> String {
    let line = |home: &UnavailableHomeReport| {
        format!("{} is locked out, the home {} is unavailable: {}\n", home.user, home.root, home.why)
    };
    homes.iter().map(line).collect()
}

/// The state of one user's settings after a change.
pub(super) fn applied(applied: &AppliedSettings) -> String {
    let AppliedSettings { user, refused, pending, revoked, unavailable, ended } = applied;
    let sessions = match ended {
        0 => String::new(),
        1 => "; 1 session was ended".to_owned(),
        ended => format!("; {ended} sessions were ended"),
    };
    let mut text = match (refused, pending.is_empty()) {
        (None, true) => format!("applied to the running server{sessions}\n"),
        (Some(_), true) => format!("applied, although the file was rejected{sessions}\n"),
        (_, false) => {
            format!(
                "NOT in force: {}; the server still uses its older settings{sessions}\n",
                pending.join(", ")
            )
        }
    };
    if !pending.is_empty() && !revoked.is_empty() {
        text += &format!("in force: {}\n", revoked.join(", "));
    }
    if let Some(why) = refused {
        text += &format!("the server rejected the file as a whole: {why}\n");
    }
    if let Some(why) = unavailable {
        text += &format!("{user} is locked out, the home is unavailable: {why}\n");
    }
    text
}

/// A home was opened.
pub(super) fn reopened(user: &str, anew: bool, made: bool) -> String {
    match anew {
        true if made => format!(
            "the home of {user} was missing: an EMPTY one was created and opened; to restore the old one, put its folder \
             back and run this again\n"
        ),
        true => format!("the home of {user} is open, and is being counted\n"),
        false => format!("the home of {user} is unchanged: nothing to do\n"),
    }
}

/// Penalties were lifted.
pub(super) fn forgiven(sources: &[String]) -> String {
    if sources.is_empty() {
        return "no address has a penalty\n".to_owned();
    }
    format!("penalty removed: {}\n", sources.join(", "))
}

/// The sessions that were ended.
pub(super) fn kicked(sessions: &[u64]) -> String {
    let numbers: Vec<_> = sessions.iter().map(u64::to_string).collect();
    let sessions = if numbers.len() == 1 { "session" } else { "sessions" };
    format!("ended: {sessions} {}\n", numbers.join(", "))
}

/// The results of a quota scan.
pub(super) fn scanned(homes: &[ScanReport]) -> String {
    let line = |home: &ScanReport| {
        let user = &home.user;
        let Some(found) = home.compared else {
            let why = home.error.as_deref().unwrap_or("nothing was counted");
            return format!("{user}: {why}\n{}", unreadable(home.unreadable.as_ref()));
        };
        let unit = if found.entries == 1 { "file, folder or link" } else { "files, folders and links" };
        let mut text = format!("{user}: {} in {} {unit}", Size(found.bytes), found.entries);
        if found.staged > 0 {
            text += &format!(", and {} staged", Size(found.staged));
        }
        match (found.bytes_off, found.entries_off) {
            (0, 0) => text += ", as recorded",
            (bytes, entries) => {
                let (bytes, entries) = (off(bytes, ["byte", "bytes"]), off(entries, ["entry", "entries"]));
                text += &format!("; the accounting had {bytes} and {entries}, and was corrected");
            }
        }
        if found.staged_off != 0 {
            let off = found.staged_off;
            text += &format!(
                "; the accounting of staged bytes is off by {off:+}: restart the server to recount them"
            );
        }
        text + "\n"
    };
    homes.iter().map(line).collect()
}

/// The error of the accounting in words. The units are singular and plural.
fn off(number: i64, [one, many]: [&str; 2]) -> String {
    let unit = if number.unsigned_abs() == 1 { one } else { many };
    match number {
        0 => format!("the right number of {unit}"),
        more if more > 0 => format!("{more} {unit} too many"),
        less => format!("{} {unit} too few", less.unsigned_abs()),
    }
}

/// The unreadable entries, one line each.
fn unreadable(unreadable: Option<&UnreadableReport>) -> String {
    let Some(unreadable) = unreadable else { return String::new() };
    let lines = unreadable.first.iter().map(|entry| format!("  {}: {}\n", entry.path, entry.why));
    let mut text: String = lines.collect();
    let rest = unreadable.count.saturating_sub(unreadable.first.len() as u64);
    if rest > 0 {
        text += &format!("  and {rest} more\n");
    }
    text
}

/// The changes of a reload.
pub(super) fn reloaded(added: &[String], removed: &[String], ended: usize) -> String {
    let mut text = "settings reloaded".to_owned();
    for (what, users) in [("can log in now", added), ("can no longer log in", removed)] {
        if !users.is_empty() {
            text += &format!("; {what}: {}", users.join(", "));
        }
    }
    match ended {
        0 => text + "\n",
        1 => text + "; 1 session was ended\n",
        ended => text + &format!("; {ended} sessions were ended\n"),
    }
}

fn sessions(sessions: &[SessionReport], ago: impl Fn(u64) -> String) -> String {
    if sessions.is_empty() {
        return "nobody is logged in\n".to_owned();
    }
    let head = ["SESSION", "USER", "FROM", "ACCESS", "FOR", "IDLE", "VIA"].map(str::to_owned);
    let rows = sessions.iter().map(|session| {
        [
            session.session.to_string(),
            session.user.clone(),
            session.source.clone(),
            session
                .folder
                .as_ref()
                .map_or_else(|| session.access.clone(), |folder| format!("{} in {folder}", session.access)),
            ago(session.since),
            whole(session.idle),
            if session.ways.is_empty() { "-".to_owned() } else { session.ways.join(", ") },
        ]
    });
    columns(&[vec![head], rows.collect()].concat())
}

fn one_transfer(session: &SessionReport, transfer: &TransferReport) -> [String; 5] {
    let done = match transfer.total {
        Some(total) => format!("{} of {}", Size(transfer.done), Size(total)),
        None => Size(transfer.done).to_string(),
    };
    let rate = transfer.done as f64 / transfer.seconds.max(0.001);
    [
        session.session.to_string(),
        transfer.direction.clone(),
        done,
        format!("{}/s", Size(rate as u64)),
        transfer.path.clone(),
    ]
}

fn home(home: &HomeReport) -> [String; 7] {
    let limit = |text: Option<String>| text.unwrap_or_else(|| "unlimited".to_owned());
    [
        home.user.clone(),
        Size(home.used).to_string(),
        Size(home.reserved).to_string(),
        limit(home.quota.map(|quota| Size(quota).to_string())),
        home.entries.to_string(),
        limit(home.max_entries.map(|most| most.to_string())),
        home.disk_free.map_or_else(|| "-".to_owned(), |free| Size(free).to_string()),
    ]
}

fn whole(seconds: f64) -> String {
    spoken(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ScanComparison;

    #[test]
    fn one_entry_is_one_entry() {
        let report = |entries, bytes_off, entries_off| {
            let compared =
                ScanComparison { bytes: 7, entries, bytes_off, entries_off, staged: 0, staged_off: 0 };
            scanned(&[ScanReport {
                user: "ann".to_owned(),
                compared: Some(compared),
                unreadable: None,
                error: None,
            }])
        };
        assert_eq!(report(1, 0, 0), "ann: 7 B in 1 file, folder or link, as recorded\n");
        let text = "ann: 7 B in 2 files, folders and links; the accounting had 1 byte too many and 1 entry too few, and was corrected\n";
        assert_eq!(report(2, 1, -1), text);
        assert!(report(0, -2, 0).contains("2 bytes too few and the right number of entries"));
    }
}
