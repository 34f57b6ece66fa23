//! The rows of `cat` and `less`.

use super::{REMOTE_PATHS, UNLIMITED_OPERANDS};
use crate::shell::command::{CommandSpec, Verb};

pub(super) const CAT_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Cat,
    name: "cat",
    aliases: &[],
    usage: "FILE…",
    operands: (1, UNLIMITED_OPERANDS),
    completes: REMOTE_PATHS,
    flags: &[],
    summary: "print files on the server",
    details: "\
On a terminal, control characters and bytes that are not UTF-8 are shown as escapes (\\x1b): no file can control it.
A pipe or a file gets the bytes unchanged, as from get FILE -. cat FILE | LOCAL COMMAND works with every command.",
};

pub(super) const LESS_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Less,
    name: "less",
    aliases: &[],
    usage: "FILE…",
    operands: (1, UNLIMITED_OPERANDS),
    completes: REMOTE_PATHS,
    flags: &[],
    summary: "show files on the server in a pager",
    details: "\
Runs PAGER, or less if that is not set. Control characters are shown as escapes. The pager gets LESSSECURE=1, with which
less starts no other program. Without a terminal it prints as cat does.",
};
