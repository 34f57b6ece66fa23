//! The server's operations as this test uses them. Only this module calls the server.

mod blocks;
mod delta;

pub(crate) use delta::Piece;

use anyhow::{Context, Result, bail};
use russh::keys::parse_public_key_base64;
use sshome_store::{Cause, CheckedPartial, Ctx, HomeSettings, HomeStore, MakeDirectory, StoreError};
use sshome_store_posix::{PosixStore, STAGING_DIRECTORY};
use sshome_wire::{BLOCK_BYTES, BlockHasher, End, Put, RemotePath, Status, StreamId, Time};
use sshomed::accounts::{TomlAccounts, homes_of};
use sshomed::auth::{Authenticator, Login};
use sshomed::service::{
    self, Backup, Copy, Error, Hashing, OpenFile, OpenMode, PartCheck, PutUpload, RecursiveRemoval,
    SetAttributes, StepLimit, User, UserPermits,
};
use std::path::Path;
use std::sync::Arc;

/// The users: SFTP writes in place for the first, and atomically for the second.
pub(crate) const USERS: [&str; 2] = ["ann", "bob"];

/// Bytes that each user may store.
pub(crate) const QUOTA_BYTES: u64 = 26 << 20;

/// The folder of uploads until they are published.
pub(crate) const STAGING: &str = STAGING_DIRECTORY;

const PUBLIC_KEY_BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";

/// The size of a write, in bytes.
const WRITE_BYTES: usize = 256 << 10;

/// A server's settings.
pub(crate) struct Settings {
    homes: Vec<HomeSettings>,
    logins: Vec<Login>,
}

impl Settings {
    /// In `folder`: `etc` has the settings, and `home` is for the homes.
    pub(crate) fn new(folder: &Path) -> Result<Settings> {
        let user = |(name, uploads)| {
            let key = format!("authorized-keys = [\"ssh-ed25519 {PUBLIC_KEY_BASE64}\"]");
            format!("[users.{name}]\n{key}\nquota = {QUOTA_BYTES}\nsftp-uploads = \"{uploads}\"\n")
        };
        std::fs::create_dir(folder.join("etc"))?;
        std::fs::create_dir(folder.join("home"))?;
        let text: String = USERS.into_iter().zip(["in-place", "atomic"]).map(user).collect();
        std::fs::write(folder.join("etc/users.toml"), text)?;
        let config = sshomed::config::load(folder, None, &[])?;
        let authenticator = Authenticator::new(Arc::new(TomlAccounts::new(&config.dir, &config.accounts)));
        let key = parse_public_key_base64(PUBLIC_KEY_BASE64)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let login = |name| runtime.block_on(authenticator.public_key(name, &key, [127, 0, 0, 1].into()));
        let logins = USERS.into_iter().map(|name| login(name).context("no login")).collect::<Result<_>>()?;
        Ok(Settings { homes: homes_of(&config.accounts), logins })
    }

    /// Opens the homes, as a server does at its start.
    pub(crate) fn start(&self) -> Result<Store> {
        let homes: Arc<dyn HomeStore> = Arc::new(PosixStore::default());
        homes.serve(&self.homes)?;
        for home in &self.homes {
            let opened = homes.open(&Ctx::default(), home)?;
            opened.counting().into_iter().for_each(|counting| counting.end.block());
        }
        Ok(Store { homes, permits: UserPermits::default(), logins: self.logins.clone() })
    }
}

/// Homes that are open.
pub(crate) struct Store {
    homes: Arc<dyn HomeStore>,
    permits: UserPermits,
    logins: Vec<Login>,
}

impl Store {
    /// A session of one of [`USERS`].
    pub(crate) fn session(&self, user: usize) -> Result<Session> {
        Ok(Session(User::enter(self.logins[user].clone(), &*self.homes, &self.permits)?))
    }
}

/// The source of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) content: Arc<Vec<u8>>,
    /// Each source has another.
    pub(crate) mtime: i64,
    pub(crate) mode: u32,
    /// Set if it can be read only once.
    pub(crate) stream: Option<StreamId>,
}

/// A partial upload.
pub(crate) struct Part {
    pub(crate) path: String,
    pub(crate) length: u64,
}

/// The bytes that are charged to a user's quota.
pub(crate) struct Charged {
    pub(crate) used: u64,
    pub(crate) reserved: u64,
    /// Used and reserved, less what stored files lend to the uploads that replace them.
    pub(crate) total: u64,
}

/// A session of a user. Operations return whether they were done; `false` if the quota does not allow it.
pub(crate) struct Session(User);

impl Session {
    /// Puts files in one batch. Returns whether each was stored.
    pub(crate) fn put(&self, sources: &[Source]) -> Result<Vec<bool>> {
        let (mut done, mut batch) = (Vec::new(), Vec::new());
        for source in sources {
            let pending = self.begin(source, None).and_then(|upload| self.fill(upload, source, 0));
            done.push(pending.is_ok());
            match pending {
                Ok(pending) => batch.push(pending),
                refused => drop(allowed(refused.map(drop))?),
            }
        }
        let (published, synced) = service::publish(&self.0, batch, Vec::new());
        synced?;
        let mut published = published.into_iter();
        for done in done.iter_mut().filter(|done| **done) {
            *done = allowed(published.next().context("a result is missing")?)?;
        }
        Ok(done)
    }

    /// Sends the first `length` bytes of a file, and loses the connection.
    pub(crate) fn put_part(&self, source: &Source, length: usize) -> Result<bool> {
        let sent = self.begin(source, None).and_then(|mut upload| {
            source.content[..length].chunks(WRITE_BYTES).try_for_each(|data| upload.write(data))
        });
        allowed(sent)
    }

    /// The partial upload of a source, read and checked.
    pub(crate) fn find_part(&self, source: &Source) -> Result<Option<CheckedPartial>> {
        let at = path(&source.path);
        let check = match source.stream {
            Some(id) => service::find_stream(&self.0, &at, id)?,
            None => PartCheck::begin(&self.0, &at, source.content.len() as u64, source.time())?,
        };
        let Some(mut check) = check else { return Ok(None) };
        loop {
            if let Some(part) = check.step(StepLimit::bytes(u64::MAX))? {
                return Ok(Some(part));
            }
        }
    }

    /// Puts a file after the matching blocks of its partial upload.
    pub(crate) fn resume(&self, source: &Source, part: Option<CheckedPartial>) -> Result<bool> {
        let found = part.as_ref().map_or(&[][..], |part| &part.digests);
        let mut hasher = BlockHasher::new();
        hasher.update(&source.content);
        let agree = found.iter().zip(hasher.whole_blocks()).take_while(|(found, own)| *found == own).count();
        let (put, start) = (source.put(agree as u32), agree * BLOCK_BYTES as usize);
        let upload = PutUpload::begin(&self.0, &put, &path(&source.path), part, source.stream);
        match upload.and_then(|upload| self.fill(upload, source, start)) {
            Ok(pending) => {
                let (published, synced) = service::publish(&self.0, vec![pending], Vec::new());
                synced?;
                allowed(published.into_iter().collect())
            }
            refused => allowed(refused.map(drop)),
        }
    }

    fn begin(&self, source: &Source, part: Option<CheckedPartial>) -> service::Result<PutUpload> {
        PutUpload::begin(&self.0, &source.put(0), &path(&source.path), part, source.stream)
    }

    fn fill(
        &self,
        mut upload: PutUpload,
        source: &Source,
        start: usize,
    ) -> service::Result<service::VerifiedUpload> {
        source.content[start..].chunks(WRITE_BYTES).try_for_each(|data| upload.write(data))?;
        let digest = sshome_wire::Digest(blake3::hash(&source.content).into());
        let (message, size) = (String::new(), source.content.len() as u64);
        upload.finish(&End { status: Status::Done, message, digest, size })
    }

    /// Creates a directory with its parents, as `mkdir -p`.
    pub(crate) fn make_directory(&self, name: &str) -> Result<bool> {
        let how = MakeDirectory { parents: true, ..MakeDirectory::default() };
        let made = service::make_directory(&self.0, &path(name), how)?;
        let (_, synced) = service::publish(&self.0, Vec::new(), made.names);
        allowed(synced)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<bool> {
        allowed(service::rename_exact(&self.0, &path(from), &path(to), true))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<bool> {
        allowed(service::remove(&self.0, &path(name)))
    }

    pub(crate) fn remove_directory(&self, name: &str) -> Result<bool> {
        allowed(service::remove_directory(&self.0, &path(name)))
    }

    /// Creates a symbolic link and makes its name durable, as our protocol does.
    pub(crate) fn symlink(&self, name: &str, target: &str) -> Result<bool> {
        let made = service::make_symlink(&self.0, &path(name), target.as_bytes());
        allowed(made.and_then(|name| service::publish(&self.0, Vec::new(), vec![name]).1))
    }

    pub(crate) fn hard_link(&self, from: &str, to: &str) -> Result<bool> {
        allowed(service::hard_link(&self.0, &path(from), &path(to)))
    }

    /// Keeps the version of a file under a second name, and makes that durable, as our protocol does.
    pub(crate) fn back_up(&self, from: &str, to: &str) -> Result<bool> {
        let kept = service::back_up(&self.0, &path(from), &path(to), false);
        allowed(kept.and_then(|kept| match kept {
            Backup::Named(names) => service::publish(&self.0, Vec::new(), names).1,
            Backup::Copying(_) => Err(Error::Unknown(StoreError::file(&path(to), Cause::Unsupported))),
        }))
    }

    pub(crate) fn remove_tree(&self, name: &str) -> Result<bool> {
        let mut removal = RecursiveRemoval::begin(&self.0, &path(name))?;
        while !removal.step(&self.0, StepLimit::bytes(u64::MAX))? {}
        Ok(true)
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<bool> {
        let copied = Copy::begin(&self.0, &path(from), &path(to), false).and_then(|mut copy| {
            while !copy.step(&self.0, StepLimit::bytes(u64::MAX))? {}
            Ok(())
        });
        allowed(copied)
    }

    /// Writes over SFTP to a file that exists, and perhaps syncs it.
    pub(crate) fn write_in_place(&self, name: &str, write: &InPlaceWrite) -> Result<bool> {
        let mode = OpenMode { write: true, ..OpenMode::READ_ONLY };
        let written = OpenFile::open(&self.0, &path(name), mode).and_then(|file| {
            let size = write.length.map(|length| length as u64);
            file.set_attributes(&self.0, &SetAttributes { size, ..SetAttributes::default() })?;
            file.write_at(write.offset as u64, &write.data)?;
            if write.sync {
                file.sync()?;
            }
            file.finish(&self.0)
        });
        allowed(written)
    }

    /// Writes a file over SFTP. It is published when it is closed, if this user's uploads are atomic.
    pub(crate) fn upload(&self, name: &str, content: &[u8]) -> Result<bool> {
        let mode = OpenMode { read: false, write: true, create: true, truncate: true, ..OpenMode::READ_ONLY };
        let written = OpenFile::open(&self.0, &path(name), mode).and_then(|file| {
            for (at, data) in (0..).step_by(WRITE_BYTES).zip(content.chunks(WRITE_BYTES)) {
                file.write_at(at, data)?;
            }
            file.finish(&self.0)
        });
        allowed(written)
    }

    pub(crate) fn sync(&self) -> Result<bool> {
        allowed(service::sync(&self.0))
    }

    /// The digest of a file's content, and the digest that is stored with it.
    pub(crate) fn digests(&self, name: &str) -> Result<(blake3::Hash, Option<blake3::Hash>)> {
        let mut hashing = Hashing::begin(&self.0, &path(name), false)?;
        loop {
            if let Some(hashed) = hashing.step(StepLimit::bytes(u64::MAX))? {
                return Ok((hashed.digest.0.into(), hashed.stored.map(|stored| stored.0.into())));
            }
        }
    }

    pub(crate) fn charged(&self) -> Result<Charged> {
        let usage = service::usage(&self.0)?;
        Ok(Charged { used: usage.usage.used, reserved: usage.usage.reserved, total: usage.charged() })
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        let part = |part: sshome_wire::Part| Part {
            path: String::from_utf8_lossy(&part.path).trim_start_matches('/').to_owned(),
            length: part.length,
        };
        service::parts(&self.0).into_iter().map(part).collect()
    }

    /// Discards the partial uploads of a file, or all. Returns their number.
    pub(crate) fn discard(&self, name: Option<&str>) -> Result<usize> {
        Ok(service::discard(&self.0, name.map(path).as_ref())?)
    }
}

/// A write to an existing file.
pub(crate) struct InPlaceWrite {
    /// The length that is set before.
    pub(crate) length: Option<usize>,
    pub(crate) offset: usize,
    pub(crate) data: Vec<u8>,
    pub(crate) sync: bool,
}

impl Source {
    /// The numbers of its blocks.
    pub(crate) fn blocks(&self) -> Vec<u32> {
        (0..).take(BlockHasher::count(self.content.len() as u64) as usize).collect()
    }

    fn time(&self) -> Time {
        Time { seconds: self.mtime, nanoseconds: 0 }
    }

    fn put(&self, resume: u32) -> Put {
        Put {
            path: Vec::new(),
            size: self.stream.is_none().then_some(self.content.len() as u64),
            mtime: Some(self.time()),
            source: self.stream.is_none().then(|| self.time()),
            mode: Some(self.mode),
            resume,
        }
    }
}

fn path(name: &str) -> RemotePath {
    RemotePath::root().join(name.as_bytes()).unwrap()
}

/// Whether the quota allowed it.
fn allowed(result: service::Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.status() == Status::QuotaExceeded => Ok(false),
        Err(error @ (Error::Rotten(_) | Error::Store(StoreError::Mismatch { .. }))) => {
            bail!("the content is wrong: {error}")
        }
        Err(error) => Err(error.into()),
    }
}
