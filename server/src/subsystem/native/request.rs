//! What each request does: its line in the log, whether it changes anything, and the call.

use super::conversation::{NativeConversation, ReceiveState};
use super::entry::entry;
use super::job::NativeJob;
use super::publish_group::refusal;
use crate::home::{EntryId, Location};
use crate::operations::{
    self, CheckedPart, Copy, DirectoryToFinalize, Download, Hashing, Listing, MadeDirectory, PartCheck,
    Removal, Upload, User,
};
use sshome_wire::display::Escaped;
use sshome_wire::{Features, Frame, PathError, Payload, RemotePath, Reply, Request, Status};
use std::collections::HashMap;
use std::time::Instant;

/// Parts that one conversation may have leased.
const MAX_LEASED_PARTS: usize = 64;

/// Parts that go into one frame: each with a path of up to 4 KiB.
const PARTS_PER_FRAME: usize = 50;

/// What comes of a request at once.
enum NativeOutcome {
    Reply(Reply),
    /// New names, to be on the disk before the answer.
    Made(Vec<Location>),
    /// A directory that nothing more goes into but what was put before.
    Finished(DirectoryToFinalize),
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
    /// Takes one request up. It is answered when this returns, or has become the job or the upload
    /// under way.
    pub(super) fn handle(&mut self, request: Request) {
        let is_put = matches!(request, Request::Put(_) | Request::PutStream { .. });
        if !waits(&request) {
            // It may look at what was put before it, or say something before its answer.
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
                    // The data are on their way already; the answer is to stop them soon.
                    self.publish();
                    self.receiving = ReceiveState::Refused;
                }
            }
        }
    }

    fn act(&mut self, request: Request) -> NativeResult {
        if writes(&request) {
            self.user.require_write()?;
        }
        let user = &self.user;
        let at = |path: &[u8]| self.cwd.join(path);
        Ok(match request {
            Request::Pwd => path_reply(&self.cwd),
            Request::Cd { path } => {
                // Refused as every other path would be.
                at(&path)?;
                self.cwd = operations::change_directory(user, &self.cwd, &path)?;
                path_reply(&self.cwd)
            }
            Request::Ls { path, recursive } => {
                NativeOutcome::Job(NativeJob::List(Box::new(Listing::begin(user, &at(&path)?, recursive)?)))
            }
            Request::Stat { path, follow } => {
                let found = operations::stat(user, &at(&path)?, follow)?;
                NativeOutcome::Reply(Reply::with(Payload::Stat(entry(&found))))
            }
            Request::Mkdir { path, parents, mode } => {
                let path = at(&path)?;
                match operations::make_directory_with_deferred_mode(user, &path, parents, mode)? {
                    (MadeDirectory::New, made) => NativeOutcome::Made(made),
                    (MadeDirectory::Existed, _) => {
                        NativeOutcome::Reply(Reply::new(Status::DirectoryExists, path.to_string()))
                    }
                }
            }
            Request::Get { path, .. } => {
                let file =
                    Download::begin(user, &at(&path)?).map_err(operations::Error::or_get_recursively)?;
                NativeOutcome::Job(NativeJob::get(file, std::mem::take(&mut self.known), &mut self.output))
            }
            Request::Put(put) => {
                let path = at(&put.path)?;
                let part = leased(user, &mut self.leased, &path);
                NativeOutcome::Upload(Box::new(Upload::begin(user, &put, path, part)?))
            }
            Request::PutStream { id, put } => {
                let path = at(&put.path)?;
                let part = leased(user, &mut self.leased, &path);
                NativeOutcome::Upload(Box::new(Upload::begin_stream(user, &put, path, part, id)?))
            }
            Request::Rm { path, recursive: false } => {
                operations::remove(user, &at(&path)?)?;
                done()
            }
            Request::Rm { path, recursive: true } => {
                NativeOutcome::Job(NativeJob::Remove(Box::new(Removal::begin(user, &at(&path)?)?)))
            }
            Request::Rmdir { path } => {
                operations::remove_directory(user, &at(&path)?)?;
                done()
            }
            Request::Mv { from, to } => {
                operations::rename(user, &at(&from)?, &at(&to)?)?;
                done()
            }
            Request::Cp { from, to, recursive } => NativeOutcome::Job(NativeJob::Copy(Box::new(
                Copy::begin(user, &at(&from)?, &at(&to)?, recursive)?,
            ))),
            Request::Hash { path, verify } => {
                NativeOutcome::Job(NativeJob::Hash(Box::new(Hashing::begin(user, &at(&path)?, verify)?)))
            }
            Request::Df => {
                let usage = operations::usage(user)?;
                let payload = match self.features.has(Features::CREDIT) {
                    true => Payload::CreditedUsage(usage),
                    false => Payload::Usage(usage.without_credit()),
                };
                NativeOutcome::Reply(Reply::with(payload))
            }
            Request::Sync => {
                operations::sync(user)?;
                done()
            }
            Request::PartStatus { path, size, mtime } => {
                let path = at(&path)?;
                make_room_for_lease(user, &mut self.leased, &path);
                match PartCheck::begin(user, &path, size, mtime)? {
                    Some(check) => NativeOutcome::Job(NativeJob::Part(Box::new(check))),
                    None => NativeOutcome::Reply(Reply::new(Status::EnoughSpace, "")),
                }
            }
            Request::StreamStatus { path, id } => {
                let path = at(&path)?;
                make_room_for_lease(user, &mut self.leased, &path);
                NativeOutcome::Job(NativeJob::Stream { path, id })
            }
            Request::Parts => {
                for parts in operations::parts(user).chunks(PARTS_PER_FRAME) {
                    self.output.frame(&Frame::Parts(parts.to_vec()));
                }
                done()
            }
            Request::Discard { path } => {
                let path = path.map(|path| at(&path)).transpose()?;
                let count = operations::discard(user, path.as_ref());
                NativeOutcome::Reply(Reply::new(Status::Done, format!("{count} removed")))
            }
            Request::Symlink { path, target } => {
                NativeOutcome::Made(vec![operations::make_symlink(user, &at(&path)?, &target)?])
            }
            Request::FinishDirectory { path, mtime } => {
                NativeOutcome::Finished(DirectoryToFinalize::find(user, at(&path)?, mtime)?)
            }
            Request::RealPath { path } => path_reply(&operations::real_path(user, &at(&path)?)?),
            Request::Keys => {
                let (keys, left_out) = operations::keys(user)?;
                let mut reply = Reply::with(Payload::Keys(keys));
                if left_out > 0 {
                    reply.message = format!("{left_out} more of the administrator's are not listed");
                }
                NativeOutcome::Reply(reply)
            }
            Request::InstallKey { line } => {
                operations::install_key(user, &line)?;
                done()
            }
            Request::RemoveKey { fingerprint } => {
                operations::remove_key(user, &fingerprint)?;
                done()
            }
        })
    }
}

/// Gives leases back that are not to be used: one of the path, before the shelf is looked at, and all if
/// there are too many.
fn make_room_for_lease(user: &User, leases: &mut HashMap<EntryId, CheckedPart>, path: &RemotePath) {
    drop(leased(user, leases, path));
    if leases.len() >= MAX_LEASED_PARTS {
        leases.clear();
    }
}

/// Takes the part that is leased for an upload to this path, however it is spelled.
fn leased(user: &User, leases: &mut HashMap<EntryId, CheckedPart>, path: &RemotePath) -> Option<CheckedPart> {
    // Most puts are of small files, and have none.
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

/// Whether a request changes anything in the home.
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

/// Whether a request neither looks at what was put before it nor is answered before that.
fn waits(request: &Request) -> bool {
    matches!(
        request,
        Request::Put(_) | Request::Mkdir { .. } | Request::Symlink { .. } | Request::FinishDirectory { .. }
    )
}

/// How the log and the metrics name a request, and the path it is about.
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
