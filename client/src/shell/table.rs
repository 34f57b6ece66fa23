//! The table of commands, in the order of their names.

use super::command::{CommandSpec, Operand, Verb};
use super::flag::{B3_FLAG, Flag, JOBS_FLAG, PARTIAL, SIZE_FLAG, VERIFY};

const UNLIMITED: usize = usize::MAX;
const REMOTE: Option<(Operand, Operand)> = Some((Operand::Remote, Operand::Remote));
const LISTING: &[Flag] = &[
    Flag::new('l', "mode, links, size, time and name, a line each").or('n'),
    Flag::new('a', "also names that begin with a dot"),
    Flag::new('h', "sizes in KiB, MiB, GiB"),
    Flag::new('t', "the newest first"),
    Flag::new('S', "the largest first"),
    Flag::new('r', "the other way round"),
    Flag::new('1', "one name a line"),
    Flag::new('f', "in the order in which they come"),
    Flag::new('R', "also all directories below"),
];
const RECURSIVE: Flag = Flag::new('r', "directories, with all that is in them").or('R').word("recursive");
const PRESERVE: Flag = Flag::new('p', "keep the time and the mode").or('P');
const RESUME: Flag = Flag::new('a', "go on where it was cut, as in sftp: here it is always so");

const FOLLOW: Flag = Flag::new('L', "follow symbolic links, rather than to copy them");

impl CommandSpec {
    /// The row of a name, in capitals or not, as in sftp.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
        let is = |word: &str| word.as_bytes().eq_ignore_ascii_case(name);
        COMMANDS.iter().find(|command| is(command.name) || command.aliases.iter().any(|alias| is(alias)))
    }
}

/// Every command that there is.
pub static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        verb: Verb::Shell,
        name: "!",
        aliases: &[],
        usage: "[COMMAND…]",
        operands: (0, UNLIMITED),
        completes: None,
        flags: &[],
        summary: "run a command here, in your shell",
        details: "What follows the ! goes to /bin/sh as it is. Alone it starts $SHELL.",
    },
    CommandSpec {
        verb: Verb::Cd,
        name: "cd",
        aliases: &["chdir"],
        usage: "[DIR]",
        operands: (0, 1),
        completes: Some((Operand::RemoteDirectory, Operand::RemoteDirectory)),
        flags: &[],
        summary: "change the directory on the server",
        details: "Without DIR it goes to the top of your home.",
    },
    CommandSpec {
        verb: Verb::Cp,
        name: "cp",
        aliases: &["copy"],
        usage: "FROM… TO",
        operands: (2, UNLIMITED),
        completes: REMOTE,
        flags: &[RECURSIVE],
        summary: "copy on the server",
        details: "Into TO if that is a directory. Nothing travels over the network.",
    },
    CommandSpec {
        verb: Verb::Df,
        name: "df",
        aliases: &[],
        usage: "[PATH]",
        operands: (0, 1),
        completes: REMOTE,
        flags: &[
            Flag::new('h', "sizes in KiB, MiB, GiB"),
            Flag::new('i', "also how many files, as in sftp: always shown"),
            Flag::new('v', "also what is left of uploads that were cut"),
        ],
        summary: "your quota, and how much of it is used",
        details: "\
\"reserved\" is what uploads and partial uploads hold. Of that, \"replacing\" takes the place of files that will be
replaced, and does not count. \"left\" can still be stored. A home has one quota, so that PATH, as in sftp, makes
no difference.",
    },
    CommandSpec {
        verb: Verb::Exit,
        name: "exit",
        aliases: &["quit", "bye"],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "leave",
        details: "Ctrl-D leaves, too.",
    },
    CommandSpec {
        verb: Verb::Get,
        name: "get",
        aliases: &["mget", "reget"],
        usage: "REMOTE… [LOCAL]",
        operands: (1, UNLIMITED),
        completes: Some((Operand::Remote, Operand::Local)),
        flags: &[
            RECURSIVE,
            PRESERVE,
            FOLLOW,
            RESUME,
            JOBS_FLAG,
            Flag::new('f', "replace a local file of that name").word("force"),
        ],
        summary: "fetch files from the server",
        details: "\
get A saves into the local directory, get A B as B, or into B if that is a directory. With more than
two names the last is a directory that exists.
A local file with the same content is left alone. One with other content stays, and the new file is
saved as NAME.new (or NAME.new.1, …), unless -f says to replace it. A batch file (-b) replaces it, as sftp does.
get A - writes A to standard output. A local file called - is ./-.
In sftp -f asks for an fsync: here a file is always on the disk when get ends.",
    },
    CommandSpec {
        verb: Verb::Hash,
        name: "hash",
        aliases: &[],
        usage: "FILE…",
        operands: (1, UNLIMITED),
        completes: REMOTE,
        flags: &[Flag::new(VERIFY, "compare with what was stored on upload").word("verify")],
        summary: "the BLAKE3 digest of a file, read from its disk",
        details: "With --verify a file that changed on the server's disk since its upload is an error, 407.",
    },
    CommandSpec {
        verb: Verb::Help,
        name: "help",
        aliases: &["?"],
        usage: "[COMMAND]",
        operands: (0, 1),
        completes: Some((Operand::Command, Operand::Command)),
        flags: &[],
        summary: "this, or more about one command",
        details: "help COMMAND shows its options.",
    },
    CommandSpec {
        verb: Verb::Key,
        name: "key",
        aliases: &[],
        usage: "install|list|remove [FILE.pub|FINGERPRINT…]",
        operands: (1, UNLIMITED),
        completes: Some((Operand::KeyAction, Operand::Local)),
        flags: &[],
        summary: "the keys that log in to your account",
        details: "\
key install FILE.pub lets the file's keys log in, from the next login on. Without a file those that -i or
~/.ssh/config names; if none is named, the agent's; if it has none, those in ~/.ssh with a usual name.
key list shows fingerprint, type, who has set it, and comment. key remove takes fingerprints or files; a key
that the administrator has set stays, and so does the last way to log in. Open sessions stay open.",
    },
    CommandSpec {
        verb: Verb::Lcd,
        name: "lcd",
        aliases: &["lchdir"],
        usage: "[DIR]",
        operands: (0, 1),
        completes: Some((Operand::LocalDirectory, Operand::LocalDirectory)),
        flags: &[],
        summary: "change the directory here",
        details: "Without DIR it goes to your home directory.",
    },
    CommandSpec {
        verb: Verb::Lls,
        name: "lls",
        aliases: &[],
        usage: "[PATH…]",
        operands: (0, UNLIMITED),
        completes: Some((Operand::Local, Operand::Local)),
        flags: LISTING,
        summary: "list files here",
        details: "The options are those of ls.",
    },
    CommandSpec {
        verb: Verb::Lmkdir,
        name: "lmkdir",
        aliases: &[],
        usage: "DIR…",
        operands: (1, UNLIMITED),
        completes: Some((Operand::LocalDirectory, Operand::LocalDirectory)),
        flags: &[Flag::new('p', "make what is missing on the way, too")],
        summary: "make a directory here",
        details: "A directory that exists is an error, except with -p.",
    },
    CommandSpec {
        verb: Verb::Ln,
        name: "ln",
        aliases: &[],
        usage: "TARGET LINK",
        operands: (2, 2),
        completes: REMOTE,
        flags: &[Flag::new('s', "a symbolic link: there are no others")],
        summary: "make a link on the server",
        details: "Without -s sftp makes a second name for the file; this server has only symbolic links.",
    },
    CommandSpec {
        verb: Verb::Lpwd,
        name: "lpwd",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "the directory here",
        details: "Where get saves, and where put looks for files.",
    },
    CommandSpec {
        verb: Verb::Ls,
        name: "ls",
        aliases: &["dir"],
        usage: "[PATH…]",
        operands: (0, UNLIMITED),
        completes: REMOTE,
        flags: LISTING,
        summary: "list files on the server",
        details: "Names that begin with a dot are shown with -a. The order is that of the bytes.",
    },
    CommandSpec {
        verb: Verb::Mkdir,
        name: "mkdir",
        aliases: &[],
        usage: "DIR…",
        operands: (1, UNLIMITED),
        completes: Some((Operand::RemoteDirectory, Operand::RemoteDirectory)),
        flags: &[Flag::new('p', "make what is missing on the way, too").word("parents")],
        summary: "make a directory on the server",
        details: "A directory that exists is an error, 203, except with -p.",
    },
    CommandSpec {
        verb: Verb::Mv,
        name: "mv",
        aliases: &[],
        usage: "FROM… TO",
        operands: (2, UNLIMITED),
        completes: REMOTE,
        flags: &[],
        summary: "rename on the server",
        details: "Into TO if that is a directory. A file that is called TO is replaced.",
    },
    CommandSpec {
        verb: Verb::Progress,
        name: "progress",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "show how far a transfer has come, or stop showing it",
        details: "At a terminal it is shown from the start, except with -q.",
    },
    CommandSpec {
        verb: Verb::Put,
        name: "put",
        aliases: &["mput", "reput"],
        usage: "LOCAL… [REMOTE]",
        operands: (1, UNLIMITED),
        completes: Some((Operand::Local, Operand::Remote)),
        flags: &[
            RECURSIVE,
            PRESERVE,
            FOLLOW,
            RESUME,
            JOBS_FLAG,
            Flag {
                short: 'f',
                also: None,
                long: "",
                value: None,
                help: "wait for the server's disk, as in sftp: here it is always so",
            },
            SIZE_FLAG,
            B3_FLAG,
        ],
        summary: "send files to the server",
        details: "\
put A sends into the server's directory, put A B as B, or into B if that is a directory. With more than
two names the last is a directory that exists.
A file becomes visible when it is whole, verified and on the disk; one of that name is then replaced.
put - B stores what standard input has as B; with --size or --b3 only if it is just that. A local file
called - is ./-.",
    },
    CommandSpec {
        verb: Verb::Pwd,
        name: "pwd",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "the directory on the server",
        details: "The top of your home is /.",
    },
    CommandSpec {
        verb: Verb::Rename,
        name: "rename",
        aliases: &[],
        usage: "FROM TO",
        operands: (2, 2),
        completes: REMOTE,
        flags: &[Flag::new('l', "not if TO exists")],
        summary: "give a file on the server another name, as in sftp",
        details: "A file that is called TO is replaced. A directory never is: mv moves into it.",
    },
    CommandSpec {
        verb: Verb::Rm,
        name: "rm",
        aliases: &[],
        usage: "PATH…",
        operands: (1, UNLIMITED),
        completes: REMOTE,
        flags: &[RECURSIVE, Flag::new(PARTIAL, "what is left of cut uploads").word("partial")],
        summary: "remove files on the server",
        details: "\
A link is removed, not what it points at.
rm --partial PATH… removes what has arrived of uploads to PATH that were cut, rm --partial that of all.
df -v lists them.",
    },
    CommandSpec {
        verb: Verb::Rmdir,
        name: "rmdir",
        aliases: &[],
        usage: "DIR…",
        operands: (1, UNLIMITED),
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
        operands: (1, UNLIMITED),
        completes: REMOTE,
        flags: &[Flag::new('L', "what a link points at, not the link")],
        summary: "all that is known of a file, a field a line",
        details: "Times are local.",
    },
    CommandSpec {
        verb: Verb::Symlink,
        name: "symlink",
        aliases: &[],
        usage: "TARGET LINK",
        operands: (2, 2),
        completes: REMOTE,
        flags: &[],
        summary: "make a symbolic link on the server",
        details: "What it points at need not exist. It leads nowhere outside of your home.",
    },
    CommandSpec {
        verb: Verb::Sync,
        name: "sync",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "wait until all is on the server's disk",
        details: "put has waited for its own files already.",
    },
    CommandSpec {
        verb: Verb::Version,
        name: "version",
        aliases: &[],
        usage: "",
        operands: (0, 0),
        completes: None,
        flags: &[],
        summary: "the version of this program and of the protocol",
        details: "sshome --version tells the program's, too.",
    },
];
