//! The row of `bookmark`.

use crate::shell::command::{CommandSpec, Operand, Verb};

pub(super) const BOOKMARK_COMMAND: CommandSpec = CommandSpec {
    verb: Verb::Bookmark,
    name: "bookmark",
    aliases: &[],
    usage: "[add NAME [DIR]|list|remove NAME]",
    operands: (0, 3),
    completes: Some((Operand::BookmarkAction, Operand::RemoteDirectory)),
    flags: &[],
    summary: "name directories on the server, for cd @NAME",
    details: "\
bookmark add NAME keeps the current directory, or DIR, under a name; cd @NAME changes to it. Each server and user has its own
bookmarks. They are in ~/.config/sshome/bookmarks. A directory that is called @NAME is ./@NAME.",
};
