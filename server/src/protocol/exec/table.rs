//! The command table: drives parsing, help and dispatch.

use super::arguments::{ArgumentSpec, Arguments};
use super::error::{Error, Result};
use super::task::{CommandIo, CommandTask, RunOnce};
use super::{change, checksums, inspect, scp, stream};
use crate::service::{ChangeKind, DigestAlgorithm};

/// A command.
pub(super) struct CommandEntry {
    /// Its name.
    pub(super) name: &'static str,
    /// Its arguments.
    pub(super) accepts: ArgumentSpec,
    /// Its line in the help.
    pub(super) help: &'static str,
    /// What it changes that waits while the home is being counted.
    pub(super) changes: fn(&Arguments) -> Option<ChangeKind>,
    /// Whether it reads its input.
    pub(super) reads: fn(&Arguments) -> bool,
    /// Begins it.
    pub(super) begin: fn(Arguments) -> Result<Box<dyn CommandTask>>,
}

const UNLIMITED: usize = usize::MAX;

const fn accepts(usage: &'static str, flags: &'static str, operands: (usize, usize)) -> ArgumentSpec {
    ArgumentSpec { usage, flags, values: &[], operands }
}

const fn yes(_: &Arguments) -> bool {
    true
}

const fn no(_: &Arguments) -> bool {
    false
}

const fn nothing_changes(_: &Arguments) -> Option<ChangeKind> {
    None
}

const fn stores(_: &Arguments) -> Option<ChangeKind> {
    Some(ChangeKind::Stores)
}

const fn removes(_: &Arguments) -> Option<ChangeKind> {
    Some(ChangeKind::Removes)
}

static COMMANDS: &[CommandEntry] = &[
    CommandEntry {
        name: "help",
        accepts: accepts("help", "", (0, UNLIMITED)),
        help: "list the commands",
        changes: nothing_changes,
        reads: no,
        begin: help,
    },
    CommandEntry {
        name: "exit",
        accepts: accepts("exit", "", (0, 0)),
        help: "do nothing; tests whether a login works",
        changes: nothing_changes,
        reads: no,
        begin: nothing,
    },
    CommandEntry {
        name: "true",
        accepts: accepts("true", "", (0, UNLIMITED)),
        help: "the same",
        changes: nothing_changes,
        reads: no,
        begin: nothing,
    },
    CommandEntry {
        name: "pwd",
        accepts: accepts("pwd", "LP", (0, 0)),
        help: "print the working directory, which is always /",
        changes: nothing_changes,
        reads: no,
        begin: inspect::pwd,
    },
    CommandEntry {
        name: "ls",
        accepts: accepts("ls [-1aAdhlR] [NAME]...", "1aAdhlRF", (0, UNLIMITED)),
        help: "list files; -a also hidden ones, -l with size and time, -R recursively, -d directories themselves",
        changes: nothing_changes,
        reads: no,
        begin: inspect::ls,
    },
    CommandEntry {
        name: "stat",
        accepts: accepts("stat NAME...", "", (1, UNLIMITED)),
        help: "show type, size, mode and time of files",
        changes: nothing_changes,
        reads: no,
        begin: inspect::stat,
    },
    CommandEntry {
        name: "df",
        accepts: accepts("df [-hk] [NAME]...", "hkP", (0, UNLIMITED)),
        help: "show quota and usage in KiB; -h in readable units",
        changes: nothing_changes,
        reads: no,
        begin: inspect::df,
    },
    CommandEntry {
        name: "mkdir",
        accepts: accepts("mkdir [-p] NAME...", "p", (1, UNLIMITED)),
        help: "make directories; -p also missing parents, and existing ones are no error",
        changes: stores,
        reads: no,
        begin: change::mkdir,
    },
    CommandEntry {
        name: "rmdir",
        accepts: accepts("rmdir NAME...", "", (1, UNLIMITED)),
        help: "remove empty directories",
        changes: removes,
        reads: no,
        begin: change::rmdir,
    },
    CommandEntry {
        name: "rm",
        accepts: accepts("rm [-fr] NAME...", "frR", (0, UNLIMITED)),
        help: "remove files; -r also directories with their contents, -f ignores missing files",
        changes: removes,
        reads: no,
        begin: change::rm,
    },
    CommandEntry {
        name: "mv",
        accepts: accepts("mv FROM... TO", "f", (2, UNLIMITED)),
        help: "rename, or move into a directory",
        changes: stores,
        reads: no,
        begin: change::mv,
    },
    CommandEntry {
        name: "cp",
        accepts: accepts("cp [-r] FROM... TO", "rRf", (2, UNLIMITED)),
        help: "copy files; -r also directories with their contents",
        changes: stores,
        reads: no,
        begin: change::cp,
    },
    CommandEntry {
        name: "get",
        accepts: accepts("get NAME...", "", (1, UNLIMITED)),
        help: "write files to standard output",
        changes: nothing_changes,
        reads: no,
        begin: stream::get,
    },
    CommandEntry {
        name: "cat",
        accepts: accepts("cat NAME...", "", (1, UNLIMITED)),
        help: "the same",
        changes: nothing_changes,
        reads: no,
        begin: stream::get,
    },
    CommandEntry {
        name: "put",
        accepts: ArgumentSpec {
            usage: "put [--size BYTES] [--b3 DIGEST] NAME",
            flags: "",
            values: &["size", "b3"],
            operands: (1, 1),
        },
        help: "store standard input as a file, atomically; fails unless size and BLAKE3 match, if given",
        changes: stores,
        reads: yes,
        begin: stream::put,
    },
    CommandEntry {
        name: "md5sum",
        accepts: accepts("md5sum [NAME]...", "bt", (0, UNLIMITED)),
        help: "print MD5 checksums of files or standard input",
        changes: nothing_changes,
        reads: checksums::reads,
        begin: |arguments| checksums::begin(DigestAlgorithm::Md5, arguments),
    },
    CommandEntry {
        name: "sha1sum",
        accepts: accepts("sha1sum [NAME]...", "bt", (0, UNLIMITED)),
        help: "print SHA-1 checksums of files or standard input",
        changes: nothing_changes,
        reads: checksums::reads,
        begin: |arguments| checksums::begin(DigestAlgorithm::Sha1, arguments),
    },
    CommandEntry {
        name: "sha256sum",
        accepts: accepts("sha256sum [NAME]...", "bt", (0, UNLIMITED)),
        help: "print SHA-256 checksums of files or standard input",
        changes: nothing_changes,
        reads: checksums::reads,
        begin: |arguments| checksums::begin(DigestAlgorithm::Sha256, arguments),
    },
    CommandEntry {
        name: "sha512sum",
        accepts: accepts("sha512sum [NAME]...", "bt", (0, UNLIMITED)),
        help: "print SHA-512 checksums of files or standard input",
        changes: nothing_changes,
        reads: checksums::reads,
        begin: |arguments| checksums::begin(DigestAlgorithm::Sha512, arguments),
    },
    CommandEntry {
        name: "b3sum",
        accepts: accepts("b3sum [NAME]...", "bt", (0, UNLIMITED)),
        help: "print BLAKE3 checksums of files or standard input",
        changes: nothing_changes,
        reads: checksums::reads,
        begin: |arguments| checksums::begin(DigestAlgorithm::Blake3, arguments),
    },
    CommandEntry {
        name: "scp",
        accepts: accepts("scp [-dprv] {-t TO | -f FROM...}", "dfprtvq", (1, UNLIMITED)),
        help: "server side of the legacy scp protocol (scp -O)",
        changes: |arguments| arguments.has("t").then_some(ChangeKind::Stores),
        reads: yes,
        begin: scp::begin,
    },
];

/// Finds a command by name.
///
/// # Errors
/// If there is no such command.
pub(super) fn find(name: &[u8]) -> Result<&'static CommandEntry> {
    let found = COMMANDS.iter().find(|command| command.name.as_bytes() == name);
    found.ok_or_else(|| match name {
        b"rsync" => Error::Rsync,
        name => Error::Unknown(name.to_vec()),
    })
}

fn help(_: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(Box::new(RunOnce(|_: &_, io: &mut CommandIo| {
        for command in COMMANDS {
            io.line(command.accepts.usage.as_bytes());
            io.line(format!("        {}", command.help).as_bytes());
        }
        Ok(())
    })))
}

fn nothing(_: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(Box::new(RunOnce(|_: &_, _: &mut CommandIo| Ok(()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_usages_begin_with_them() {
        for command in COMMANDS {
            let same = COMMANDS.iter().filter(|other| other.name == command.name);
            assert_eq!(same.count(), 1, "{}", command.name);
            assert!(command.accepts.usage.starts_with(command.name), "{}", command.name);
        }
        for name in ["bash", "", "LS", "ls ", "/bin/ls"] {
            assert!(matches!(find(name.as_bytes()), Err(Error::Unknown(_))), "{name}");
        }
    }
}
