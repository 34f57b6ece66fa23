//! Concurrent sessions with random operations on a recorded disk, each with its own names.

mod blocks;
mod delta;
mod names;

use crate::history::{Content, Entry, History, Operation, Promise};
use crate::store::{InPlaceWrite, Session, Settings, Source, Store};
use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sshome_e2e::recorder::{Event, Mark, Recorder};
use sshome_e2e::tree::noise;
use sshome_wire::StreamId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// The user of each session.
const SESSIONS: [usize; 3] = [0, 0, 1];

/// The user whose SFTP writes are in place.
const IN_PLACE: usize = 0;

/// The names of each session, below a directory with its number.
const SMALL_FILES: [&str; 8] = ["a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b", "d/e/f/a"];

/// The name of a large file, whose upload may be partial.
const LARGE: &str = "d/large";

/// The events, and the promises.
pub(crate) struct Recording {
    pub(crate) events: Vec<Event>,
    /// Each with the number of its user.
    pub(crate) sessions: Vec<(usize, History)>,
    /// The sources of partial uploads, each with the number of its user.
    pub(crate) sources: Vec<(usize, Source)>,
}

impl Recording {
    /// Runs this number of operations in each session. `None` if this machine cannot mount.
    pub(crate) fn new(test: &str, seed: u64, operations: usize) -> Option<Recording> {
        let folder = TempDir::with_prefix("sshome-power-cut-").unwrap();
        let settings = Settings::new(folder.path()).unwrap();
        let recorder = Recorder::mounted_on(test, &folder.path().join("home"))?;
        let store = settings.start().unwrap();
        let actors: Vec<_> = std::thread::scope(|scope| {
            let act = |number| {
                let (recorder, store) = (&recorder, &store);
                scope.spawn(move || {
                    let mut actor = Actor::new(recorder, store, number, seed);
                    (0..operations).for_each(|_| actor.act().unwrap());
                    (actor.history, actor.sources)
                })
            };
            let threads: Vec<_> = (0..SESSIONS.len()).map(act).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        drop(store);
        let mut recording = Recording { events: recorder.take(), sessions: Vec::new(), sources: Vec::new() };
        for (user, (history, sources)) in SESSIONS.into_iter().zip(actors) {
            recording.sessions.push((user, history));
            recording.sources.extend(sources.into_iter().map(|source| (user, source)));
        }
        Some(recording)
    }
}

struct Actor<'a> {
    recorder: &'a Recorder,
    session: Session,
    number: usize,
    random: StdRng,
    /// The current entries of the names.
    names: BTreeMap<String, Entry>,
    /// The contents of small files.
    contents: HashMap<blake3::Hash, Arc<Vec<u8>>>,
    /// Names whose last change need not survive.
    uncertain: BTreeSet<String>,
    /// Files that were written in place since they were synced.
    unsynced: BTreeSet<String>,
    /// Files that may have several names. They are not written in place, since that would change the file of another
    /// name.
    linked: BTreeSet<String>,
    /// Whether the last operation renamed a directory.
    has_moved_directory: bool,
    history: History,
    sources: Vec<Source>,
    /// The source of a partial upload that may be resumed.
    partial: Option<Source>,
}

impl<'a> Actor<'a> {
    fn new(recorder: &'a Recorder, store: &Store, number: usize, seed: u64) -> Actor<'a> {
        Actor {
            recorder,
            session: store.session(SESSIONS[number]).unwrap(),
            number,
            random: StdRng::seed_from_u64(seed * SESSIONS.len() as u64 + number as u64),
            names: BTreeMap::new(),
            contents: HashMap::new(),
            uncertain: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            linked: BTreeSet::new(),
            has_moved_directory: false,
            history: History::default(),
            sources: Vec::new(),
            partial: None,
        }
    }

    fn act(&mut self) -> Result<()> {
        // A file that is put into a renamed directory may end up below the old name until the rename is on the disk.
        if std::mem::take(&mut self.has_moved_directory) {
            return if self.random.random_bool(0.7) { self.sync() } else { self.remove_tree() };
        }
        match self.random.random_range(0..38) {
            0..5 => self.put_few(),
            5 => self.put_many(),
            6 => self.put_medium(),
            7..11 => self.put_large(),
            11..14 => self.rename(),
            14..16 => self.remove(),
            16 => self.remove_tree(),
            17..19 => self.copy(),
            19..23 => self.write(),
            23..25 => self.symlink(),
            25..27 => self.hard_link(),
            27..29 => self.rename_directory(),
            29 => self.remove_directory(),
            30..33 => self.back_up(),
            33..37 => self.put_delta(),
            _ => self.sync(),
        }
    }

    /// Executes an operation between two marks. `act` returns its changes.
    fn operate(
        &mut self,
        what: String,
        promise: Promise,
        act: impl FnOnce(&mut Self) -> Result<Vec<(String, Entry)>>,
    ) -> Result<()> {
        let mark = Mark { session: self.number, operation: self.history.operations.len(), reported: false };
        self.recorder.record(Event::Mark(mark));
        let changes = act(self)?;
        self.recorder.record(Event::Mark(Mark { reported: true, ..mark }));
        for (name, entry) in &changes {
            self.names.insert(name.clone(), entry.clone());
            self.unsynced.remove(name);
            match promise {
                Promise::Nothing => self.uncertain.insert(name.clone()),
                _ => self.uncertain.remove(name),
            };
        }
        if promise == Promise::AllSurvive {
            self.uncertain.clear();
            self.unsynced.clear();
        }
        self.history.operations.push(Operation { what, changes, promise, moved: None });
        Ok(())
    }

    fn name(&mut self) -> String {
        let name = SMALL_FILES.choose(&mut self.random).copied().unwrap_or("a");
        format!("{}{name}", self.number)
    }

    /// A name that has a file.
    fn existing(&mut self) -> Option<String> {
        let is_file = |(_, entry): &(&String, &Entry)| matches!(entry, Entry::File(_));
        let files: Vec<_> = self.names.iter().filter(is_file).map(|(name, _)| name.clone()).collect();
        files.choose(&mut self.random).cloned()
    }

    fn source(&mut self, path: String, length: usize) -> Source {
        let number = self.sources.len() + 1;
        self.source_of(path, noise(length, format!("{} {number}", self.number)))
    }

    fn source_of(&mut self, path: String, content: Vec<u8>) -> Source {
        let (number, content) = (self.sources.len() + 1, Arc::new(content));
        let is_small = content.len() < MIB;
        let mode = if is_small { 0o640 } else { 0o440 };
        if is_small {
            self.contents.insert(blake3::hash(&content), Arc::clone(&content));
        }
        let source = Source { path, content, mtime: 1_000_000 + number as i64, mode, stream: None };
        self.sources.push(source.clone());
        source
    }

    /// Creates the directory of a name if it does not exist.
    fn make_directory_of(&mut self, name: &str) -> Result<()> {
        let Some((directory, _)) = name.rsplit_once('/') else { return Ok(()) };
        if self.names.get(directory) == Some(&Entry::Directory) {
            return Ok(());
        }
        let mut made = vec![(directory.to_owned(), Entry::Directory)];
        let mut above = directory;
        while let Some((parent, _)) = above.rsplit_once('/') {
            made.push((parent.to_owned(), Entry::Directory));
            above = parent;
        }
        made.retain(|(name, entry)| self.names.get(name) != Some(entry));
        self.operate(format!("mkdir -p {directory}"), Promise::Survives, |actor| {
            actor.session.make_directory(directory)?;
            Ok(made)
        })
    }

    fn put(&mut self, sources: &[Source]) -> Result<()> {
        let what = sources.iter().map(|source| format!("{} ({})", source.path, source.content.len()));
        let what = format!("put {}", what.collect::<Vec<_>>().join(", "));
        self.operate(what, Promise::Survives, |actor| {
            let done = actor.session.put(sources)?;
            Ok(sources.iter().zip(done).filter(|(_, done)| *done).map(|(source, _)| stored(source)).collect())
        })
    }

    fn put_small(&mut self, count: usize) -> Result<()> {
        let mut sources = Vec::new();
        for _ in 0..count {
            let (name, length) = (self.name(), self.random.random_range(0..20_000));
            if !sources.iter().any(|source: &Source| source.path == name) {
                self.make_directory_of(&name)?;
                sources.push(self.source(name, length));
            }
        }
        self.put(&sources)
    }

    fn put_few(&mut self) -> Result<()> {
        let count = self.random.random_range(1..4);
        self.put_small(count)
    }

    /// Enough files for one `syncfs`.
    fn put_many(&mut self) -> Result<()> {
        self.put_small(16)
    }

    fn put_medium(&mut self) -> Result<()> {
        let (name, length) = (self.name(), self.random.random_range(MIB..MIB + 300_000));
        self.make_directory_of(&name)?;
        let source = self.source(name, length);
        self.put(&[source])
    }

    /// A large file or stream: put, put in part or in blocks, or resumed.
    fn put_large(&mut self) -> Result<()> {
        let name = format!("{}{LARGE}", self.number);
        self.make_directory_of(&name)?;
        if let Some(source) = self.partial.take() {
            if source.stream.is_none() && self.random.random_bool(0.5) {
                return self.resume_blocks(&source);
            }
            return self.operate(format!("resume {name}"), Promise::Survives, |actor| {
                let part = actor.session.find_part(&source)?;
                let done = actor.session.resume(&source, part)?;
                Ok(done.then(|| stored(&source)).into_iter().collect())
            });
        }
        let length = self.random.random_range(4 * MIB + 1..9 * MIB);
        let mut source = self.source(name, length);
        if self.random.random_bool(0.4) {
            source.stream = Some(StreamId(self.random.random()));
            self.sources.pop();
            self.sources.push(source.clone());
        }
        if source.stream.is_none() && self.random.random_bool(0.5) {
            return self.put_blocks(source);
        }
        if self.random.random_bool(0.3) {
            return self.put(&[source]);
        }
        let length = self.random.random_range(0..=source.content.len());
        let what = format!("put {length} of {} bytes of {}", source.content.len(), source.path);
        self.operate(what, Promise::Nothing, |actor| {
            if actor.session.put_part(&source, length)? {
                actor.partial = Some(source);
            }
            Ok(Vec::new())
        })
    }

    fn copy(&mut self) -> Result<()> {
        let (Some(from), to) = (self.existing(), self.name()) else { return Ok(()) };
        let Some(Entry::File(content)) = self.names.get(&from).cloned() else { return Ok(()) };
        if from == to {
            return Ok(());
        }
        self.make_directory_of(&to)?;
        let copy = Entry::File(Content { attributes: None, has_digest: true, ..content });
        self.operate(format!("cp {from} {to}"), Promise::Survives, |actor| {
            let done = actor.session.copy(&from, &to)?;
            Ok(done.then_some((to, copy)).into_iter().collect())
        })
    }

    /// Over SFTP.
    fn write(&mut self) -> Result<()> {
        if SESSIONS[self.number] == IN_PLACE { self.write_in_place() } else { self.upload() }
    }

    fn upload(&mut self) -> Result<()> {
        let (name, length) = (self.name(), self.random.random_range(0..2 * MIB));
        self.make_directory_of(&name)?;
        let content = noise(length, format!("{} sftp {}", self.number, self.history.operations.len()));
        let entry = entry_of(&content, true);
        self.operate(format!("sftp put {name} ({length})"), Promise::Survives, |actor| {
            let done = actor.session.upload(&name, &content)?;
            Ok(done.then_some((name, entry)).into_iter().collect())
        })
    }

    /// Writes to an existing small file whose name is on the disk.
    fn write_in_place(&mut self) -> Result<()> {
        let Some(name) = self.existing().filter(|name| !self.linked.contains(name)) else { return Ok(()) };
        let Some(Entry::File(Content { digest, .. })) = self.names.get(&name) else { return Ok(()) };
        let Some(mut content) = self.contents.get(digest).map(|content| content.to_vec()) else {
            return Ok(());
        };
        if self.uncertain.contains(&name) && !self.unsynced.contains(&name) {
            self.sync()?;
        }
        let length = self.random.random_bool(0.3).then(|| self.random.random_range(0..50_000));
        content.resize(length.unwrap_or(content.len()), 0);
        let offset = self.random.random_range(0..=content.len());
        let data_length = self.random.random_range(1..30_000);
        let data = noise(data_length, format!("{} write {}", self.number, self.history.operations.len()));
        content.resize(content.len().max(offset + data.len()), 0);
        content[offset..offset + data.len()].copy_from_slice(&data);
        let write = InPlaceWrite { length, offset, data, sync: self.random.random_bool(0.5) };
        let promise = if write.sync { Promise::Survives } else { Promise::Nothing };
        let mut changes =
            vec![(name.clone(), Entry::BeingWritten), (name.clone(), entry_of(&content, false))];
        self.contents.insert(blake3::hash(&content), Arc::new(content));
        let is_synced = write.sync;
        self.operate(format!("sftp write {name}"), promise, |actor| {
            if !actor.session.write_in_place(&name, &write)? {
                // Its length may have changed.
                changes.truncate(1);
            }
            Ok(changes)
        })?;
        if !is_synced {
            self.unsynced.insert(name);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.operate("sync".to_owned(), Promise::AllSurvive, |actor| {
            actor.session.sync()?;
            Ok(Vec::new())
        })
    }
}

fn entry_of(content: &[u8], has_digest: bool) -> Entry {
    Entry::File(Content { digest: blake3::hash(content), attributes: None, has_digest })
}

fn stored(source: &Source) -> (String, Entry) {
    let attributes = Some((source.mode, source.mtime));
    let content = Content { digest: blake3::hash(&source.content), attributes, has_digest: true };
    (source.path.clone(), Entry::File(content))
}
