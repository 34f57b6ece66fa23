//! `scp -t`: the side that receives.

use super::protocol::{ScpLine, ScpReader, ScpRecord, ScpReply, failure, protocol};
use crate::operations::{self, MadeDirectory, SetAttributes, Upload, User};
use crate::subsystem::exec::error::{EXIT_FAILURE, Error, Result};
use crate::subsystem::exec::stream::publish;
use crate::subsystem::exec::task::{CommandIo, CommandTask, InputRead, TaskState};
use rustix::fs::FileType;
use sshome_wire::{Put, RemotePath, Time};

/// What a turn takes in, in bytes.
const SLICE_INPUT_BYTES: usize = 4 << 20;

/// Directories that may be in one another.
const MAX_DEPTH: usize = 1000;

/// Files and directories that are being received. Each file is staged, and published whole.
pub(super) struct ScpSink {
    target: RemotePath,
    /// Whether the target has to be a directory.
    directory: bool,
    recursive: bool,
    preserve: bool,
    /// Directories that have been entered, and what they are to be given when they are left.
    levels: Vec<(RemotePath, SetAttributes)>,
    /// Of the next file.
    times: Option<Time>,
    file: Option<ReceivedFile>,
    reader: ScpReader,
    greeted: bool,
    status: u8,
}

/// A file on its way.
struct ReceivedFile {
    /// None if it has failed: what still comes of it is dropped.
    upload: std::result::Result<Upload, Error>,
    left: u64,
}

impl ScpSink {
    pub(super) fn new(target: RemotePath, directory: bool, recursive: bool, preserve: bool) -> ScpSink {
        ScpSink {
            target,
            directory,
            recursive,
            preserve,
            levels: Vec::new(),
            times: None,
            file: None,
            reader: ScpReader::default(),
            greeted: false,
            status: 0,
        }
    }

    /// Looks at the target, and says that the client may begin.
    fn greet(&mut self, user: &User, io: &mut CommandIo) -> Result<()> {
        if !std::mem::replace(&mut self.greeted, true) {
            if self.directory {
                operations::enter_directory(user, &self.target)?;
            }
            self.directory = is_directory(user, &self.target);
            io.bytes(b"\0");
        }
        Ok(())
    }

    /// Takes one record; returns whether to go on.
    fn record(&mut self, user: &User, io: &mut CommandIo, line: &[u8]) -> Result<bool> {
        let taken = match ScpRecord::parse(line)? {
            ScpRecord::File { mode, size, name } => self.begin_file(user, mode, size, &name),
            ScpRecord::Directory { .. } if !self.recursive => {
                return Err(protocol("a directory, though it did not say -r"));
            }
            ScpRecord::Directory { mode, name } => self.enter(user, mode, &name),
            ScpRecord::Leave => {
                let left = self.levels.pop();
                let (path, kept) = left.ok_or_else(|| protocol("an end of no directory"))?;
                operations::set_attributes(user, &path, true, &kept).map_err(Error::from)
            }
            ScpRecord::Times(time) => {
                self.times = Some(time);
                Ok(())
            }
            ScpRecord::Failed => {
                // The client has told its user, and wants no answer.
                self.status = EXIT_FAILURE;
                return Ok(true);
            }
            ScpRecord::GivenUp => return Ok(false),
        };
        self.answer(io, taken);
        Ok(true)
    }

    fn begin_file(&mut self, user: &User, mode: u32, size: u64, name: &[u8]) -> Result<()> {
        let path = self.place_of(name)?;
        let mtime = self.times.take().filter(|_| self.preserve);
        let mode = Some(mode & 0o777);
        let put = Put { path: Vec::new(), size: Some(size), mtime, source: None, mode, resume: 0 };
        let upload = Upload::begin(user, &put, path, None)?;
        let upload = if self.preserve { upload } else { upload.with_mode_of_new_file() };
        self.file = Some(ReceivedFile { upload: Ok(upload), left: size });
        Ok(())
    }

    /// Goes into a directory, made if it is missing. One that is there keeps its mode.
    fn enter(&mut self, user: &User, mode: u32, name: &[u8]) -> Result<()> {
        let times = self.times.take().map(|time| (time, time));
        let path = self.place_of(name)?;
        if self.levels.len() >= MAX_DEPTH {
            return Err(Error::Protocol(format!("{path}: too many directories in one another")));
        }
        let kept = match self.preserve {
            true => SetAttributes { mode: Some(mode & 0o777), times, ..SetAttributes::default() },
            false => SetAttributes::default(),
        };
        let (made, places) = operations::make_directory(user, &path, false, Some(mode & 0o777))?;
        if made == MadeDirectory::New {
            operations::publish(user, Vec::new(), places).1?;
        }
        self.levels.push((path, kept));
        Ok(())
    }

    /// Where an entry of the current directory goes.
    fn place_of(&self, name: &[u8]) -> Result<RemotePath> {
        match self.levels.last() {
            Some((directory, _)) => Ok(directory.join(name)?),
            None if self.directory => Ok(self.target.join(name)?),
            None => Ok(self.target.clone()),
        }
    }

    /// Takes data of the file; returns how many bytes, or none if they have not arrived.
    fn data(&mut self, user: &User, io: &mut CommandIo) -> Result<Option<usize>> {
        let Some(file) = &mut self.file else { return Ok(Some(0)) };
        if file.left == 0 {
            return self.end_file(user, io);
        }
        match io.input.read(usize::try_from(file.left).unwrap_or(SLICE_INPUT_BYTES).min(SLICE_INPUT_BYTES))? {
            InputRead::Nothing => Ok(None),
            InputRead::End => Err(Error::Cut),
            InputRead::Bytes(data) => {
                file.left -= data.len() as u64;
                if let Ok(upload) = &mut file.upload
                    && let Err(error) = upload.write(&data)
                {
                    file.upload = Err(error.into());
                }
                Ok(Some(data.len()))
            }
        }
    }

    /// After the data the source says whether it could read them all. Those made with libssh2, like curl,
    /// end their input instead, and never look at what becomes of the file; what was announced has arrived.
    fn end_file(&mut self, user: &User, io: &mut CommandIo) -> Result<Option<usize>> {
        let Some(answer) = self.reader.answer(&mut io.input)? else { return Ok(None) };
        let Some(file) = self.file.take() else { return Ok(Some(0)) };
        let stored = match answer {
            ScpReply::Accepted | ScpReply::End => file.upload.and_then(|upload| publish(user, upload, None)),
            ScpReply::Refused => Err(Error::Protocol("the source failed; nothing was published".to_owned())),
            ScpReply::GivenUp => return Err(Error::Cut),
        };
        self.answer(io, stored);
        Ok(Some(0))
    }

    fn answer(&mut self, io: &mut CommandIo, result: Result<()>) {
        match result {
            Ok(()) => io.bytes(b"\0"),
            Err(error) => {
                self.status = EXIT_FAILURE;
                io.bytes(&failure(&error));
            }
        }
    }

    fn work(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        self.greet(user, io)?;
        let mut taken = 0;
        while taken < SLICE_INPUT_BYTES {
            if self.file.is_some() {
                match self.data(user, io)? {
                    Some(length) => taken += length.max(1),
                    None => return Ok(TaskState::Waiting),
                }
                continue;
            }
            match self.reader.line(&mut io.input)? {
                None => return Ok(TaskState::Waiting),
                Some(ScpLine::End) => return Ok(TaskState::Done(self.status)),
                Some(ScpLine::Whole(line)) => {
                    if !self.record(user, io, &line)? {
                        return Ok(TaskState::Done(EXIT_FAILURE));
                    }
                    // A record may cost as much as a lot of data: see to it that the turn ends.
                    taken += SLICE_INPUT_BYTES / 64;
                }
            }
        }
        Ok(TaskState::Busy)
    }
}

impl CommandTask for ScpSink {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        // The client shows what it is told in its own protocol; a second time would be one too many.
        Ok(self.work(user, io).unwrap_or_else(|error| {
            io.bytes(&failure(&error));
            TaskState::Done(EXIT_FAILURE)
        }))
    }
}

fn is_directory(user: &User, path: &RemotePath) -> bool {
    operations::stat(user, path, true)
        .is_ok_and(|found| FileType::from_raw_mode(found.stat.st_mode) == FileType::Directory)
}
