//! `du` and `tree`.

use super::event::{OutputEvent, Side};
use super::failures::Failures;
use super::find::{depth, max_depth};
use super::invocation::Invocation;
use super::listing::{ListingOptions, View, name_cell};
use super::ls::beneath;
use super::{Shell, ShellError};
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{Entries, Entry, FileKind};
use std::collections::BTreeMap;

/// The lines of a tree in front of a name: the last one in its directory, and the others; and below them.
const LAST_BRANCH: (&str, &str) = ("└── ", "    ");
const INNER_BRANCH: (&str, &str) = ("├── ", "│   ");

/// The directories of a tree, by their paths below its top.
type Directories = BTreeMap<Vec<u8>, Vec<Entry>>;

impl Shell {
    pub(super) async fn du(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let max = if invocation.has('s') { Some(0) } else { max_depth(invocation) };
        let (human, all) = (invocation.has('h'), invocation.has('a'));
        let mut failures = Failures::new(&self.out);
        for path in self.tree_paths(invocation).await? {
            let sizes = match self.sizes(&path, all).await {
                Ok(found) => found,
                Err(error) => {
                    failures.pass(Err(error))?;
                    continue;
                }
            };
            for (below, size) in totals(sizes) {
                if max.is_some_and(|max| depth(&below) > max) {
                    continue;
                }
                let name = if below.is_empty() { path.clone() } else { beneath(&path, &below) };
                let event = OutputEvent::size(&name, size);
                let size = if human { Size(size).to_string() } else { size.to_string() };
                self.out.show(&event, || format!("{size}\t{}\n", Escaped(&name)))?;
            }
        }
        failures.verdict()
    }

    /// The bytes of the files directly in each directory, and with `all` of each file.
    async fn sizes(&mut self, path: &[u8], all: bool) -> Result<BTreeMap<Vec<u8>, u64>, ShellError> {
        let mut sizes = BTreeMap::new();
        let mut each = |found: Entries| {
            let own = sizes.entry(found.directory.clone()).or_insert(0);
            let files = found.entries.iter().filter(|entry| entry.kind != FileKind::Directory);
            if !all {
                *own += files.map(|entry| entry.size).sum::<u64>();
                return;
            }
            for entry in files {
                let below = if found.directory.is_empty() {
                    entry.name.clone()
                } else {
                    beneath(&found.directory, &entry.name)
                };
                sizes.insert(below, entry.size);
            }
        };
        let itself = self.conversation.list(path, true, &self.cancel, &mut each).await?;
        if itself.kind != FileKind::Directory {
            sizes = BTreeMap::from([(Vec::new(), itself.size)]);
        }
        Ok(sizes)
    }

    pub(super) async fn tree(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let drawing = TreeDrawing {
            all: invocation.has('a'),
            only_directories: invocation.has('d'),
            max_depth: invocation.value('L').and_then(|depth| depth.parse().ok()),
            options: ListingOptions { classify: invocation.has('F'), ..ListingOptions::default() },
            view: View::current(self.out.is_terminal()),
        };
        let mut failures = Failures::new(&self.out);
        for path in self.tree_paths(invocation).await? {
            failures.pass(self.tree_below(&path, &drawing).await)?;
        }
        failures.verdict()
    }

    async fn tree_below(&mut self, path: &[u8], drawing: &TreeDrawing) -> Result<(), ShellError> {
        let mut directories = Directories::new();
        let mut each = |found: Entries| directories.entry(found.directory).or_default().extend(found.entries);
        let itself = self.conversation.list(path, true, &self.cancel, &mut each).await?;
        if itself.kind != FileKind::Directory {
            let path = Escaped(path);
            return Err(ShellError::Failed(format!("{path} is not a directory: stat shows a file")));
        }
        if self.out.is_for_programs() {
            return directories.iter().try_for_each(|(directory, entries)| {
                let above = if directory.is_empty() { path.to_vec() } else { beneath(path, directory) };
                entries.iter().try_for_each(|entry| {
                    let path = beneath(&above, &entry.name);
                    self.out.event(&OutputEvent::entry(Side::Remote, &path, entry))
                })
            });
        }
        let mut text = format!("{}\n", drawing.view.shown(path));
        let mut counts = (0, 0);
        drawing.draw(&directories, b"", "", &mut text, &mut counts);
        let (directories, files) = counts;
        let noun =
            |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        text.push_str(&format!("\n{}", noun(directories, "directory", "directories")));
        if !drawing.only_directories {
            text.push_str(&format!(", {}", noun(files, "file", "files")));
        }
        self.out.note(&(text + "\n"))
    }
}

/// Adds the bytes of each directory to those above it. The result has directories after their contents, as du does.
fn totals(mut sizes: BTreeMap<Vec<u8>, u64>) -> Vec<(Vec<u8>, u64)> {
    for (path, size) in sizes.clone() {
        let mut rest = path.as_slice();
        while !rest.is_empty() {
            rest = rest
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(&[], |at| rest.get(..at).unwrap_or_default());
            *sizes.entry(rest.to_vec()).or_default() += size;
        }
    }
    let mut totals: Vec<_> = sizes.into_iter().collect();
    totals.sort_by_cached_key(|(path, _)| {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        // The end of a path comes after every name.
        let names = names.map(|name| (false, name.to_vec())).chain([(true, Vec::new())]);
        names.collect::<Vec<_>>()
    });
    totals
}

/// How `tree` draws.
struct TreeDrawing {
    all: bool,
    only_directories: bool,
    max_depth: Option<usize>,
    options: ListingOptions,
    view: View,
}

impl TreeDrawing {
    /// Draws a directory, and counts directories and files.
    fn draw(
        &self,
        directories: &Directories,
        directory: &[u8],
        indent: &str,
        text: &mut String,
        counts: &mut (u64, u64),
    ) {
        if self.max_depth.is_some_and(|max| depth(directory) >= max) {
            return;
        }
        let is_shown = |entry: &&Entry| {
            (self.all || !entry.name.starts_with(b"."))
                && (!self.only_directories || entry.kind == FileKind::Directory)
        };
        let entries = directories.get(directory).map(Vec::as_slice).unwrap_or_default();
        let mut entries: Vec<&Entry> = entries.iter().filter(is_shown).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for (index, entry) in entries.iter().enumerate() {
            let (branch, below) = if index + 1 == entries.len() { LAST_BRANCH } else { INNER_BRANCH };
            text.push_str(&format!("{indent}{branch}{}", name_cell(entry, &self.options, &self.view)));
            if entry.kind == FileKind::Symlink {
                text.push_str(&format!(" -> {}", self.view.shown(&entry.target)));
            }
            text.push('\n');
            if entry.kind == FileKind::Directory {
                counts.0 += 1;
                let path =
                    if directory.is_empty() { entry.name.clone() } else { beneath(directory, &entry.name) };
                self.draw(directories, &path, &format!("{indent}{below}"), text, counts);
            } else {
                counts.1 += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{Timestamp, tz::TimeZone};
    use sshome_wire::Time;

    fn entry(name: &str, kind: FileKind) -> Entry {
        let name = name.as_bytes().to_vec();
        Entry { name, kind, size: 0, mtime: Time::default(), mode: 0o644, links: 1, target: Vec::new() }
    }

    #[test]
    fn the_bytes_of_a_directory_include_those_below() {
        let sizes = [("", 1), ("a", 2), ("a/b", 4), ("a/b/c", 8), ("ab", 16)];
        let sizes = sizes.map(|(path, size)| (path.as_bytes().to_vec(), size)).into_iter().collect();
        let totals: Vec<_> =
            totals(sizes).into_iter().map(|(path, size)| (String::from_utf8(path).unwrap(), size)).collect();
        let want = [("a/b/c", 8), ("a/b", 12), ("a", 14), ("ab", 16), ("", 31)];
        assert_eq!(totals, want.map(|(path, size)| (path.to_owned(), size)));
    }

    #[test]
    fn a_tree_is_drawn_with_lines() {
        let mut directories = Directories::new();
        let directory = |name| entry(name, FileKind::Directory);
        let file = |name| entry(name, FileKind::File);
        directories.insert(b"".to_vec(), vec![directory("d"), file(".hidden"), file("z\x1b")]);
        directories.insert(b"d".to_vec(), vec![file("a"), directory("e")]);
        directories.insert(b"d/e".to_vec(), vec![file("deep")]);
        let view = View { width: None, zone: TimeZone::UTC, now: Timestamp::UNIX_EPOCH, colors: None };
        let drawing = TreeDrawing {
            all: false,
            only_directories: false,
            max_depth: None,
            options: ListingOptions::default(),
            view,
        };
        let (mut text, mut counts) = (String::new(), (0, 0));
        drawing.draw(&directories, b"", "", &mut text, &mut counts);
        assert_eq!(text, "├── d\n│   ├── a\n│   └── e\n│       └── deep\n└── z\\x1b\n");
        assert_eq!(counts, (2, 3));
        let (mut text, mut counts) = (String::new(), (0, 0));
        let few = TreeDrawing { all: true, only_directories: true, max_depth: Some(1), ..drawing };
        few.draw(&directories, b"", "", &mut text, &mut counts);
        assert_eq!((text.as_str(), counts), ("└── d\n", (1, 0)));
    }
}
