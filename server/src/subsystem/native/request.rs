//! Dispatch of native requests: the log line, the permission check and the call of the operation.

use super::conversation::{NativeConversation, ReceiveState};
use super::entry::entry;
use super::job::NativeJob;
use super::publish_group::refusal;
use crate::operations::{self, Copy, Download, Hashing, Listing, PartCheck, Removal, Upload, User};
use sshome_store::{CheckedPartial, EntryId, EntryRef, MakeDirectory};
use sshome_wire::display::Escaped;
use sshome_wire::{
    Features, Frame, PathError, Payload, Put, RemotePath, Reply, Request, Status, StreamId, Time,
};
use std::collections::HashMap;
use std::time::Instant;

/// The largest number of partial uploads that one channel may lease.
const MAX_LEASED_PARTS: usize = 64;

/// The number of partial uploads in one frame. Each has a path of up to 4 KiB.
const PARTS_PER_FRAME: usize = 50;

/// The immediate outcome of a request.
enum NativeOutcome {
    Reply(Reply),
    /// New names that must be synced to the disk before the reply.
    Made(Vec<EntryRef>),
    /// A directory to finish after the files that were put before.
    Finished(EntryRef),
    Job(NativeJob),
    Upload(Box<Upload>),
}

type NativeResult = Result<NativeOutcome, RequestError>;

enum RequestError {
    Operation(operations::Error),
    Path(PathError),
}

impl From<operations::Error> for RequestError {
    fn from(error: operations::Error) -> RequestError {
        RequestError::Operation(error)
    }
}

impl From<PathError> for RequestError {
    fn from(error: PathError) -> RequestError {
        RequestError::Path(error)
    }
}

impl NativeConversation {
    /// Handles one request. When this returns, the request is answered or has become the current job or upload.
    pub(super) fn handle(&mut self, request: Request) {
        let is_put = matches!(request, Request::Put(_) | Request::PutStream { .. });
        if !waits(&request) {
            // The request may read files that were put before it, or produce output before its reply.
            self.publish();
        }
        let (name, path) = named(&request);
        tracing::debug!(user = self.user.name(), request = name, path = %Escaped(path), "request");
        self.timed = Some((name, Instant::now()));
        match self.act(request) {
            Ok(NativeOutcome::Reply(reply)) => self.answer(reply),
            Ok(NativeOutcome::Made(made)) => self.made(made),
            Ok(NativeOutcome::Finished(directory)) => self.finished(directory),
            Ok(NativeOutcome::Job(job)) => self.job = Some(job),
            Ok(NativeOutcome::Upload(upload)) => self.receiving = ReceiveState::Upload(upload),
            Err(refused) => {
                let reply = match refused {
                    RequestError::Operation(error) => refusal(&error),
                    RequestError::Path(error) => Reply::new(Status::BadCommand, error.to_string()),
                };
                tracing::debug!(user = self.user.name(), %reply, "refused");
                self.answer(reply);
                if is_put {
                    // The data is already on its way. The reply makes the client stop sending.
                    self.publish();
                    self.receiving = ReceiveState::Refused;
                }
            }
        }
    }

    /// Executes a request, or begins it if it takes long.
    fn act(&mut self, request: Request) -> NativeResult {
        if writes(&request) {
            self.user.require_write()?;
        }
        match request {
            Request::Pwd => Ok(path_reply(&self.cwd)),
            Request::Cd { path } => self.change_directory(&path),
            Request::Ls { path, recursive } => self.list(&path, recursive),
            Request::Stat { path, follow } => self.stat(&path, follow),
            Request::Mkdir { path, parents, mode } => self.make_directory(&path, parents, mode),
            Request::Get { path, .. } => self.get(&path),
            Request::Put(put) => self.put(&put, None),
            Request::PutStream { id, put } => self.put(&put, Some(id)),
            Request::Rm { path, recursive } => self.remove(&path, recursive),
            Request::Rmdir { path } => {
                operations::remove_directory(&self.user, &self.at(&path)?)?;
                Ok(done())
            }
            Request::Mv { from, to } => {
                operations::rename(&self.user, &self.at(&from)?, &self.at(&to)?)?;
                Ok(done())
            }
            Request::Cp { from, to, recursive } => self.copy(&from, &to, recursive),
            Request::Hash { path, verify } => self.hash(&path, verify),
            Request::Df => self.usage(),
            Request::Sync => {
                operations::sync(&self.user)?;
                Ok(done())
            }
            Request::PartStatus { path, size, mtime } => self.part_status(&path, size, mtime),
            Request::StreamStatus { path, id } => self.stream_status(&path, id),
            Request::Parts => Ok(self.parts()),
            Request::Discard { path } => self.discard(path.as_deref()),
            Request::Symlink { path, target } => Ok(NativeOutcome::Made(vec![operations::make_symlink(
                &self.user,
                &self.at(&path)?,
                &target,
            )?])),
            Request::FinishDirectory { path, mtime } => {
                Ok(NativeOutcome::Finished(operations::hold_directory(&self.user, &self.at(&path)?, mtime)?))
            }
            Request::RealPath { path } => {
                Ok(path_reply(&operations::real_path(&self.user, &self.at(&path)?)?))
            }
            Request::Keys => self.keys(),
            Request::InstallKey { line } => {
                operations::install_key(&self.user, &line)?;
                Ok(done())
            }
            Request::RemoveKey { fingerprint } => {
                operations::remove_key(&self.user, &fingerprint)?;
                Ok(done())
            }
        }
    }

    /// Resolves a path of the client against its working directory.
    fn at(&self, path: &[u8]) -> Result<RemotePath, PathError> {
        self.cwd.join(path)
    }

    fn change_directory(&mut self, path: &[u8]) -> NativeResult {
        // An invalid path is refused in the same way as in any other request.
        self.at(path)?;
        self.cwd = operations::change_directory(&self.user, &self.cwd, path)?;
        Ok(path_reply(&self.cwd))
    }

    fn list(&self, path: &[u8], recursive: bool) -> NativeResult {
        let listing = Listing::begin(&self.user, &self.at(path)?, recursive)?;
        Ok(NativeOutcome::Job(NativeJob::List(Box::new(listing))))
    }

    fn stat(&self, path: &[u8], follow: bool) -> NativeResult {
        let found = operations::stat(&self.user, &self.at(path)?, follow)?;
        Ok(NativeOutcome::Reply(Reply::with(Payload::Stat(entry(&found)))))
    }

    fn make_directory(&self, path: &[u8], parents: bool, mode: Option<u32>) -> NativeResult {
        let path = self.at(path)?;
        let made =
            operations::make_directory(&self.user, &path, MakeDirectory { parents, mode, deferred: true })?;
        Ok(match made.made.is_empty() {
            false => NativeOutcome::Made(made.names),
            true => NativeOutcome::Reply(Reply::new(Status::DirectoryExists, path.to_string())),
        })
    }

    fn get(&mut self, path: &[u8]) -> NativeResult {
        let file = Download::begin(&self.user, &self.at(path)?);
        let file = file.map_err(operations::Error::or_get_recursively)?;
        let job = NativeJob::get(file, std::mem::take(&mut self.known), &mut self.output);
        Ok(NativeOutcome::Job(job))
    }

    /// Begins an upload, of a stream if `stream` is given.
    fn put(&mut self, put: &Put, stream: Option<StreamId>) -> NativeResult {
        let path = self.at(&put.path)?;
        let part = leased(&self.user, &mut self.leased, &path);
        let upload = Upload::begin(&self.user, put, &path, part, stream)?;
        Ok(NativeOutcome::Upload(Box::new(upload)))
    }

    fn remove(&self, path: &[u8], recursive: bool) -> NativeResult {
        let path = self.at(path)?;
        if recursive {
            let removal = Removal::begin(&self.user, &path)?;
            return Ok(NativeOutcome::Job(NativeJob::Remove(Box::new(removal))));
        }
        operations::remove(&self.user, &path)?;
        Ok(done())
    }

    fn copy(&self, from: &[u8], to: &[u8], recursive: bool) -> NativeResult {
        let copy = Copy::begin(&self.user, &self.at(from)?, &self.at(to)?, recursive)?;
        Ok(NativeOutcome::Job(NativeJob::Copy(Box::new(copy))))
    }

    fn hash(&self, path: &[u8], verify: bool) -> NativeResult {
        let hashing = Hashing::begin(&self.user, &self.at(path)?, verify)?;
        Ok(NativeOutcome::Job(NativeJob::Hash(Box::new(hashing))))
    }

    fn usage(&self) -> NativeResult {
        let usage = operations::usage(&self.user)?;
        let payload = match self.features.has(Features::CREDIT) {
            true => Payload::CreditedUsage(usage),
            false => Payload::Usage(usage.without_credit()),
        };
        Ok(NativeOutcome::Reply(Reply::with(payload)))
    }

    fn part_status(&mut self, path: &[u8], size: u64, mtime: Time) -> NativeResult {
        let path = self.at(path)?;
        make_room_for_lease(&self.user, &mut self.leased, &path);
        Ok(match PartCheck::begin(&self.user, &path, size, mtime)? {
            Some(check) => NativeOutcome::Job(NativeJob::Part(Box::new(check))),
            None => NativeOutcome::Reply(Reply::new(Status::EnoughSpace, "")),
        })
    }

    fn stream_status(&mut self, path: &[u8], id: StreamId) -> NativeResult {
        let path = self.at(path)?;
        make_room_for_lease(&self.user, &mut self.leased, &path);
        Ok(NativeOutcome::Job(NativeJob::Stream { path, id }))
    }

    fn parts(&mut self) -> NativeOutcome {
        for parts in operations::parts(&self.user).chunks(PARTS_PER_FRAME) {
            self.output.frame(&Frame::Parts(parts.to_vec()));
        }
        done()
    }

    fn discard(&self, path: Option<&[u8]>) -> NativeResult {
        let path = path.map(|path| self.at(path)).transpose()?;
        let count = operations::discard(&self.user, path.as_ref())?;
        Ok(NativeOutcome::Reply(Reply::new(Status::Done, format!("{count} removed"))))
    }

    fn keys(&self) -> NativeResult {
        let (keys, left_out) = operations::keys(&self.user)?;
        let mut reply = Reply::with(Payload::Keys(keys));
        if left_out > 0 {
            reply.message = format!("{left_out} more of the administrator's are not listed");
        }
        Ok(NativeOutcome::Reply(reply))
    }
}

/// Returns leases that are no longer needed: the one of this path, and all if there are too many.
fn make_room_for_lease(user: &User, leases: &mut HashMap<EntryId, CheckedPartial>, path: &RemotePath) {
    drop(leased(user, leases, path));
    if leases.len() >= MAX_LEASED_PARTS {
        leases.clear();
    }
}

/// Takes the partial upload that is leased for this path, in whatever spelling.
fn leased(
    user: &User,
    leases: &mut HashMap<EntryId, CheckedPartial>,
    path: &RemotePath,
) -> Option<CheckedPartial> {
    // Most puts are small files without a lease.
    if leases.is_empty() {
        return None;
    }
    leases.remove(&operations::target_id(user, path)?)
}

fn done() -> NativeOutcome {
    NativeOutcome::Reply(Reply::new(Status::Done, ""))
}

fn path_reply(path: &RemotePath) -> NativeOutcome {
    NativeOutcome::Reply(Reply::with(Payload::Path(path.as_bytes().to_vec())))
}

/// Whether a request needs write access.
fn writes(request: &Request) -> bool {
    match request {
        Request::Pwd
        | Request::Cd { .. }
        | Request::Ls { .. }
        | Request::Stat { .. }
        | Request::Get { .. }
        | Request::Hash { .. }
        | Request::Df
        | Request::Sync
        | Request::PartStatus { .. }
        | Request::StreamStatus { .. }
        | Request::Parts
        | Request::Keys
        | Request::InstallKey { .. }
        | Request::RemoveKey { .. }
        | Request::RealPath { .. } => false,
        Request::Mkdir { .. }
        | Request::Put(_)
        | Request::PutStream { .. }
        | Request::Rm { .. }
        | Request::Rmdir { .. }
        | Request::Mv { .. }
        | Request::Cp { .. }
        | Request::Discard { .. }
        | Request::Symlink { .. }
        | Request::FinishDirectory { .. } => true,
    }
}

/// Whether a request may join the current publish group: it does not read files that were put before it, and its reply
/// comes after theirs.
fn waits(request: &Request) -> bool {
    matches!(
        request,
        Request::Put(_) | Request::Mkdir { .. } | Request::Symlink { .. } | Request::FinishDirectory { .. }
    )
}

/// The name of a request in log and metrics, and its path.
fn named(request: &Request) -> (&'static str, &[u8]) {
    let (name, path) = match request {
        Request::Pwd => ("pwd", None),
        Request::Cd { path } => ("cd", Some(path)),
        Request::Ls { path, .. } => ("ls", Some(path)),
        Request::Stat { path, .. } => ("stat", Some(path)),
        Request::Mkdir { path, .. } => ("mkdir", Some(path)),
        Request::Get { path, .. } => ("get", Some(path)),
        Request::Put(put) => ("put", Some(&put.path)),
        Request::PutStream { put, .. } => ("put-stream", Some(&put.path)),
        Request::StreamStatus { path, .. } => ("stream-status", Some(path)),
        Request::Rm { path, .. } => ("rm", Some(path)),
        Request::Rmdir { path } => ("rmdir", Some(path)),
        Request::Mv { from, .. } => ("mv", Some(from)),
        Request::Cp { from, .. } => ("cp", Some(from)),
        Request::Hash { path, .. } => ("hash", Some(path)),
        Request::Df => ("df", None),
        Request::Sync => ("sync", None),
        Request::PartStatus { path, .. } => ("part-status", Some(path)),
        Request::Parts => ("parts", None),
        Request::Discard { path } => ("discard", path.as_ref()),
        Request::Symlink { path, .. } => ("symlink", Some(path)),
        Request::Keys => ("keys", None),
        Request::InstallKey { .. } => ("install-key", None),
        Request::RemoveKey { .. } => ("remove-key", None),
        Request::FinishDirectory { path, .. } => ("finish-directory", Some(path)),
        Request::RealPath { path } => ("real-path", Some(path)),
    };
    (name, path.map_or(&[][..], |path| path))
}
