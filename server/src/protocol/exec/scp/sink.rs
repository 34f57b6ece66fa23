//! `scp -t`: the side that receives.

use super::protocol::{ScpLine, ScpReader, ScpRecord, ScpReply, failure, protocol};
use crate::metrics::TransferDirection;
use crate::protocol::exec::error::{EXIT_FAILURE, Error, Result};
use crate::protocol::exec::stream::publish;
use crate::protocol::exec::task::{CommandIo, CommandTask, InputRead, TaskState};
use crate::service::{self, PutUpload, SetAttributes, User};
use sshome_store::MakeDirectory;
use sshome_wire::{Put, RemotePath, Time};

/// The input after which a slice ends, in bytes.
const SLICE_INPUT_BYTES: usize = 4 << 20;

/// The largest nesting of directories.
const MAX_DEPTH: usize = 1000;

/// Receives files and directories. Each file is staged and published atomically.
pub(super) struct ScpSink {
    target: RemotePath,
    /// Whether the target must be a directory.
    must_be_directory: bool,
    /// Whether it is one, and the files go into it.
    is_directory: bool,
    recursive: bool,
    preserve: bool,
    /// The directories that were entered, with the attributes that they get when they are left.
    levels: Vec<(RemotePath, SetAttributes)>,
    /// The mtime of the next file.
    times: Option<Time>,
    file: Option<ReceivedFile>,
    reader: ScpReader,
    greeted: bool,
    status: u8,
}

/// A file that is being received.
struct ReceivedFile {
    /// The error if it failed. Its remaining data is dropped then.
    upload: std::result::Result<PutUpload, Error>,
    left: u64,
}

impl ScpSink {
    pub(super) fn new(
        target: RemotePath,
        must_be_directory: bool,
        recursive: bool,
        preserve: bool,
    ) -> ScpSink {
        ScpSink {
            target,
            must_be_directory,
            is_directory: false,
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

    /// Handles one record. Returns whether to continue.
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
                service::set_attributes(user, &path, true, &kept).map_err(Error::from)
            }
            ScpRecord::Times(time) => {
                self.times = Some(time);
                Ok(())
            }
            ScpRecord::Failed => {
                // The client has reported it to its user, and expects no reply.
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
        let (announced, mode) = (Some(size), mode & 0o777);
        let upload = if self.preserve {
            let put =
                Put { path: Vec::new(), size: announced, mtime, source: None, mode: Some(mode), resume: 0 };
            PutUpload::begin(user, &put, &path, None, None)?
        } else {
            PutUpload::begin_new(user, &path, announced, mode, TransferDirection::Upload)?
        };
        self.file = Some(ReceivedFile { upload: Ok(upload), left: size });
        Ok(())
    }

    /// Enters a directory, which is made if it is missing. An existing one keeps its mode.
    fn enter(&mut self, user: &User, mode: u32, name: &[u8]) -> Result<()> {
        let times = self.times.take().map(|time| (time, time));
        let path = self.place_of(name)?;
        if self.levels.len() >= MAX_DEPTH {
            return Err(Error::Protocol(format!("{path}: directories are nested too deeply")));
        }
        let kept = match self.preserve {
            true => SetAttributes { mode: Some(mode & 0o777), times, ..SetAttributes::default() },
            false => SetAttributes::default(),
        };
        let how = MakeDirectory { mode: Some(mode & 0o777), ..MakeDirectory::default() };
        let made = service::make_directory(user, &path, how)?;
        if !made.names.is_empty() {
            service::publish(user, Vec::new(), made.names).1?;
        }
        self.levels.push((path, kept));
        Ok(())
    }

    /// The path of an entry of the current directory.
    fn place_of(&self, name: &[u8]) -> Result<RemotePath> {
        match self.levels.last() {
            Some((directory, _)) => Ok(directory.join(name)?),
            None if self.is_directory => Ok(self.target.join(name)?),
            None => Ok(self.target.clone()),
        }
    }

    /// Writes data of the file. Returns the number of bytes, or `None` if nothing has arrived.
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

    /// Ends a file. After the data, a source reports whether it could read all of it. Clients built on libssh2, like
    /// curl, send EOF instead; all announced data has arrived then.
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
        if !std::mem::replace(&mut self.greeted, true) {
            if self.must_be_directory {
                service::enter_directory(user, &self.target)?;
            }
            io.bytes(b"\0");
        }
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
                    // A record may cost as much as much data, so it counts against the slice.
                    taken += SLICE_INPUT_BYTES / 64;
                }
            }
        }
        Ok(TaskState::Busy)
    }
}

impl CommandTask for ScpSink {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        if !self.greeted {
            self.is_directory = service::is_target_directory(user, &self.target)?;
        }
        // The client shows errors in scp's protocol. On standard error it would show them twice.
        Ok(self.work(user, io).unwrap_or_else(|error| {
            io.bytes(&failure(&error));
            TaskState::Done(EXIT_FAILURE)
        }))
    }
}
