//! `df`: usage, quota and partial uploads.

use super::error::unexpected_reply;
use super::event::OutputEvent;
use super::invocation::Invocation;
use super::{Shell, ShellError};
use crate::messages::warn;
use jiff::Timestamp;
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{CreditedUsage, Part, Payload, Reply, Request};
use std::fmt::Write;

impl Shell {
    pub(super) async fn df(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let human = invocation.has('h');
        let Reply { message, payload, .. } = self.request(Request::Df).await?;
        match payload {
            Payload::CreditedUsage(usage) => self.show_usage(&usage, human)?,
            // An older server without credit: its reserved space counts completely.
            Payload::Usage(usage) => self.show_usage(&CreditedUsage { usage, credited: 0 }, human)?,
            _ => return Err(unexpected_reply("df")),
        }
        if !message.is_empty() {
            // The figures are preliminary.
            warn(format_args!("{}", Escaped(message.as_bytes())));
        }
        if invocation.has('v') {
            let parts = self.conversation.parts(&self.cancel).await?;
            let text = || partial_uploads(&parts, human, Timestamp::now());
            self.out.show_all(parts.iter().map(OutputEvent::part), text)?;
        }
        Ok(())
    }

    fn show_usage(&self, usage: &CreditedUsage, human: bool) -> Result<(), ShellError> {
        self.out.show(&OutputEvent::usage(usage), || quota(usage, human))
    }

    /// Discards partial uploads: those of the given paths, or all. Patterns are not expanded: the files need not exist
    /// yet.
    pub(super) async fn discard_parts(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let mut paths: Vec<_> = invocation.operands.iter().map(|word| Some(self.remote_path(word))).collect();
        if paths.is_empty() {
            paths.push(None);
        }
        let requests = paths.into_iter().map(|path| Request::Discard { path }).collect();
        let out = self.out.clone();
        let tell = move |_, reply: Reply| out.say(&format!("{}\n", Escaped(reply.message.as_bytes())));
        self.request_all(requests, tell).await
    }
}

fn quota(credited: &CreditedUsage, human: bool) -> String {
    let size = |bytes: u64| if human { Size(bytes).to_string() } else { bytes.to_string() };
    let usage = &credited.usage;
    let files = match usage.max_entries {
        Some(most) => format!("{} of {most}", usage.entries),
        None => usage.entries.to_string(),
    };
    let mut rows = vec![
        ("quota", usage.quota.map_or_else(|| "unlimited".to_owned(), size)),
        ("used", size(usage.used)),
        ("reserved", size(usage.reserved)),
    ];
    if credited.credited > 0 {
        // Part of the reserved space: the rows above add up only without it.
        rows.push(("replacing", size(credited.credited)));
    }
    rows.extend([("left", size(credited.left())), ("disk free", size(usage.disk_free)), ("files", files)]);
    let width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in rows {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{name:9}  {value:>width$}");
    }
    out
}

/// One line per partial upload; empty if there are none.
fn partial_uploads(parts: &[Part], human: bool, now: Timestamp) -> String {
    let size = |bytes: u64| if human { Size(bytes).to_string() } else { bytes.to_string() };
    let rows: Vec<[String; 3]> = parts
        .iter()
        .map(|part| {
            let whole = if part.size > 0 { size(part.size) } else { "a stream".to_owned() };
            [size(part.length), whole, age(now.as_second(), part.since.seconds)]
        })
        .collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let (arrived, whole, old) = (width(0), width(1), width(2));
    let mut out = String::new();
    if !parts.is_empty() {
        out.push_str("\npartial uploads: put resumes files, rm --partial removes them\n");
    }
    for ([length, size, age], part) in rows.iter().zip(parts) {
        let path = Escaped(&part.path);
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{length:>arrived$} of {size:>whole$}  {age:>old$} ago  {path}");
    }
    out
}

/// An age, in the largest unit of which it is at least one.
fn age(now: i64, then: i64) -> String {
    // If the server's clock is ahead of ours, the age is 0.
    let seconds = now.saturating_sub(then).max(0);
    match seconds {
        86_400.. => format!("{} d", seconds / 86_400),
        3_600.. => format!("{} h", seconds / 3_600),
        60.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{Time, Usage};

    #[test]
    fn df_adds_up_and_lines_up() {
        let usage = Usage {
            used: 60 << 20,
            reserved: 8 << 20,
            quota: Some(100 << 20),
            entries: 12,
            max_entries: Some(1000),
            disk_free: 5 << 30,
        };
        let shown = |usage, credited| quota(&CreditedUsage { usage, credited }, true);
        assert_eq!(
            shown(usage, 0),
            "quota       100.0 MiB\nused         60.0 MiB\nreserved      8.0 MiB\nleft         32.0 MiB\n\
             disk free     5.0 GiB\nfiles      12 of 1000\n"
        );
        assert!(
            shown(usage, 6 << 20).contains("replacing     6.0 MiB\nleft         38.0 MiB\n"),
            "{}",
            shown(usage, 6 << 20)
        );
        // A quota that was lowered leaves nothing, not less than nothing.
        let left = |usage| {
            let rows = shown(usage, 0);
            let row = rows.lines().find(|row| row.starts_with("left")).unwrap();
            row.split_once("  ").unwrap().1.trim().to_owned()
        };
        assert_eq!(left(Usage { quota: Some(1), ..usage }), "0 B");
        // At most the free space of the disk.
        assert_eq!(left(Usage { disk_free: 5, ..usage }), "5 B");
        assert_eq!(left(Usage { quota: None, ..usage }), "5.0 GiB");
    }

    #[test]
    fn parts_line_up() {
        let part = |path: &[u8], length, seconds| Part {
            path: path.to_vec(),
            length,
            size: 700 << 20,
            since: Time { seconds, nanoseconds: 0 },
        };
        let now = Timestamp::from_second(1_000_000).unwrap();
        let parts =
            [part(b"/a\n.iso", 4 << 20, 1_000_000 - 3 * 86_400), part(b"/b", 600 << 20, 1_000_000 - 59)];
        assert_eq!(
            partial_uploads(&parts, true, now).lines().skip(2).collect::<Vec<_>>(),
            ["  4.0 MiB of 700.0 MiB   3 d ago  /a\\x0a.iso", "600.0 MiB of 700.0 MiB  59 s ago  /b"]
        );
        let stream = Part { size: 0, ..part(b"/s", 8 << 20, 1_000_000) };
        assert_eq!(
            partial_uploads(&[stream], true, now).lines().last(),
            Some("8.0 MiB of a stream  0 s ago  /s")
        );
        assert_eq!(partial_uploads(&[], true, now), "");
        assert_eq!((age(0, 50), age(7_199, 0), age(3_599, 0)), ("0 s".into(), "1 h".into(), "59 min".into()));
    }
}
