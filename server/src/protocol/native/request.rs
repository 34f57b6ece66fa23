//! The table of native requests, and their handlers, which call the service.

use super::conversation::{NativeConversation, ReceiveState};
use super::delta::{DeltaEncoder, HeldDescription};
use super::entry::entry;
use super::job::{GetJob, NativeJob};
use super::publish_group::refusal;
use super::range::RangeJob;
use crate::service::{
    self, Backup, BlockRange, BlockRun, Copy, Describing, Download, Hashing, Listing, PutUpload,
    RangeDownload, RecursiveRemoval, VerifiedUpload,
};
use sshome_delta::ChunkKey;
use sshome_store::{EntryRef, MakeDirectory};
use sshome_wire::display::Escaped;
use sshome_wire::{
    Features, FileVersion, Frame, PathError, Payload, RemotePath, Reply, Request, Status, Time,
};
use std::time::Instant;

/// The number of partial uploads in one frame. Each has a path of up to 4 KiB.
const PARTS_PER_FRAME: usize = 50;

/// The immediate outcome of a request.
pub(super) enum NativeOutcome {
    Reply(Reply),
    /// New names that must be synced to the disk before the reply.
    Made(Vec<EntryRef>),
    /// A directory to finish after the files that were put before.
    Finished(EntryRef),
    Job(Box<dyn NativeJob>),
    Upload(Box<PutUpload>),
    Blocks(Box<BlockRun>),
    /// A file that is published at once.
    Verified(VerifiedUpload),
    /// A complete file, which is published with the group.
    Staged(Box<VerifiedUpload>),
}

pub(super) type NativeResult = Result<NativeOutcome, RequestError>;

pub(super) enum RequestError {
    Operation(service::Error),
    Path(PathError),
}

impl From<service::Error> for RequestError {
    fn from(error: service::Error) -> RequestError {
        RequestError::Operation(error)
    }
}

impl From<PathError> for RequestError {
    fn from(error: PathError) -> RequestError {
        RequestError::Path(error)
    }
}

/// Whether a request may join the current publish group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grouping {
    /// It does not read files that were put before it, and its reply comes after theirs.
    Joins,
    /// It may read files that were put before it, or produce output before its reply: the group is published first.
    Ends,
}
use Grouping::{Ends, Joins};

impl NativeConversation {
    /// Handles one request. When this returns, the request is answered or has become the current job or upload.
    pub(super) fn handle(&mut self, request: Request) {
        match self.dispatch(request) {
            Ok(NativeOutcome::Reply(reply)) => self.answer(reply),
            Ok(NativeOutcome::Made(made)) => self.made(made),
            Ok(NativeOutcome::Finished(directory)) => self.finished(directory),
            Ok(NativeOutcome::Job(job)) => self.job = Some(job),
            Ok(NativeOutcome::Staged(file)) => self.group.add(*file),
            Ok(NativeOutcome::Upload(upload)) => self.receiving = ReceiveState::Upload(upload),
            Ok(NativeOutcome::Blocks(run)) => self.receiving = ReceiveState::Blocks(run),
            Ok(NativeOutcome::Verified(file)) => {
                self.group.add(file);
                self.publish();
            }
            Err(refused) => {
                let reply = match refused {
                    RequestError::Operation(error) => refusal(&error),
                    RequestError::Path(error) => Reply::new(Status::BadCommand, error.to_string()),
                };
                tracing::debug!(user = self.user.name(), %reply, "refused");
                self.answer(reply);
                if matches!(self.receiving, ReceiveState::Refused) {
                    // The reply makes the client stop sending.
                    self.publish();
                }
            }
        }
    }

    /// The request table: a row for each request with its grouping, its name, its path, and its handler, which executes
    /// the request, or begins it if it takes long. The service checks the permission.
    fn dispatch(&mut self, request: Request) -> NativeResult {
        match request {
            Request::Pwd => self.begin(Ends, "pwd", b"").working_directory(),
            Request::Cd { path } => self.begin(Ends, "cd", &path).change_directory(&path),
            Request::Ls { path, recursive } => self.begin(Ends, "ls", &path).list(&path, recursive),
            Request::Stat { path, follow } => self.begin(Ends, "stat", &path).stat(&path, follow),
            Request::Mkdir { path, parents, mode } => {
                self.begin(Joins, "mkdir", &path).make_directory(&path, parents, mode)
            }
            Request::Get { path, .. } => self.begin(Ends, "get", &path).get(&path, None),
            Request::Put(put) => self.begin(Joins, "put", &put.path).put(&put, None),
            Request::Describe { path, key } => self.begin(Ends, "describe", &path).describe_file(&path, key),
            Request::PutDelta(put) => self.begin(Joins, "put-delta", &put.path).put_delta(&put),
            Request::GetDelta { path, key, .. } => self.begin(Ends, "get-delta", &path).get_delta(&path, key),
            Request::PutStream { id, put } => self.begin(Ends, "put-stream", &put.path).put(&put, Some(id)),
            Request::Rm { path, recursive } => self.begin(Ends, "rm", &path).remove(&path, recursive),
            Request::Rmdir { path } => self.begin(Ends, "rmdir", &path).remove_directory(&path),
            Request::Mv { from, to } => self.begin(Ends, "mv", &from).rename(&from, &to),
            Request::Cp { from, to, recursive } => self.begin(Ends, "cp", &from).copy(&from, &to, recursive),
            Request::BackUp { from, to, remove } => {
                // It keeps the version that the files before it have made.
                let grouping = if self.group.has_files() { Ends } else { Joins };
                self.begin(grouping, "back-up", &from).back_up(&from, &to, remove)
            }
            Request::Hash { path, verify } => self.begin(Ends, "hash", &path).hash(&path, verify),
            Request::Df => self.begin(Ends, "df", b"").usage(),
            Request::Sync => self.begin(Ends, "sync", b"").sync(),
            Request::PartStatus { path, size, mtime } => {
                self.begin(Ends, "part-status", &path).part_status(&path, size, mtime)
            }
            Request::StreamStatus { path, id } => {
                self.begin(Ends, "stream-status", &path).stream_status(&path, id)
            }
            Request::Parts => self.begin(Ends, "parts", b"").parts(),
            Request::Discard { path } => {
                self.begin(Ends, "discard", path.as_deref().unwrap_or_default()).discard(path.as_deref())
            }
            Request::Symlink { path, target } => {
                self.begin(Joins, "symlink", &path).make_symlink(&path, &target)
            }
            Request::FinishDirectory { path, mtime } => {
                self.begin(Joins, "finish-directory", &path).finish_directory(&path, mtime)
            }
            Request::OpenUpload(put) => self.begin(Ends, "open-upload", &put.path.clone()).open_upload(put),
            Request::PutBlocks { id, block, blocks } => {
                self.begin(Ends, "put-blocks", b"").put_blocks(id, block, blocks)
            }
            Request::FinishUpload { id, end } => {
                self.begin(Ends, "finish-upload", b"").finish_upload(id, &end)
            }
            Request::GetRange { path, block, blocks, expect, data } => {
                let range = BlockRange { first: block, count: blocks };
                self.begin(Ends, "get-range", &path).get_range(&path, range, expect, data)
            }
            Request::RealPath { path } => self.begin(Ends, "real-path", &path).real_path(&path),
            Request::Keys => self.begin(Ends, "keys", b"").keys(),
            Request::InstallKey { line } => self.begin(Ends, "install-key", b"").install_key(&line),
            Request::RemoveKey { fingerprint } => {
                self.begin(Ends, "remove-key", b"").remove_key(&fingerprint)
            }
            Request::StoredDigests { directory, paths } => {
                self.begin(Ends, "stored-digests", &directory).stored_digests(&directory, paths)
            }
            Request::SetAttributes { path, mode, mtime } => {
                self.begin(Ends, "set-attributes", &path).set_attributes(&path, mode, mtime)
            }
            Request::PutCopy { put, from, digest } => {
                self.begin(Joins, "put-copy", &put.path).put_copy(&put, &from, digest)
            }
        }
    }

    /// Begins a request: publishes the group if the request ends it, writes the log line, and starts the clock of the
    /// metrics.
    fn begin(&mut self, grouping: Grouping, name: &'static str, path: &[u8]) -> &mut NativeConversation {
        if grouping == Ends {
            self.publish();
        }
        tracing::debug!(user = self.user.name(), request = name, path = %Escaped(path), "request");
        self.timed = Some((name, Instant::now()));
        self
    }

    /// Resolves a path of the client against its working directory.
    pub(super) fn at(&self, path: &[u8]) -> Result<RemotePath, PathError> {
        self.cwd.join(path)
    }

    fn working_directory(&self) -> NativeResult {
        Ok(path_reply(&self.cwd))
    }

    fn change_directory(&mut self, path: &[u8]) -> NativeResult {
        // An invalid path is refused in the same way as in any other request.
        self.at(path)?;
        self.cwd = service::change_directory(&self.user, &self.cwd, path)?;
        Ok(path_reply(&self.cwd))
    }

    fn list(&self, path: &[u8], recursive: bool) -> NativeResult {
        let listing = Listing::begin(&self.user, &self.at(path)?, recursive)?;
        Ok(NativeOutcome::Job(Box::new(listing)))
    }

    fn stat(&self, path: &[u8], follow: bool) -> NativeResult {
        let found = service::stat(&self.user, &self.at(path)?, follow)?;
        Ok(NativeOutcome::Reply(Reply::with(Payload::Stat(entry(&found)))))
    }

    fn make_directory(&self, path: &[u8], parents: bool, mode: Option<u32>) -> NativeResult {
        let path = self.at(path)?;
        let made =
            service::make_directory(&self.user, &path, MakeDirectory { parents, mode, deferred: true })?;
        Ok(match made.made.is_empty() {
            false => NativeOutcome::Made(made.names),
            true => NativeOutcome::Reply(Reply::new(Status::DirectoryExists, path.to_string())),
        })
    }

    fn get(&mut self, path: &[u8], delta: Option<DeltaEncoder>) -> NativeResult {
        let file = Download::begin(&self.user, &self.at(path)?);
        let file = file.map_err(service::Error::or_get_recursively)?;
        let get = GetJob::begin(file, std::mem::take(&mut self.known), delta, &mut self.output);
        Ok(NativeOutcome::Job(Box::new(get)))
    }

    fn get_delta(&mut self, path: &[u8], key: ChunkKey) -> NativeResult {
        let description = self.description.take().map(HeldDescription::into_index).transpose()?;
        self.get(path, Some(DeltaEncoder::new(key, description)))
    }

    fn get_range(
        &mut self,
        path: &[u8],
        range: BlockRange,
        expect: Option<FileVersion>,
        data: bool,
    ) -> NativeResult {
        let file = RangeDownload::begin(&self.user, &self.at(path)?, range, expect, data);
        let file = file.map_err(service::Error::or_get_recursively)?;
        self.output.range_header(file.header());
        Ok(NativeOutcome::Job(Box::new(RangeJob { file, data })))
    }

    fn describe_file(&mut self, path: &[u8], key: ChunkKey) -> NativeResult {
        self.described = None;
        let describing = Describing::begin(&self.user, &self.at(path)?, key)?;
        Ok(NativeOutcome::Job(Box::new(describing)))
    }

    fn remove(&self, path: &[u8], recursive: bool) -> NativeResult {
        let path = self.at(path)?;
        if recursive {
            let removal = RecursiveRemoval::begin(&self.user, &path)?;
            return Ok(NativeOutcome::Job(Box::new(removal)));
        }
        service::remove(&self.user, &path)?;
        Ok(done())
    }

    fn remove_directory(&self, path: &[u8]) -> NativeResult {
        service::remove_directory(&self.user, &self.at(path)?)?;
        Ok(done())
    }

    fn rename(&self, from: &[u8], to: &[u8]) -> NativeResult {
        service::rename(&self.user, &self.at(from)?, &self.at(to)?)?;
        Ok(done())
    }

    fn copy(&self, from: &[u8], to: &[u8], recursive: bool) -> NativeResult {
        let copy = Copy::begin(&self.user, &self.at(from)?, &self.at(to)?, recursive)?;
        Ok(NativeOutcome::Job(Box::new(copy)))
    }

    fn back_up(&mut self, from: &[u8], to: &[u8], remove: bool) -> NativeResult {
        match service::back_up(&self.user, &self.at(from)?, &self.at(to)?, remove)? {
            Backup::Named(names) => Ok(NativeOutcome::Made(names)),
            Backup::Copying(copy) => {
                // Its output comes before the replies of the group.
                self.publish();
                Ok(NativeOutcome::Job(copy))
            }
        }
    }

    fn hash(&self, path: &[u8], verify: bool) -> NativeResult {
        let hashing = Hashing::begin(&self.user, &self.at(path)?, verify)?;
        Ok(NativeOutcome::Job(Box::new(hashing)))
    }

    fn usage(&self) -> NativeResult {
        let usage = service::usage(&self.user)?;
        let payload = match self.features.has(Features::CREDIT) {
            true => Payload::CreditedUsage(usage),
            false => Payload::Usage(usage.without_credit()),
        };
        let message = service::counting_note(&self.user).unwrap_or_default();
        Ok(NativeOutcome::Reply(Reply { message, ..Reply::with(payload) }))
    }

    fn sync(&self) -> NativeResult {
        service::sync(&self.user)?;
        Ok(done())
    }

    fn parts(&mut self) -> NativeResult {
        for parts in service::parts(&self.user).chunks(PARTS_PER_FRAME) {
            self.output.frame(&Frame::Parts(parts.to_vec()));
        }
        Ok(done())
    }

    fn discard(&self, path: Option<&[u8]>) -> NativeResult {
        let path = path.map(|path| self.at(path)).transpose()?;
        let count = service::discard(&self.user, path.as_ref())?;
        Ok(NativeOutcome::Reply(Reply::new(Status::Done, format!("{count} removed"))))
    }

    fn make_symlink(&self, path: &[u8], target: &[u8]) -> NativeResult {
        let made = service::make_symlink(&self.user, &self.at(path)?, target)?;
        Ok(NativeOutcome::Made(vec![made]))
    }

    fn finish_directory(&self, path: &[u8], mtime: Time) -> NativeResult {
        let held = service::hold_directory(&self.user, &self.at(path)?, mtime)?;
        Ok(NativeOutcome::Finished(held))
    }

    fn real_path(&self, path: &[u8]) -> NativeResult {
        Ok(path_reply(&service::real_path(&self.user, &self.at(path)?)?))
    }

    fn keys(&self) -> NativeResult {
        let (keys, left_out) = service::keys(&self.user)?;
        let mut reply = Reply::with(Payload::Keys(keys));
        if left_out > 0 {
            reply.message = format!("{left_out} more of the administrator's are not listed");
        }
        Ok(NativeOutcome::Reply(reply))
    }

    fn install_key(&self, line: &str) -> NativeResult {
        service::install_key(&self.user, line)?;
        Ok(done())
    }

    fn remove_key(&self, fingerprint: &str) -> NativeResult {
        service::remove_key(&self.user, fingerprint)?;
        Ok(done())
    }
}

pub(super) fn done() -> NativeOutcome {
    NativeOutcome::Reply(Reply::new(Status::Done, ""))
}

fn path_reply(path: &RemotePath) -> NativeOutcome {
    NativeOutcome::Reply(Reply::with(Payload::Path(path.as_bytes().to_vec())))
}
