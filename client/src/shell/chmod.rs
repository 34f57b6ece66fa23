//! `chmod`: permission bits, in octal digits or as changes such as `u+x`.

use super::error::unexpected_reply;
use super::failures::Failures;
use super::invocation::Invocation;
use super::ls::beneath;
use super::{Shell, ShellError};
use sshome_wire::{Entries, Entry, FileKind, Payload, Request};

/// The permission bits that can be set.
const ALL_BITS: u32 = 0o7777;

/// The bits for running a file, or entering a directory.
const EXECUTE_BITS: u32 = 0o111;

/// A change of permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ModeChange {
    /// These bits.
    Octal(u32),
    /// Changes to the bits of each file, in order.
    Symbolic(Vec<ModeClause>),
}

/// `ugo+rwx`: who, what happens, and which bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModeClause {
    /// The bits of the users that it is about.
    who: u32,
    operator: char,
    /// The bits without X.
    bits: u32,
    /// X: run and enter, but only directories, and files that somebody can run.
    conditional: bool,
}

impl std::str::FromStr for ModeChange {
    type Err = String;

    fn from_str(text: &str) -> Result<ModeChange, String> {
        let wrong = || "it is not a mode, such as 644, u+x or go-w".to_owned();
        if text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
            return if bits <= ALL_BITS { Ok(ModeChange::Octal(bits)) } else { Err(wrong()) };
        }
        let clauses = text.split(',').map(|clause| ModeClause::parse(clause).ok_or_else(wrong));
        clauses.collect::<Result<_, _>>().map(ModeChange::Symbolic)
    }
}

impl ModeClause {
    fn parse(text: &str) -> Option<ModeClause> {
        let at = text.find(['+', '-', '='])?;
        let (users, rest) = text.split_at(at);
        let mut rest = rest.chars();
        let operator = rest.next()?;
        let mut who = 0;
        for user in users.chars() {
            who |= match user {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => ALL_BITS,
                _ => return None,
            };
        }
        // chmod(1) applies the umask to +x without users; the server's files have none.
        let who = if who == 0 { ALL_BITS } else { who };
        let (mut bits, mut conditional) = (0, false);
        for letter in rest {
            match letter {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= EXECUTE_BITS,
                'X' => conditional = true,
                's' => bits |= 0o6000,
                't' => bits |= 0o1000,
                _ => return None,
            }
        }
        Some(ModeClause { who, operator, bits, conditional })
    }

    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let executes = self.conditional && (is_directory || mode & EXECUTE_BITS != 0);
        let bits = (self.bits | if executes { EXECUTE_BITS } else { 0 }) & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            // A directory keeps its special bits, as in GNU chmod.
            _ if is_directory => mode & !(self.who & 0o777) | bits,
            _ => mode & !self.who | bits,
        }
    }
}

impl ModeChange {
    /// The new bits of an entry.
    fn apply(&self, entry: &Entry) -> u32 {
        let is_directory = entry.kind == FileKind::Directory;
        match self {
            ModeChange::Octal(bits) => *bits,
            ModeChange::Symbolic(clauses) => {
                clauses.iter().fold(entry.mode & ALL_BITS, |mode, clause| clause.apply(mode, is_directory))
            }
        }
    }
}

impl Shell {
    pub(super) async fn chmod(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let Some((mode, words)) = invocation.operands.split_first() else { return Ok(()) };
        let text = String::from_utf8_lossy(&mode.bytes()).into_owned();
        let change: ModeChange =
            text.parse().map_err(|why| ShellError::Failed(format!("{}: {why}", text.escape_debug())))?;
        if !self.conversation.has_same_content() {
            let why = "this server is too old for chmod: update it, or use chmod of sftp";
            return Err(ShellError::Failed(why.to_owned()));
        }
        let mut failures = Failures::new(&self.out);
        let mut changes = Vec::new();
        for path in self.remote_paths(words).await? {
            let found = self.modes(&path, &change, invocation.has('R')).await;
            failures.pass(found.map(|found| changes.extend(found)))?;
        }
        let requests = changes.into_iter().map(|(path, mode)| Request::SetAttributes {
            path,
            mode: Some(mode),
            mtime: None,
        });
        failures.pass(self.request_all(requests.collect(), |_, _| Ok(())).await)?;
        failures.verdict()
    }

    /// The new modes of a path, and of what is below it. Contents come before their directory, which may lose the bits
    /// that give access to them. Links below it are left alone, since a mode is that of their target.
    async fn modes(
        &mut self,
        path: &[u8],
        change: &ModeChange,
        recursive: bool,
    ) -> Result<Vec<(Vec<u8>, u32)>, ShellError> {
        let mut modes = Vec::new();
        let itself = match self.request(Request::Stat { path: path.to_vec(), follow: true }).await?.payload {
            Payload::Stat(entry) => entry,
            _ => return Err(unexpected_reply("stat")),
        };
        if recursive && itself.kind == FileKind::Directory {
            let mut each = |found: Entries| {
                let above =
                    if found.directory.is_empty() { path.to_vec() } else { beneath(path, &found.directory) };
                let own = found.entries.iter().filter(|entry| entry.kind != FileKind::Symlink);
                modes.extend(own.map(|entry| (beneath(&above, &entry.name), change.apply(entry))));
            };
            self.conversation.list(path, true, &self.cancel, &mut each).await?;
            // Directories are listed before their contents.
            modes.reverse();
        }
        modes.push((path.to_vec(), change.apply(&itself)));
        Ok(modes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Time;

    fn changed(mode: u32, kind: FileKind, text: &str) -> u32 {
        let (name, target) = (b"f".to_vec(), Vec::new());
        let entry = Entry { name, kind, size: 0, mtime: Time::default(), mode, links: 1, target };
        text.parse::<ModeChange>().unwrap().apply(&entry)
    }

    #[test]
    fn modes_change_as_by_chmod() {
        use FileKind::{Directory, File};
        for (before, kind, text, after) in [
            (0o600, File, "644", 0o644),
            (0o600, File, "0755", 0o755),
            (0o644, File, "u+x", 0o744),
            (0o644, File, "+x", 0o755),
            (0o755, File, "go-rx", 0o700),
            (0o777, File, "a=r", 0o444),
            (0o644, File, "u=rwx,go=", 0o700),
            (0o644, File, "a+X", 0o644),
            (0o744, File, "a+X", 0o755),
            (0o644, Directory, "a+X", 0o755),
            (0o755, File, "u+s,g+s", 0o6755),
            (0o755, Directory, "+t", 0o1755),
            (0o6755, File, "ug-s", 0o755),
            (0o666, File, "ug+x,o-w", 0o774),
        ] {
            assert_eq!(changed(before, kind, text), after, "{before:o} {text}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["", "888", "77777", "x", "u+q", "u", "rw", "z+x", "u+x,"] {
            assert!(text.parse::<ModeChange>().is_err(), "{text}");
        }
    }
}
