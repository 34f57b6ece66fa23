//! The rows of `chmod`, `du`, `find` and `tree`.

use super::{REMOTE_PATHS, UNLIMITED_OPERANDS};
use crate::shell::command::{CommandSpec, Operand, Verb};
use crate::shell::find;
use crate::shell::flag::{Flag, FlagValue, MAX_DEPTH_LETTER, NAME_LETTER, NUL_LETTER, TYPE_LETTER};
use crate::shell::value;

const MAX_DEPTH_FLAG: Flag =
    Flag::with_value(MAX_DEPTH_LETTER, "max-depth", "N", value::depth, "show at most N levels below PATH");

const FIND_FLAGS: &[Flag] = &[
    Flag::with_value(NAME_LETTER, "name", "PATTERN", |_| Ok(()), "only names that match, as in *.txt"),
    Flag::with_value(
        TYPE_LETTER,
        "type",
        "T",
        |text| find::file_kind(text).map(drop),
        "only files (f), directories (d) or links (l)",
    ),
    MAX_DEPTH_FLAG,
    Flag::new(NUL_LETTER, "end each path with a NUL instead of a line feed, for xargs -0"),
];

pub(super) const CHMOD_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Chmod,
    name: "chmod",
    aliases: &[],
    usage: "MODE PATH…",
    operands: (2, UNLIMITED_OPERANDS),
    completes: Some((Operand::Mode, Operand::Remote)),
    flags: &[Flag::new('R', "directories and their contents").word("recursive")],
    summary: "change the permissions of files on the server",
    details: "\
MODE is octal (644) or symbolic (u+x, go-w, a+rX). A mode that begins with a dash follows --, or is written a-x.
The mode of a link is that of its target; -R does not follow links below PATH.",
};

pub(super) const DU_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Du,
    name: "du",
    aliases: &[],
    usage: "[PATH…]",
    operands: (0, UNLIMITED_OPERANDS),
    completes: REMOTE_PATHS,
    flags: &[
        Flag::new('h', "sizes in KiB, MiB, GiB"),
        Flag::new('s', "only the total of each PATH"),
        Flag::new('a', "files as well, not only directories"),
        MAX_DEPTH_FLAG,
    ],
    summary: "show the sizes of directories on the server",
    details: "\
Sizes are in bytes: the lengths of the files, as in ls -l, without space on the disk for the directories themselves. A file
with several names counts once for each. df shows what counts against the quota.",
};

pub(super) const FIND_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Find,
    name: "find",
    aliases: &[],
    usage: "[PATH…]",
    operands: (0, UNLIMITED_OPERANDS),
    completes: REMOTE_PATHS,
    flags: FIND_FLAGS,
    summary: "list all files below a directory on the server",
    details: "\
-name, -type and -max-depth are accepted, too. A pattern needs no quotes. Links are not followed.",
};

pub(super) const TREE_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Tree,
    name: "tree",
    aliases: &[],
    usage: "[DIR…]",
    operands: (0, UNLIMITED_OPERANDS),
    completes: Some((Operand::RemoteDirectory, Operand::RemoteDirectory)),
    flags: &[
        Flag::new('a', "include names that begin with a dot"),
        Flag::new('d', "only directories"),
        Flag::new('F', "append / to directories, @ to links, * to programs"),
        Flag {
            short: 'L',
            also: None,
            long: "",
            value: Some(FlagValue { name: "N", check: value::depth }),
            help: "show at most N levels",
        },
    ],
    summary: "draw a directory on the server as a tree",
    details: "Links are not followed. Names have the colours of ls.",
};
