//! The rows of `ls` and `lls`.

use super::{REMOTE_PATHS, UNLIMITED_OPERANDS};
use crate::shell::command::{CommandSpec, Operand, Verb};
use crate::shell::flag::Flag;

const LISTING_FLAGS: &[Flag] = &[
    Flag::new('l', "one line per file: mode, links, size, time, name").or('n'),
    Flag::new('a', "include names that begin with a dot"),
    Flag::new('d', "list directories themselves, not their contents"),
    Flag::new('F', "append / to directories, @ to links, * to programs"),
    Flag::new('h', "sizes in KiB, MiB, GiB"),
    Flag::new('t', "sort by time, newest first"),
    Flag::new('S', "sort by size, largest first"),
    Flag::new('r', "reverse the order"),
    Flag::new('1', "one name per line"),
    Flag::new('f', "do not sort"),
    Flag::new('R', "list subdirectories recursively"),
];

pub(super) const LLS_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Lls,
    name: "lls",
    aliases: &[],
    usage: "[PATH…]",
    operands: (0, UNLIMITED_OPERANDS),
    completes: Some((Operand::Local, Operand::Local)),
    flags: LISTING_FLAGS,
    summary: "list local files",
    details: "The options are those of ls.",
};

pub(super) const LS_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Ls,
    name: "ls",
    aliases: &["dir"],
    usage: "[PATH…]",
    operands: (0, UNLIMITED_OPERANDS),
    completes: REMOTE_PATHS,
    flags: LISTING_FLAGS,
    summary: "list files on the server",
    details: "\
Names that begin with a dot are shown with -a. Names are sorted by their bytes.
On a terminal names have the colours of LS_COLORS, or those of GNU ls. NO_COLOR turns them off.",
};
