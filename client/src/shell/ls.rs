//! `ls`, and the code that it shares with `lls`.

use super::error::unexpected_reply;
use super::event::{OutputEvent, Side};
use super::failures::Failures;
use super::invocation::Invocation;
use super::listing::{self, ListingOptions, Order, View};
use super::{Shell, ShellError, ShellOutput};
use crate::conversation::ConversationError;
use sshome_wire::{Entries, Entry, FileKind, Payload, Request};

impl Shell {
    pub(super) async fn ls(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let paths = match invocation.operands.as_slice() {
            [] => vec![(b".".to_vec(), None)],
            words => self.remote_entries(words).await?,
        };
        let mut page = Page::new(&self.out, Side::Remote, invocation, paths.len() > 1);
        let mut failures = Failures::new(&self.out);
        if invocation.has('d') {
            let files = self.own_entries(paths, &mut failures).await?;
            page.files(files)?;
            return failures.verdict();
        }
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for (path, seen) in paths {
            match seen {
                Some(entry) if !matches!(entry.kind, FileKind::Directory | FileKind::Symlink) => {
                    files.push(Entry { name: path, ..entry });
                }
                _ if page.recursive => directories.push((path, Vec::new())),
                _ => match self.read(&path).await {
                    Ok((entry, entries)) if entry.kind == FileKind::Directory => {
                        directories.push((path, entries))
                    }
                    Ok((entry, _)) => files.push(Entry { name: path, ..entry }),
                    Err(error) => failures.pass(Err(error))?,
                },
            }
        }
        page.files(files)?;
        for (path, entries) in directories {
            let result = if page.recursive {
                self.descend(&path, &mut page).await
            } else {
                page.directory(&path, entries)
            };
            failures.pass(result)?;
        }
        failures.verdict()
    }

    /// The entries of paths themselves: directories and links are not followed.
    async fn own_entries(
        &mut self,
        paths: Vec<(Vec<u8>, Option<Entry>)>,
        failures: &mut Failures,
    ) -> Result<Vec<Entry>, ShellError> {
        let mut entries = Vec::with_capacity(paths.len());
        for (name, seen) in paths {
            let found = match seen {
                Some(entry) => Ok(entry),
                None => self.entry_of(&name, false).await,
            };
            match found {
                Ok(entry) => entries.push(Entry { name, ..entry }),
                Err(error) => failures.pass(Err(error))?,
            }
        }
        Ok(entries)
    }

    /// The attributes of a path.
    pub(super) async fn entry_of(&mut self, path: &[u8], follow: bool) -> Result<Entry, ShellError> {
        match self.request(Request::Stat { path: path.to_vec(), follow }).await?.payload {
            Payload::Stat(entry) => Ok(entry),
            _ => Err(unexpected_reply("stat")),
        }
    }

    /// The entry of a path, and its entries if it is a directory.
    async fn read(&mut self, path: &[u8]) -> Result<(Entry, Vec<Entry>), ShellError> {
        let mut entries = Vec::new();
        let mut each = |more: Entries| entries.extend(more.entries);
        let entry = self.conversation.list(path, false, &self.cancel, &mut each).await?;
        Ok((entry, entries))
    }

    /// Shows a directory recursively, as the server sends it. Only one directory at a time is in memory.
    async fn descend(&mut self, path: &[u8], page: &mut Page) -> Result<(), ShellError> {
        let cancel = self.cancel.clone();
        let mut current: Option<Entries> = None;
        let mut written = Ok(());
        let mut each = |more: Entries| match &mut current {
            Some(entries) if entries.directory == more.directory => entries.entries.extend(more.entries),
            _ => {
                if let Some(whole) = current.replace(more)
                    && written.is_ok()
                {
                    written = page.below_path(path, whole);
                    if written.is_err() {
                        // Nobody reads the output any more, so the server can stop.
                        cancel.cancel();
                    }
                }
            }
        };
        let listed = self.conversation.list(path, true, &self.cancel, &mut each).await;
        written?;
        match (current, &listed) {
            (Some(own), Ok(entry)) if entry.kind != FileKind::Directory => {
                page.files(named(own.entries, path))?
            }
            // If an error ends the listing of a directory, the entries so far are shown.
            (Some(last), Ok(_) | Err(ConversationError::Refused(_))) => page.below_path(path, last)?,
            _ => {}
        }
        listed.map(drop).map_err(ShellError::from)
    }
}

/// The path of a name in a directory; only the name if that is the working directory.
pub(super) fn beneath(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    match directory {
        b"." => name.to_vec(),
        directory => [directory, slash, name].concat(),
    }
}

/// The single entry of a path that is not a directory, under the typed name.
fn named(entries: Vec<Entry>, path: &[u8]) -> Vec<Entry> {
    entries.into_iter().take(1).map(|entry| Entry { name: path.to_vec(), ..entry }).collect()
}

/// Writes listings to standard output, one below the other.
pub(super) struct Page {
    out: ShellOutput,
    side: Side,
    options: ListingOptions,
    view: View,
    pub(super) recursive: bool,
    /// Whether each directory has its name as a header.
    headers: bool,
    begun: bool,
}

impl Page {
    pub(super) fn new(out: &ShellOutput, side: Side, invocation: &Invocation, several: bool) -> Page {
        // The last sort option counts.
        let order = invocation.flags().iter().rev().find_map(|flag| match flag {
            't' => Some(Order::Time),
            'S' => Some(Order::Size),
            'f' => Some(Order::None),
            _ => None,
        });
        let options = ListingOptions {
            long: invocation.has('l'),
            all: invocation.has('a'),
            human: invocation.has('h'),
            order: order.unwrap_or_default(),
            reverse: invocation.has('r'),
            single: invocation.has('1'),
            classify: invocation.has('F'),
        };
        let recursive = invocation.has('R');
        let (out, view, headers) = (out.clone(), View::current(out.is_terminal()), several || recursive);
        Page { out, side, options, view, recursive, headers, begun: false }
    }

    /// Shows entries that are not directories; nothing if there are none.
    pub(super) fn files(&mut self, mut entries: Vec<Entry>) -> Result<(), ShellError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.begun = true;
        listing::sort(&mut entries, &self.options);
        let events = entries.iter().map(|entry| OutputEvent::entry(self.side, &entry.name, entry));
        self.out.show_all(events, || listing::entries(&entries, &self.options, &self.view))
    }

    /// Shows the entries of a directory.
    pub(super) fn directory(&mut self, name: &[u8], mut entries: Vec<Entry>) -> Result<(), ShellError> {
        listing::hide(&mut entries, &self.options);
        listing::sort(&mut entries, &self.options);
        if self.out.is_for_programs() {
            return entries.iter().try_for_each(|entry| {
                let path = beneath(name, &entry.name);
                self.out.event(&OutputEvent::entry(self.side, &path, entry))
            });
        }
        let mut text = String::new();
        if self.headers {
            let gap = if self.begun { "\n" } else { "" };
            text = format!("{gap}{}:\n", self.view.shown(name));
        }
        self.begun = true;
        text.push_str(&listing::entries(&entries, &self.options, &self.view));
        self.out.note(&text)
    }

    /// The directories of a listing that a recursive listing enters.
    pub(super) fn below<'e>(&self, entries: &'e [Entry]) -> impl Iterator<Item = &'e [u8]> + use<'e> {
        let (recursive, all) = (self.recursive, self.options.all);
        let directories = entries.iter().filter(|entry| entry.kind == FileKind::Directory);
        let names = directories.map(|entry| entry.name.as_slice());
        names.filter(move |name| recursive && (all || !name.starts_with(b".")))
    }

    /// Shows a directory below a path, unless it is hidden.
    fn below_path(&mut self, path: &[u8], found: Entries) -> Result<(), ShellError> {
        let directory = found.directory;
        if directory.is_empty() {
            return self.directory(path, found.entries);
        }
        if !self.options.all && directory.split(|byte| *byte == b'/').any(|name| name.starts_with(b".")) {
            return Ok(());
        }
        self.directory(&beneath(path, &directory), found.entries)
    }
}
