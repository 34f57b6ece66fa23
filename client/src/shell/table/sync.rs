//! The rows of `check`, `pull` and `push`.

use super::UNLIMITED_OPERANDS;
use crate::shell::command::{CommandSpec, Operand, Verb};
use crate::shell::flag::{CHECK_FLAGS, PULL_FLAGS, PUSH_FLAGS};

pub(super) const CHECK_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Check,
    name: "check",
    aliases: &[],
    usage: "LOCAL REMOTE",
    operands: (2, 2),
    completes: Some((Operand::Local, Operand::Remote)),
    flags: CHECK_FLAGS,
    summary: "compare local files with those on the server",
    details: "\
Both sides read their files and compute BLAKE3 digests; nothing is transferred or changed. Each difference is a line:
only-local, only-remote or differs, and the path below LOCAL and REMOTE. If there is one, the command fails.",
};

pub(super) const PULL_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Pull,
    name: "pull",
    aliases: &[],
    usage: "REMOTE… LOCAL",
    operands: (2, UNLIMITED_OPERANDS),
    completes: Some((Operand::Remote, Operand::Local)),
    flags: PULL_FLAGS,
    summary: "make a local directory like one on the server",
    details: "\
pull DIR LOCAL makes LOCAL like DIR; with several sources, LOCAL/NAME like each. A file becomes LOCAL, or goes
into it if that is a directory or ends in /. Files with the same size and time are not fetched; one that differs
replaces the local one. Links are copied as links, and local links are not followed.
Nothing is deleted without --delete, and nothing at all if anything failed or more than half of the entries (and more
than 100) would go. Repeating an interrupted pull resumes it.",
};

pub(super) const PUSH_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Push,
    name: "push",
    aliases: &[],
    usage: "LOCAL… REMOTE",
    operands: (2, UNLIMITED_OPERANDS),
    completes: Some((Operand::Local, Operand::Remote)),
    flags: PUSH_FLAGS,
    summary: "make a directory on the server like a local one",
    details: "\
push DIR REMOTE makes REMOTE like DIR; with several sources, REMOTE/NAME like each. A file becomes REMOTE, or goes
into it if that is a directory or ends in /. Files with the same size and time are not sent; links are copied as links.
Nothing is deleted without --delete, and nothing at all if anything failed or more than half of the entries (and more
than 100) would go. Repeating an interrupted push resumes it. With --watch it keeps running: a file is sent once it was
quiet for a second, and everything is compared every hour and after a lost connection.",
};
