//! The rows of `fg`, `jobs` and `kill`.

use super::UNLIMITED_OPERANDS;
use crate::shell::command::{CommandSpec, Operand, Verb};

pub(super) const FG_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Fg,
    name: "fg",
    aliases: &[],
    usage: "[N]",
    operands: (0, 1),
    completes: Some((Operand::Job, Operand::Job)),
    flags: &[],
    summary: "wait for a background job and show its progress",
    details: "Without N it waits for the last one. Ctrl-C cancels the job.",
};

pub(super) const JOBS_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Jobs,
    name: "jobs",
    aliases: &[],
    usage: "",
    operands: (0, 0),
    completes: None,
    flags: &[],
    summary: "list the background jobs",
    details: "\
At the prompt, & at the end of check, cp, get, hash, pull, push or put starts the command in the background, over a connection
of its own: put -r big &. It keeps the directories in which it was started. Its end is reported before the next prompt. The
program does not end while jobs run, unless exit is repeated.",
};

pub(super) const KILL_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Kill,
    name: "kill",
    aliases: &[],
    usage: "N…",
    operands: (1, UNLIMITED_OPERANDS),
    completes: Some((Operand::Job, Operand::Job)),
    flags: &[],
    summary: "cancel background jobs",
    details: "A partial transfer remains, and the same command resumes it.",
};
