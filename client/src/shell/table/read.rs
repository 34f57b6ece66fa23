//! The rows of `cat`, `edit` and `less`.

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

pub(super) const EDIT_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Edit,
    name: "edit",
    aliases: &["vi"],
    usage: "FILE",
    operands: (1, 1),
    completes: REMOTE_PATHS,
    flags: &[],
    summary: "edit a file on the server in your editor",
    details: "\
Gets the file, runs VISUAL, EDITOR or vi, and puts it if its content changed. A file that does not exist is created. If the
server's copy changed meanwhile, the editor fails, or the put fails, nothing is lost: the edited file stays in a local
directory, and edit prints its path.",
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
