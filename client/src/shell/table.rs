//! The table of commands, in the order of their names.

mod bookmark;
mod jobs;
mod listing;
mod read;
mod sync;
mod tree;

use super::command::{CommandSpec, Operand, Verb};
use super::flag::{ALL_FLAG, B3_FLAG, DELTA_FLAG, Flag, JOBS_FLAG, PARTIAL_LETTER, SIZE_FLAG, VERIFY_LETTER};

const UNLIMITED_OPERANDS: usize = usize::MAX;
const REMOTE_PATHS: Option<(Operand, Operand)> = Some((Operand::Remote, Operand::Remote));
const RECURSIVE_FLAG: Flag = Flag::new('r', "directories and their contents").or('R').word("recursive");
const PRESERVE_FLAG: Flag = Flag::new('p', "preserve modification time and mode").or('P');
const RESUME_FLAG: Flag = Flag::new('a', "resume a partial transfer (always on; accepted for sftp)");

const FOLLOW_FLAG: Flag = Flag::new('L', "follow symbolic links instead of copying them");

impl CommandSpec {
    /// The row of a name. As in sftp, case does not matter.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
        let is = |word: &str| word.as_bytes().eq_ignore_ascii_case(name);
        COMMANDS.iter().find(|command| is(command.name) || command.aliases.iter().any(|alias| is(alias)))
    }
}

/// All commands.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        verb: Verb::Shell,
        name: "!",
        aliases: &[],
        usage: "[COMMAND…]",
        operands: (0, UNLIMITED_OPERANDS),
        completes: None,
        flags: &[],
        summary: "run a local command in your shell",
        details: "The rest of the line goes to /bin/sh unchanged. Alone it starts $SHELL.",
    },
    bookmark::BOOKMARK_COMMAND,
    read::CAT_COMMAND,
    CommandSpec {
        verb: Verb::Cd,
        name: "cd",
        aliases: &["chdir"],
        usage: "[DIR]",
        operands: (0, 1),
        completes: Some((Operand::RemoteDirectory, Operand::RemoteDirectory)),
        flags: &[],
        summary: "change the directory on the server",
        details: "\
Without DIR it changes to the top of your home, as cd ~ does. cd - returns to the previous directory and prints it.
cd @NAME changes to a bookmark.
A directory called - is ./-. In paths on the server, ~ at the beginning means the top of your home.",
    },
    sync::CHECK_COMMAND,
    tree::CHMOD_COMMAND,
    CommandSpec {
        verb: Verb::Cp,
        name: "cp",
        aliases: &["copy"],
        usage: "FROM… TO",
        operands: (2, UNLIMITED_OPERANDS),
        completes: REMOTE_PATHS,
        flags: &[RECURSIVE_FLAG],
        summary: "copy on the server",
        details: "If TO is a directory, the copies go into it. The data stays on the server.",
    },
    CommandSpec {
        verb: Verb::Df,
        name: "df",
        aliases: &[],
        usage: "[PATH]",
        operands: (0, 1),
        completes: REMOTE_PATHS,
        flags: &[
            Flag::new('h', "sizes in KiB, MiB, GiB"),
            Flag::new('i', "show the number of files (always on; accepted for sftp)"),
            Flag::new('v', "list partial uploads as well"),
        ],
        summary: "show the quota and its use",
        details: "\
\"reserved\" is the space of running and partial uploads. \"replacing\" is the part of it that will replace existing
files; it is not charged. \"left\" can still be stored. A home has one quota, so PATH (accepted for
sftp) makes no difference.",
    },
    tree::DU_COMMAND,
    read::EDIT_COMMAND,
    CommandSpec {
        verb: Verb::Exit,
        name: "exit",
        aliases: &["quit", "bye"],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "quit",
        details: "Ctrl-D quits as well.",
    },
    jobs::FG_COMMAND,
    tree::FIND_COMMAND,
    CommandSpec {
        verb: Verb::Flush,
        name: "flush",
        aliases: &["sync"],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "flush everything to the server's disk",
        details: "put has already flushed its own files.",
    },
    CommandSpec {
        verb: Verb::Get,
        name: "get",
        aliases: &["mget", "reget"],
        usage: "REMOTE… [LOCAL]",
        operands: (1, UNLIMITED_OPERANDS),
        completes: Some((Operand::Remote, Operand::Local)),
        flags: &[
            RECURSIVE_FLAG,
            PRESERVE_FLAG,
            FOLLOW_FLAG,
            RESUME_FLAG,
            JOBS_FLAG,
            DELTA_FLAG,
            ALL_FLAG,
            Flag::new('f', "replace an existing local file").word("force"),
        ],
        summary: "download files",
        details: "\
get A saves into the local directory; get A B saves as B, or into B if that is a directory. With more than
two names the last must be an existing directory.
A local file with the same content is left alone; -p sets its mode and time. If the content differs, the new file is saved as NAME.new
(or NAME.new.1, …), unless -f replaces it. A batch file (-b) replaces it, as sftp does.
get A - writes A to standard output. A local file called - is ./-.
In sftp -f requests an fsync: sshome always syncs a file before get ends.",
    },
    CommandSpec {
        verb: Verb::Hash,
        name: "hash",
        aliases: &[],
        usage: "FILE…",
        operands: (1, UNLIMITED_OPERANDS),
        completes: REMOTE_PATHS,
        flags: &[Flag::new(VERIFY_LETTER, "compare with the digest stored at upload").word("verify")],
        summary: "compute the BLAKE3 digest of a file from its disk",
        details: "With --verify, a file that has changed on the server's disk since its upload is an error (407).",
    },
    CommandSpec {
        verb: Verb::Help,
        name: "help",
        aliases: &["?"],
        usage: "[COMMAND]",
        operands: (0, 1),
        completes: Some((Operand::Command, Operand::Command)),
        flags: &[],
        summary: "show this help, or the help of one command",
        details: "help COMMAND shows its options.",
    },
    jobs::JOBS_COMMAND,
    CommandSpec {
        verb: Verb::Key,
        name: "key",
        aliases: &[],
        usage: "install|list|remove [FILE.pub|FINGERPRINT…]",
        operands: (1, UNLIMITED_OPERANDS),
        completes: Some((Operand::KeyAction, Operand::Local)),
        flags: &[],
        summary: "manage the keys that log in to your account",
        details: "\
key install FILE.pub lets the file's keys log in, from the next login on. Without a file it installs the keys
named by -i or ~/.ssh/config; if there are none, the agent's; if it has none, those in ~/.ssh with a usual name.
key list shows fingerprint, type, who installed it, and comment. key remove takes fingerprints or files. It refuses
keys that the administrator has set, and the last way to log in. Sessions of a removed key end at once.",
    },
    jobs::KILL_COMMAND,
    CommandSpec {
        verb: Verb::Lcd,
        name: "lcd",
        aliases: &["lchdir"],
        usage: "[DIR]",
        operands: (0, 1),
        completes: Some((Operand::LocalDirectory, Operand::LocalDirectory)),
        flags: &[],
        summary: "change the local directory",
        details: "Without DIR it changes to your home directory. lcd - returns to the previous directory and prints it.",
    },
    read::LESS_COMMAND,
    listing::LLS_COMMAND,
    CommandSpec {
        verb: Verb::Lmkdir,
        name: "lmkdir",
        aliases: &[],
        usage: "DIR…",
        operands: (1, UNLIMITED_OPERANDS),
        completes: Some((Operand::LocalDirectory, Operand::LocalDirectory)),
        flags: &[Flag::new('p', "create missing parent directories")],
        summary: "create a local directory",
        details: "A directory that exists is an error, except with -p.",
    },
    CommandSpec {
        verb: Verb::Ln,
        name: "ln",
        aliases: &[],
        usage: "TARGET LINK",
        operands: (2, 2),
        completes: REMOTE_PATHS,
        flags: &[Flag::new('s', "symbolic link (the only kind that ln creates)")],
        summary: "create a link on the server",
        details: "In sftp, ln without -s creates a hard link. Here it is an error: use -s, or cp to copy the file.",
    },
    CommandSpec {
        verb: Verb::Lpwd,
        name: "lpwd",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "print the local directory",
        details: "get saves there, and put looks for files there.",
    },
    listing::LS_COMMAND,
    CommandSpec {
        verb: Verb::Mkdir,
        name: "mkdir",
        aliases: &[],
        usage: "DIR…",
        operands: (1, UNLIMITED_OPERANDS),
        completes: Some((Operand::RemoteDirectory, Operand::RemoteDirectory)),
        flags: &[Flag::new('p', "create missing parent directories").word("parents")],
        summary: "create a directory on the server",
        details: "A directory that exists is an error, 203, except with -p.",
    },
    CommandSpec {
        verb: Verb::Mv,
        name: "mv",
        aliases: &[],
        usage: "FROM… TO",
        operands: (2, UNLIMITED_OPERANDS),
        completes: REMOTE_PATHS,
        flags: &[],
        summary: "rename or move on the server",
        details: "If TO is a directory, FROM moves into it. An existing file TO is replaced.",
    },
    CommandSpec {
        verb: Verb::Progress,
        name: "progress",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "turn the progress display on or off",
        details: "On a terminal it is on at the start, except with -q.",
    },
    sync::PULL_COMMAND,
    sync::PUSH_COMMAND,
    CommandSpec {
        verb: Verb::Put,
        name: "put",
        aliases: &["mput", "reput"],
        usage: "LOCAL… [REMOTE]",
        operands: (1, UNLIMITED_OPERANDS),
        completes: Some((Operand::Local, Operand::Remote)),
        flags: &[
            RECURSIVE_FLAG,
            PRESERVE_FLAG,
            FOLLOW_FLAG,
            RESUME_FLAG,
            JOBS_FLAG,
            DELTA_FLAG,
            ALL_FLAG,
            Flag {
                short: 'f',
                also: None,
                long: "",
                value: None,
                help: "wait for fsync (always on; accepted for sftp)",
            },
            SIZE_FLAG,
            B3_FLAG,
        ],
        summary: "upload files",
        details: "\
put A stores into the server's directory; put A B stores as B, or into B if that is a directory. With more than
two names the last must be an existing directory.
A file appears only when it is complete, verified and on the disk; it then replaces a file of that name.
put -r does not send files whose content the server has under the same name; -p sets their modes and times.
put - B stores standard input as B; with --size or --b3 only if they match. A local file called - is ./-.",
    },
    CommandSpec {
        verb: Verb::Pwd,
        name: "pwd",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "print the directory on the server",
        details: "The top of your home is /.",
    },
    CommandSpec {
        verb: Verb::Rename,
        name: "rename",
        aliases: &[],
        usage: "FROM TO",
        operands: (2, 2),
        completes: REMOTE_PATHS,
        flags: &[Flag::new('l', "fail if TO exists")],
        summary: "rename a file on the server, as in sftp",
        details: "An existing file TO is replaced. A directory never is: mv moves into it.",
    },
    CommandSpec {
        verb: Verb::Rm,
        name: "rm",
        aliases: &[],
        usage: "PATH…",
        operands: (1, UNLIMITED_OPERANDS),
        completes: REMOTE_PATHS,
        flags: &[
            RECURSIVE_FLAG,
            Flag::new('f', "ignore missing files, and patterns without a match").word("force"),
            Flag::new(PARTIAL_LETTER, "remove partial uploads").word("partial"),
        ],
        summary: "remove files on the server",
        details: "\
A link is removed, not its target. rm never asks. The top of your home cannot be removed, and -f changes no permission.
rm --partial PATH… removes partial uploads to PATH; without PATH, all of them.
df -v lists them.",
    },
    CommandSpec {
        verb: Verb::Rmdir,
        name: "rmdir",
        aliases: &[],
        usage: "DIR…",
        operands: (1, UNLIMITED_OPERANDS),
        completes: Some((Operand::RemoteDirectory, Operand::RemoteDirectory)),
        flags: &[],
        summary: "remove empty directories on the server",
        details: "rm -r removes one that is not empty.",
    },
    CommandSpec {
        verb: Verb::Stat,
        name: "stat",
        aliases: &[],
        usage: "PATH…",
        operands: (1, UNLIMITED_OPERANDS),
        completes: REMOTE_PATHS,
        flags: &[Flag::new('L', "follow the link")],
        summary: "show all attributes of a file, one per line",
        details: "Times are in the local time zone.",
    },
    CommandSpec {
        verb: Verb::Symlink,
        name: "symlink",
        aliases: &[],
        usage: "TARGET LINK",
        operands: (2, 2),
        completes: REMOTE_PATHS,
        flags: &[],
        summary: "create a symbolic link on the server",
        details: "The target need not exist. It cannot lead outside your home.",
    },
    tree::TREE_COMMAND,
    CommandSpec {
        verb: Verb::Version,
        name: "version",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "print the versions of the program and the protocol",
        details: "sshome --version also prints that of the program.",
    },
];
