//! `scp -f`: the sending side.

use super::protocol::{ScpReader, ScpRecord, ScpReply, failure};
use crate::protocol::exec::arguments::path;
use crate::protocol::exec::error::{EXIT_FAILURE, Error, Result};
use crate::protocol::exec::stream::next_chunk;
use crate::protocol::exec::task::{CommandIo, CommandTask, TaskState};
use crate::service::{self, Download, Listing, StepLimit, User};
use sshome_store::quota::FileId;
use sshome_store::{DirectoryEntry, FileInfo};
use sshome_wire::RemotePath;
use std::collections::VecDeque;

/// The number of directory entries that are read at a time.
const BATCH_ENTRIES: usize = 256;

/// The largest nesting of directories. Each is held open.
const MAX_DEPTH: usize = 200;

/// The largest number of steps in one slice.
const MAX_STEPS_PER_SLICE: usize = 64;

/// The size of a chunk of zeros that replaces unreadable data, in bytes.
const PADDING_BYTES: usize = 256 << 10;

/// Sends files and directories. Links are followed within the home.
pub(super) struct ScpSource {
    operands: VecDeque<Vec<u8>>,
    recursive: bool,
    preserve: bool,
    /// Directories that have been entered.
    levels: Vec<ScpLevel>,
    state: SourceState,
    reader: ScpReader,
    status: u8,
}

struct ScpLevel {
    path: RemotePath,
    id: FileId,
    listing: Listing,
    names: VecDeque<Vec<u8>>,
}

enum SourceState {
    /// Waiting for the first reply of the sink.
    Greeting,
    /// Nothing is in progress.
    Next,
    /// Its mtime was sent. It is offered once that is accepted.
    Timed(ScpItem),
    /// It was offered.
    Offered(ScpItem),
    Sending(Box<Download>),
    /// The rest cannot be read. This many bytes of padding follow, then the error.
    Owing(u64, Error),
    /// Everything was sent and not accepted yet.
    Sent,
}

enum ScpItem {
    File(ScpRecord, Box<Download>),
    Directory(ScpRecord, Box<ScpLevel>),
}

impl ScpSource {
    pub(super) fn new(operands: Vec<Vec<u8>>, recursive: bool, preserve: bool) -> ScpSource {
        ScpSource {
            operands: operands.into(),
            recursive,
            preserve,
            levels: Vec::new(),
            state: SourceState::Greeting,
            reader: ScpReader::default(),
            status: 0,
        }
    }

    /// Does one step.
    fn step(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        match std::mem::replace(&mut self.state, SourceState::Next) {
            SourceState::Next => return Ok(self.next(user, io)),
            SourceState::Sending(file) => self.send(io, file),
            SourceState::Owing(left, error) => self.pad(io, left, error),
            waiting => match self.reader.answer(&mut io.input)? {
                None => {
                    self.state = waiting;
                    return Ok(TaskState::Waiting);
                }
                Some(ScpReply::Accepted) => self.accepted(io, waiting),
                // The client has reported it to its user. The offered file is not sent.
                Some(ScpReply::Refused) => self.status = EXIT_FAILURE,
                Some(ScpReply::GivenUp | ScpReply::End) => return Ok(TaskState::Done(EXIT_FAILURE)),
            },
        }
        Ok(TaskState::Busy)
    }

    /// Offers the next file or directory.
    fn next(&mut self, user: &User, io: &mut CommandIo) -> TaskState {
        let item = match self.levels.last_mut() {
            Some(level) => match level.next(user) {
                Ok(Some(name)) => level.path.join(&name).map_err(Error::from).map(|path| (path, name)),
                ended => {
                    self.levels.pop();
                    if let Err(error) = ended {
                        self.failed(io, &error);
                    }
                    self.say(io, &ScpRecord::Leave);
                    self.state = SourceState::Sent;
                    return TaskState::Busy;
                }
            },
            None => match self.operands.pop_front() {
                Some(operand) => named(&operand),
                None => return TaskState::Done(self.status),
            },
        };
        match item.and_then(|(path, name)| self.item(user, path, name)) {
            Ok((info, item)) if self.preserve => {
                self.say(io, &ScpRecord::Times(info.modified));
                self.state = SourceState::Timed(item);
            }
            Ok((_, item)) => self.offer(io, item),
            Err(error) => self.failed(io, &error),
        }
        TaskState::Busy
    }

    /// The item for a path.
    fn item(&self, user: &User, path: RemotePath, name: Vec<u8>) -> Result<(FileInfo, ScpItem)> {
        let DirectoryEntry { info, .. } = service::stat(user, &path, true)?;
        if name.contains(&b'\n') {
            return Err(Error::Protocol(format!("{path}: scp cannot transfer this name; use sftp")));
        }
        let mode = info.mode;
        if !info.is_directory() {
            let file = Box::new(Download::begin(user, &path)?);
            let record = ScpRecord::File { mode, size: file.size(), name };
            return Ok((info, ScpItem::File(record, file)));
        }
        if !self.recursive {
            return Err(Error::Protocol(format!("{path} is a directory; scp -r copies it")));
        }
        let id = info.id;
        if self.levels.iter().any(|level| level.id == id) {
            return Err(Error::Protocol(format!("{path} links to a directory that contains it; skipped")));
        }
        if self.levels.len() >= MAX_DEPTH {
            return Err(Error::Protocol(format!("{path}: directories are nested too deeply; skipped")));
        }
        let listing = Listing::begin(user, &path, false)?;
        let level = ScpLevel { path, id, listing, names: VecDeque::new() };
        Ok((info, ScpItem::Directory(ScpRecord::Directory { mode, name }, Box::new(level))))
    }

    fn accepted(&mut self, io: &mut CommandIo, state: SourceState) {
        match state {
            SourceState::Timed(item) => self.offer(io, item),
            SourceState::Offered(ScpItem::File(_, file)) => self.state = SourceState::Sending(file),
            SourceState::Offered(ScpItem::Directory(_, level)) => self.levels.push(*level),
            _ => {}
        }
    }

    fn offer(&mut self, io: &mut CommandIo, item: ScpItem) {
        let (ScpItem::File(record, _) | ScpItem::Directory(record, _)) = &item;
        self.say(io, record);
        self.state = SourceState::Offered(item);
    }

    fn send(&mut self, io: &mut CommandIo, mut file: Box<Download>) {
        match next_chunk(&mut file) {
            Ok(Some(data)) => {
                io.data(data);
                self.state = SourceState::Sending(file);
            }
            Ok(None) => {
                match file.finish() {
                    Ok(_) => io.bytes(b"\0"),
                    Err(error) => self.failed(io, &error.into()),
                }
                self.state = SourceState::Sent;
            }
            Err(error) => self.state = SourceState::Owing(file.size() - file.position(), error),
        }
    }

    /// Sends padding: the sink expects as many bytes as were announced.
    fn pad(&mut self, io: &mut CommandIo, left: u64, error: Error) {
        if left == 0 {
            self.failed(io, &error);
            self.state = SourceState::Sent;
            return;
        }
        let length = usize::try_from(left).unwrap_or(PADDING_BYTES).min(PADDING_BYTES);
        io.data(vec![0; length]);
        self.state = SourceState::Owing(left - length as u64, error);
    }

    fn say(&self, io: &mut CommandIo, record: &ScpRecord) {
        // Names without a line were refused when the item was made.
        io.bytes(&record.encode().unwrap_or_default());
    }

    fn failed(&mut self, io: &mut CommandIo, error: &Error) {
        self.status = EXIT_FAILURE;
        io.bytes(&failure(error));
    }
}

impl CommandTask for ScpSource {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        let limit = StepLimit::entries(MAX_STEPS_PER_SLICE);
        let mut steps = 0;
        while !limit.is_reached(steps) {
            let state = self.step(user, io)?;
            steps += 1;
            if state != TaskState::Busy || io.is_full() {
                return Ok(state);
            }
        }
        Ok(TaskState::Busy)
    }
}

impl ScpLevel {
    /// The next name in the directory. `None` at the end.
    fn next(&mut self, user: &User) -> Result<Option<Vec<u8>>> {
        while self.names.is_empty() {
            let Some((_, entries)) = self.listing.next_batch(user, StepLimit::entries(BATCH_ENTRIES))? else {
                return Ok(None);
            };
            self.names.extend(entries.into_iter().map(|entry| entry.name));
        }
        Ok(self.names.pop_front())
    }
}

/// The path of an operand, and its name as the user wrote it, because clients compare names.
fn named(operand: &[u8]) -> Result<(RemotePath, Vec<u8>)> {
    let path = path(operand)?;
    let mut names = operand.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    let name = names.next_back().unwrap_or(b".").to_vec();
    Ok((path, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_sent_is_the_last_component_of_the_operand() {
        for (operand, path, name) in [
            ("a/b", "/a/b", "b"),
            ("a/b//", "/a/b/", "b"),
            ("/", "/", "."),
            (".", "/.", "."),
            ("a/..", "/a/..", ".."),
            ("../x", "/../x", "x"),
        ] {
            let found = named(operand.as_bytes()).unwrap();
            assert_eq!((found.0.as_bytes(), &found.1[..]), (path.as_bytes(), name.as_bytes()));
        }
    }
}
