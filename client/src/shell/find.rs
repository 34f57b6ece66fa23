//! `find`: the paths below a directory that pass all conditions.

use super::event::{OutputEvent, Side};
use super::failures::Failures;
use super::flag::{MAX_DEPTH_LETTER, NAME_LETTER, NUL_LETTER, TYPE_LETTER};
use super::invocation::Invocation;
use super::ls::beneath;
use super::words::Word;
use super::{Shell, ShellError, ShellOutput};
use sshome_ssh::Glob;
use sshome_wire::display::Escaped;
use sshome_wire::{Entries, Entry, FileKind};

/// What `find` looks for.
struct Conditions {
    name: Option<Glob>,
    kind: Option<FileKind>,
    max_depth: Option<usize>,
    /// Whether paths end with a NUL, and are not escaped.
    nul: bool,
}

/// Reads the value of `--type`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn file_kind(text: &str) -> Result<FileKind, String> {
    match text {
        "f" => Ok(FileKind::File),
        "d" => Ok(FileKind::Directory),
        "l" => Ok(FileKind::Symlink),
        _ => Err("use f for files, d for directories or l for links".to_owned()),
    }
}

impl Conditions {
    fn of(invocation: &Invocation) -> Conditions {
        // Invalid values were refused when the line was parsed.
        Conditions {
            name: invocation
                .value(NAME_LETTER)
                .map(|pattern| Glob::shell(Word::plain(pattern.as_bytes()).unescaped().letters())),
            kind: invocation.value(TYPE_LETTER).and_then(|kind| file_kind(kind).ok()),
            max_depth: max_depth(invocation),
            nul: invocation.has(NUL_LETTER),
        }
    }

    fn admit(&self, entry: &Entry, name: &[u8], depth: usize) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind)
            && self.max_depth.is_none_or(|max| depth <= max)
            && self.name.as_ref().is_none_or(|pattern| pattern.matches(name))
    }

    fn show(&self, out: &ShellOutput, path: &[u8], entry: &Entry) -> Result<(), ShellError> {
        match self.nul {
            true => out.print(&[path, b"\0"].concat()),
            false => {
                out.show(&OutputEvent::entry(Side::Remote, path, entry), || format!("{}\n", Escaped(path)))
            }
        }
    }
}

/// The value of `--max-depth`.
pub(super) fn max_depth(invocation: &Invocation) -> Option<usize> {
    invocation.value(MAX_DEPTH_LETTER).and_then(|depth| depth.parse().ok())
}

/// The number of names in a path.
pub(super) fn depth(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count()
}

impl Shell {
    pub(super) async fn find(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let conditions = Conditions::of(invocation);
        if conditions.nul && (self.out.is_terminal() || self.out.is_for_programs()) {
            let why = "find -0 is for another program: use it with | or > FILE";
            return Err(ShellError::Failed(why.to_owned()));
        }
        let mut failures = Failures::new(&self.out);
        for path in self.tree_paths(invocation).await? {
            failures.pass(self.find_below(&path, &conditions).await)?;
        }
        failures.verdict()
    }

    /// The directories that `find`, `du` and `tree` look at.
    pub(super) async fn tree_paths(&mut self, invocation: &Invocation) -> Result<Vec<Vec<u8>>, ShellError> {
        match invocation.operands.as_slice() {
            [] => Ok(vec![b".".to_vec()]),
            words => self.remote_paths(words).await,
        }
    }

    /// Shows paths as the server sends them. Memory does not grow with the tree.
    async fn find_below(&mut self, path: &[u8], conditions: &Conditions) -> Result<(), ShellError> {
        let itself = self.entry_of(path, false).await?;
        let name = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty()).unwrap_or(path);
        if conditions.admit(&itself, name, 0) {
            conditions.show(&self.out, path, &itself)?;
        }
        if itself.kind != FileKind::Directory || conditions.max_depth == Some(0) {
            return Ok(());
        }
        let (out, cancel) = (self.out.clone(), self.cancel.clone());
        let mut written = Ok(());
        let mut each = |found: Entries| {
            let above =
                if found.directory.is_empty() { path.to_vec() } else { joined(path, &found.directory) };
            let depth = depth(&found.directory) + 1;
            for entry in found.entries.iter().filter(|entry| conditions.admit(entry, &entry.name, depth)) {
                if written.is_ok() {
                    written = conditions.show(&out, &joined(&above, &entry.name), entry);
                }
            }
            if written.is_err() {
                // Nobody reads the output any more, so the server can stop.
                cancel.cancel();
            }
        };
        let listed = self.conversation.list(path, true, &self.cancel, &mut each).await;
        written?;
        listed.map(drop).map_err(ShellError::from)
    }
}

/// A path below another one, as find prints it, with `./` if it is relative to the working directory.
fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"." => [b"./", name].concat(),
        directory => beneath(directory, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_by_find() {
        for (directory, name, path) in [
            (".", "a", "./a"),
            ("d", "a", "d/a"),
            ("/", "a", "/a"),
            ("d/", "a", "d/a"),
            ("./d", "a", "./d/a"),
        ] {
            assert_eq!(joined(directory.as_bytes(), name.as_bytes()), path.as_bytes(), "{directory} {name}");
        }
        assert_eq!((depth(b""), depth(b"a"), depth(b"a/b")), (0, 1, 2));
    }
}
