//! Events for programs, one line of JSON each. docs/automation.md documents them.

use serde::Serialize;
use sshome_wire::{CreditedUsage, Entry, FileKind, Hashed, Key, Part, Usage};
use std::borrow::Cow;

/// An event. Fields that do not apply are omitted; new fields may be added.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum OutputEvent<'a> {
    /// A command begins.
    Started { command: &'a str, arguments: Vec<Cow<'a, str>> },
    /// The progress of a transfer.
    Progress(ProgressEvent),
    /// A file is finished.
    File(FileEvent<'a>),
    /// A symbolic link was made, or existed.
    Link(LinkEvent<'a>),
    /// A change that a synchronisation makes, or would make with a dry run: `create`, `update` or `delete`.
    Change {
        #[cfg_attr(feature = "schema", schemars(extend("enum" = ["create", "update", "delete"])))]
        action: &'static str,
        #[serde(flatten)]
        name: NameFields<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        local: Option<String>,
        #[cfg_attr(feature = "schema", schemars(extend("enum" = ["file", "directory"])))]
        kind: &'static str,
    },
    /// A difference that a comparison has found: `only-local`, `only-remote` or `differs`.
    Difference {
        #[cfg_attr(feature = "schema", schemars(extend("enum" = ["only-local", "only-remote", "differs"])))]
        difference: &'static str,
        #[serde(flatten)]
        name: NameFields<'a>,
        #[cfg_attr(feature = "schema", schemars(extend("enum" = ["file", "directory"])))]
        kind: &'static str,
    },
    /// A partial file is resumed.
    Resumed {
        #[serde(flatten)]
        name: NameFields<'a>,
        direction: OperationKind,
        offset: u64,
    },
    /// A connection was lost, and a retry follows after a pause.
    Retry { message: &'a str, attempt: u32, attempts: u32, seconds: f64 },
    /// A source was skipped.
    Skipped { what: &'a str, message: &'a str },
    /// Something failed.
    Failed {
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        message: &'a str,
    },
    /// The answer to pwd and lpwd.
    Directory {
        side: Side,
        #[serde(flatten)]
        name: NameFields<'a>,
    },
    /// A line of ls and lls, or the answer to stat.
    Entry(EntryEvent<'a>),
    /// The answer to hash.
    Digest {
        #[serde(flatten)]
        name: NameFields<'a>,
        size: u64,
        digest: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        stored: Option<String>,
    },
    /// The answer to df.
    Usage {
        used: u64,
        reserved: u64,
        quota: Option<u64>,
        entries: u64,
        max_entries: Option<u64>,
        disk_free: u64,
        replacing: u64,
        left: u64,
    },
    /// A line of du: the bytes of a directory, or of a file.
    Size {
        #[serde(flatten)]
        name: NameFields<'a>,
        size: u64,
    },
    /// A partial upload.
    Part {
        #[serde(flatten)]
        name: NameFields<'a>,
        length: u64,
        size: Option<u64>,
        since: i64,
    },
    /// A key of the account: `listed`, `installed`, `unchanged` if it was installed before, or `removed`.
    Key {
        #[cfg_attr(feature = "schema", schemars(extend("enum" = ["listed", "installed", "unchanged", "removed"])))]
        action: &'static str,
        fingerprint: &'a str,
        #[serde(rename = "type")]
        algorithm: &'a str,
        comment: Cow<'a, str>,
        own: bool,
    },
    /// Text for people: help, version, and results without fields.
    Text { text: &'a str },
    /// The last line.
    Summary(SummaryEvent),
}

/// The side of a name.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Side {
    /// The server.
    Remote,
    /// This machine.
    Local,
}

/// The operation that an event belongs to.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum OperationKind {
    /// A transfer from the server.
    Get,
    /// A transfer to the server.
    Put,
    /// A synchronisation to the server.
    Push,
    /// A synchronisation from the server.
    Pull,
    /// A comparison.
    Check,
    /// A copy on the server.
    Cp,
    /// Digests on the server.
    Hash,
}

/// A name as text, and its bytes in hexadecimal if they are not UTF-8; the text is then an approximation.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct NameFields<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes: Option<String>,
}

/// The progress of a transfer, in files and in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct ProgressEvent {
    pub(super) direction: OperationKind,
    pub(super) files: u64,
    pub(super) files_total: u64,
    pub(super) bytes: u64,
    pub(super) bytes_total: Option<u64>,
}

/// A finished file.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct FileEvent<'a> {
    #[serde(flatten)]
    pub(super) name: NameFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) local: Option<String>,
    pub(super) direction: OperationKind,
    pub(super) bytes: u64,
    pub(super) digest: Option<String>,
    pub(super) resumed_at: u64,
    pub(super) status: u16,
}

/// A finished symbolic link.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct LinkEvent<'a> {
    #[serde(flatten)]
    pub(super) name: NameFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) local: Option<String>,
    pub(super) direction: OperationKind,
    #[serde(flatten)]
    pub(super) target: TargetFields<'a>,
    pub(super) status: u16,
}

/// The target of a symbolic link, as text and bytes like a name.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct TargetFields<'a> {
    target: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_bytes: Option<String>,
}

/// A name in a listing.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct EntryEvent<'a> {
    side: Side,
    #[serde(flatten)]
    name: NameFields<'a>,
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["file", "directory", "symlink", "special"])))]
    kind: &'static str,
    size: u64,
    mtime: i64,
    mode: String,
    links: u64,
    #[serde(flatten)]
    target: Option<TargetFields<'a>>,
}

/// The totals of all commands.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct SummaryEvent {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) saved_by_compression: u64,
    pub(super) unchanged: u64,
    pub(super) compared_by_stored_digest: u64,
    pub(super) matched: u64,
    pub(super) copied: u64,
    pub(super) sent: u64,
    pub(super) seconds: f64,
    pub(super) failures: u64,
    pub(super) exit_code: u8,
}

impl<'a> NameFields<'a> {
    /// A name, from its bytes.
    pub(super) fn new(bytes: &'a [u8]) -> NameFields<'a> {
        let (name, name_bytes) = text(bytes);
        NameFields { name, name_bytes }
    }
}

impl<'a> TargetFields<'a> {
    /// A target, from its bytes.
    pub(super) fn new(bytes: &'a [u8]) -> TargetFields<'a> {
        let (target, target_bytes) = text(bytes);
        TargetFields { target, target_bytes }
    }
}

impl<'a> OutputEvent<'a> {
    /// An entry with its path.
    pub(super) fn entry(side: Side, path: &'a [u8], entry: &'a Entry) -> OutputEvent<'a> {
        let kind = match entry.kind {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
            FileKind::Special => "special",
        };
        OutputEvent::Entry(EntryEvent {
            side,
            name: NameFields::new(path),
            kind,
            size: entry.size,
            mtime: entry.mtime.seconds,
            mode: format!("{:04o}", entry.mode),
            links: entry.links,
            target: (entry.kind == FileKind::Symlink).then(|| TargetFields::new(&entry.target)),
        })
    }

    pub(super) fn size(path: &'a [u8], size: u64) -> OutputEvent<'a> {
        OutputEvent::Size { name: NameFields::new(path), size }
    }

    pub(super) fn digest(path: &'a [u8], hashed: &Hashed) -> OutputEvent<'a> {
        OutputEvent::Digest {
            name: NameFields::new(path),
            size: hashed.size,
            digest: hashed.digest.to_string(),
            stored: hashed.stored.map(|digest| digest.to_string()),
        }
    }

    pub(super) fn usage(credited: &CreditedUsage) -> OutputEvent<'a> {
        let Usage { used, reserved, quota, entries, max_entries, disk_free } = credited.usage;
        let left = credited.left();
        let replacing = credited.credited;
        OutputEvent::Usage { used, reserved, quota, entries, max_entries, disk_free, replacing, left }
    }

    pub(super) fn key(action: &'static str, key: &'a Key) -> OutputEvent<'a> {
        let Key { fingerprint, algorithm, comment, own } = key;
        OutputEvent::Key {
            action,
            fingerprint,
            algorithm,
            comment: String::from_utf8_lossy(comment),
            own: *own,
        }
    }

    pub(super) fn part(part: &'a Part) -> OutputEvent<'a> {
        let name = NameFields::new(&part.path);
        // The size of a stream is unknown.
        let size = (part.size > 0).then_some(part.size);
        OutputEvent::Part { name, length: part.length, size, since: part.since.seconds }
    }
}

/// The JSON Schema of an event.
#[cfg(feature = "schema")]
#[must_use]
pub fn event_schema() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<OutputEvent<'_>>()
}

/// Bytes as text, and in hexadecimal if they are not UTF-8.
fn text(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    let text = String::from_utf8_lossy(bytes);
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let lossy = matches!(text, Cow::Owned(_)).then(hex);
    (text, lossy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Time;

    fn json(event: &OutputEvent<'_>) -> String {
        serde_json::to_string(event).unwrap()
    }

    #[test]
    fn names_that_are_not_utf_8_are_also_hexadecimal() {
        let event = |name| OutputEvent::Directory { side: Side::Remote, name: NameFields::new(name) };
        assert_eq!(json(&event("/ü\n".as_bytes())), r#"{"event":"directory","side":"remote","name":"/ü\n"}"#);
        assert_eq!(
            json(&event(b"/\xff")),
            r#"{"event":"directory","side":"remote","name":"/�","name_bytes":"2fff"}"#
        );
    }

    #[test]
    fn unknown_fields_are_omitted() {
        let failed = |what, status, line| json(&OutputEvent::Failed { what, status, line, message: "why" });
        assert_eq!(failed(None, None, None), r#"{"event":"failed","message":"why"}"#);
        assert_eq!(
            failed(Some("a"), Some(405), Some(3)),
            r#"{"event":"failed","what":"a","status":405,"line":3,"message":"why"}"#
        );
    }

    #[test]
    fn an_entry_has_what_ls_shows() {
        let entry = Entry {
            name: b"l".to_vec(),
            kind: FileKind::Symlink,
            size: 3,
            mtime: Time { seconds: 60, nanoseconds: 0 },
            mode: 0o777,
            links: 1,
            target: b"t".to_vec(),
        };
        assert_eq!(
            json(&OutputEvent::entry(Side::Local, b"d/l", &entry)),
            r#"{"event":"entry","side":"local","name":"d/l","kind":"symlink","size":3,"mtime":60,"#
                .to_owned()
                + r#""mode":"0777","links":1,"target":"t"}"#
        );
    }
}
