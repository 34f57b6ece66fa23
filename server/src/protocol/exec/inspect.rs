//! Commands that inspect files: `pwd`, `ls`, `stat`, `df`.

use super::arguments::{Arguments, path};
use super::error::Result;
use super::task::{CommandIo, CommandTask, RunOnce, TaskState, each};
use crate::protocol::ls_format::{LsFormat, mode};
use crate::service::{self, Listing, StepLimit, User};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sshome_store::{DirectoryEntry, FileType};
use sshome_wire::CreditedUsage;
use sshome_wire::display::Size;

/// The largest number of directory entries that are sorted together. A larger directory is sorted in runs of this
/// length, so that memory is bounded.
const MAX_SORTED_ENTRIES: usize = 10_000;

pub(super) fn pwd(_: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(Box::new(RunOnce(|_: &User, io: &mut CommandIo| {
        io.line(b"/");
        Ok(())
    })))
}

pub(super) fn ls(mut arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let mut operands = std::mem::take(&mut arguments.operands);
    if operands.is_empty() {
        operands.push(b".".to_vec());
    }
    let headed = operands.len() > 1 || arguments.has("R");
    let mut first = true;
    Ok(each(operands, move |user, io, operand| {
        let path = path(operand)?;
        let shown = LsOptions {
            all: arguments.has("aA"),
            long: arguments.has("l").then(LsFormat::new),
            readable: arguments.has("h"),
        };
        if arguments.has("d") {
            shown.entry(user, io, &service::stat(user, &path, false)?, operand);
            return Ok(None);
        }
        let listing = Listing::begin(user, &path, arguments.has("R"))?;
        if !listing.is_directory() {
            shown.entry(user, io, listing.own(), operand);
            return Ok(None);
        }
        let (operand, blank) = (operand.to_vec(), !std::mem::replace(&mut first, false));
        Ok(Some(Box::new(LsTask {
            listing,
            shown,
            operand,
            headed,
            blank,
            current: None,
            entries: Vec::new(),
        })))
    }))
}

/// Lists a directory or a tree.
struct LsTask {
    listing: Listing,
    shown: LsOptions,
    /// The directory as the user wrote it.
    operand: Vec<u8>,
    /// Whether a heading precedes the entries of each directory.
    headed: bool,
    /// Whether a blank line is due before the next directory.
    blank: bool,
    /// The current directory, relative to the operand.
    current: Option<Vec<u8>>,
    /// Entries that were read and not shown yet. The entries of one directory are sorted together.
    entries: Vec<DirectoryEntry>,
}

impl CommandTask for LsTask {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        let limit = StepLimit::entries(MAX_SORTED_ENTRIES - self.entries.len());
        let Some((directory, read)) = self.listing.next_batch(user, limit)? else {
            return Ok(TaskState::Done(0));
        };
        self.entries.extend(read);
        if self.listing.is_in_directory() && self.entries.len() < MAX_SORTED_ENTRIES {
            return Ok(TaskState::Busy);
        }
        let mut entries = std::mem::take(&mut self.entries);
        let is_hidden = |name: &[u8]| !self.shown.all && name.starts_with(b".");
        if directory.split(|byte| *byte == b'/').any(is_hidden) {
            return Ok(TaskState::Busy);
        }
        if self.headed && self.current.as_ref() != Some(&directory) {
            let separator: &[u8] =
                if directory.is_empty() || self.operand.ends_with(b"/") { b"" } else { b"/" };
            let name = io.name(&[&self.operand, separator, &directory].concat());
            if std::mem::replace(&mut self.blank, true) {
                io.line(b"");
            }
            io.line(&[&name[..], b":"].concat());
            self.current = Some(directory);
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in entries.iter().filter(|entry| !is_hidden(&entry.name)) {
            self.shown.entry(user, io, entry, &entry.name);
        }
        Ok(TaskState::Busy)
    }
}

/// The options of `ls`.
struct LsOptions {
    all: bool,
    /// The formatter of long lines.
    long: Option<LsFormat>,
    readable: bool,
}

impl LsOptions {
    fn entry(&self, user: &User, io: &mut CommandIo, entry: &DirectoryEntry, name: &[u8]) {
        let mut line = Vec::new();
        if let Some(lines) = &self.long {
            // All files of a home belong to its user.
            let before = lines.before_name(&entry.info, user.name(), user.name(), self.readable);
            line.extend([before.as_bytes(), b" "].concat());
        }
        line.extend(io.name(name));
        if self.long.is_some() && !entry.target.is_empty() {
            line.extend_from_slice(b" -> ");
            line.extend(io.name(&entry.target));
        }
        io.line(&line);
    }
}

pub(super) fn stat(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(each(arguments.operands, |user, io, operand| {
        let path = path(operand)?;
        let found = service::stat(user, &path, false)?;
        let info = &found.info;
        io.line(&[b"    name: ", &io.name(path.as_bytes())[..]].concat());
        if !found.target.is_empty() {
            io.line(&[b"  target: ", &io.name(&found.target)[..]].concat());
        }
        let kind = match info.file_type {
            FileType::Regular => "file",
            FileType::Directory => "directory",
            FileType::Symlink => "link",
            _ => "neither file nor directory",
        };
        let modified = i32::try_from(info.modified.nanoseconds)
            .ok()
            .and_then(|nanoseconds| Timestamp::new(info.modified.seconds, nanoseconds).ok())
            .map_or_else(
                || info.modified.seconds.to_string(),
                |time| time.to_zoned(TimeZone::system()).strftime("%F %T.%N %z").to_string(),
            );
        for (name, value) in [
            ("type", kind.to_owned()),
            ("size", info.size.to_string()),
            ("mode", format!("{:04o} {}", info.mode, mode(info))),
            ("links", info.links.to_string()),
            ("modified", modified),
        ] {
            io.line(format!("{name:>8}: {value}").as_bytes());
        }
        Ok(None)
    }))
}

pub(super) fn df(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(Box::new(RunOnce(move |user: &User, io: &mut CommandIo| {
        for operand in &arguments.operands {
            service::stat(user, &path(operand)?, true)?;
        }
        let usage = service::usage(user)?;
        for line in space(&usage, user.name(), arguments.has("h")) {
            io.line(line.as_bytes());
        }
        if let Some(note) = service::counting_note(user) {
            io.note(&note);
        }
        Ok(())
    })))
}

/// The quota in the columns of `df`. Without a quota, the size is the usage plus the free disk space.
fn space(credited: &CreditedUsage, name: &str, readable: bool) -> [String; 2] {
    let (used, left) = (credited.charged(), credited.left());
    let whole = credited.usage.quota.unwrap_or_else(|| used.saturating_add(left));
    let shown = |bytes: u64, kib: u64| match readable {
        true => Size(bytes).to_string().replace(' ', ""),
        false => kib.to_string(),
    };
    let percent = match used.saturating_add(left) {
        0 => "-".to_owned(),
        all => format!("{}%", (u128::from(used) * 100).div_ceil(u128::from(all))),
    };
    let unit = if readable { "Size" } else { "1K-blocks" };
    let row = |a: &str, b: &str, c: &str, d: &str, e: &str, f: &str| {
        format!("{a:<15} {b:>12} {c:>12} {d:>12} {e:>5} {f}")
    };
    [
        row("Filesystem", unit, "Used", "Available", "Use%", "Mounted on"),
        row(
            name,
            &shown(whole, whole / 1024),
            &shown(used, used.div_ceil(1024)),
            &shown(left, left / 1024),
            &percent,
            "/",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Usage;

    #[test]
    fn df_shows_the_quota_limited_by_the_disk() {
        let usage = Usage {
            used: 1025,
            reserved: 0,
            quota: Some(10 << 10),
            entries: 1,
            max_entries: None,
            disk_free: 1 << 30,
        };
        let fields = |usage: &Usage, readable| {
            let [_, row] = space(&CreditedUsage { usage: *usage, credited: 0 }, "ann", readable);
            row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(fields(&usage, false), ["ann", "10", "2", "8", "11%", "/"]);
        assert_eq!(fields(&usage, true), ["ann", "10.0KiB", "1.0KiB", "9.0KiB", "11%", "/"]);
        assert_eq!(fields(&Usage { disk_free: 0, ..usage }, false)[3..5], ["0", "100%"]);
        let free = Usage { quota: None, disk_free: 1 << 20, ..usage };
        assert_eq!(fields(&free, false), ["ann", "1025", "2", "1024", "1%", "/"]);
        let full = Usage { quota: Some(5), used: 9, ..free };
        assert_eq!(fields(&full, false)[3..5], ["0", "100%"]);
    }
}
