//! A home in a temporary folder, and a user in it.

use russh::keys::parse_public_key_base64;
use sshome_store::memory::{Faults, FaultyStore, MemoryBacking, MemoryStore};
use sshome_store::quota::Comparison;
use sshome_store::{Capabilities, HomeSettings, HomeStore};
use sshome_store_posix::PosixStore;
use sshome_wire::{BlockHasher, End, Put, RemotePath, Status};
use sshomed::accounts::{TomlAccounts, homes_of};
use sshomed::auth::{Authenticator, Login};
use sshomed::service::{self, OpenFile, OpenMode, PutUpload, Result, User, UserPermits, publish};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const PUBLIC_KEY_BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";

pub(crate) const READ_ONLY: OpenMode = OpenMode::READ_ONLY;
pub(crate) const WRITE_OR_CREATE: OpenMode = OpenMode { read: false, write: true, create: true, ..READ_ONLY };
pub(crate) const READ_WRITE_OR_CREATE: OpenMode = OpenMode { read: true, ..WRITE_OR_CREATE };
pub(crate) const TRUNCATE_OR_CREATE: OpenMode = OpenMode { truncate: true, ..WRITE_OR_CREATE };
pub(crate) const APPEND_OR_CREATE: OpenMode = OpenMode { append: true, ..WRITE_OR_CREATE };

pub(crate) struct World {
    dir: TempDir,
    home: PathBuf,
    homes: Arc<PosixStore>,
    login: Login,
}

impl World {
    /// ann's home, with these lines in her table.
    pub(crate) fn new(settings: &str) -> World {
        World::with(&format!("authorized-keys = [\"ssh-ed25519 {PUBLIC_KEY_BASE64}\"]\n{settings}"))
    }

    /// The same, for a key with this access.
    pub(crate) fn restricted(settings: &str, access: &str) -> World {
        let key =
            format!("[[users.ann.keys]]\nkey = \"ssh-ed25519 {PUBLIC_KEY_BASE64}\"\naccess = \"{access}\"");
        World::with(&format!("{settings}\n{key}"))
    }

    fn with(settings: &str) -> World {
        let dir = TempDir::with_prefix("sshomed-service-").unwrap();
        let text = format!("[users.ann]\n{settings}\n");
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/users.toml"), text).unwrap();
        World::of(dir)
    }

    /// The same home after a restart. All its sessions have ended.
    pub(crate) fn restarted(self) -> World {
        let World { dir, homes, .. } = self;
        drop(homes);
        World::of(dir)
    }

    fn of(dir: TempDir) -> World {
        let config = sshomed::config::load(dir.path(), None, &[]).unwrap();
        let homes = Arc::new(PosixStore::default());
        (&*homes as &dyn HomeStore).serve(&homes_of(&config.accounts)).unwrap();
        // Waits until the home is counted.
        homes.count("ann").unwrap();
        let authenticator = Authenticator::new(Arc::new(TomlAccounts::new(&config.dir, &config.accounts)));
        let key = parse_public_key_base64(PUBLIC_KEY_BASE64).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let login = runtime.block_on(authenticator.public_key("ann", &key, [127, 0, 0, 1].into())).unwrap();
        World { home: dir.path().join("home/ann"), dir, homes, login }
    }

    /// Another session of hers.
    pub(crate) fn user(&self) -> User {
        User::enter(self.login.clone(), &*self.homes, &UserPermits::default()).unwrap()
    }

    /// One whose calls fail or hang as these say.
    pub(crate) fn faulty_user(&self, faults: &Arc<Faults>) -> User {
        let store = FaultyStore::new(Arc::clone(&self.homes) as Arc<dyn HomeStore>, faults);
        User::enter(self.login.clone(), &store, &UserPermits::default()).unwrap()
    }

    /// A session in an empty home in memory, whose files have one name each.
    pub(crate) fn user_without_hard_links(&self) -> User {
        let backing = MemoryBacking::new(Capabilities { hard_links: false, ..Capabilities::ALL });
        let store: &dyn HomeStore = &MemoryStore::on(&backing);
        store.serve(&[HomeSettings::from(&*self.login.account())]).unwrap();
        User::enter(self.login.clone(), store, &UserPermits::default()).unwrap()
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// The result of a scan by the server.
    pub(crate) fn count(&self) -> Comparison {
        self.homes.count("ann").unwrap()
    }

    /// Bytes that count against the quota.
    pub(crate) fn charged(&self) -> u64 {
        self.homes.usages().pop().unwrap().1.usage.charged().bytes
    }

    /// Bytes and entries that a scan finds.
    pub(crate) fn scan(&self) -> (u64, u64) {
        let (mut bytes, mut entries, mut seen) = (0, 0, HashSet::new());
        let mut folders = vec![self.home.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
                if entry.file_name() == sshome_store_posix::STAGING_DIRECTORY {
                    continue;
                }
                let meta = entry.path().symlink_metadata().unwrap();
                entries += 1;
                if meta.is_dir() {
                    folders.push(entry.path());
                } else if seen.insert(meta.ino()) {
                    bytes += meta.len();
                }
            }
        }
        (bytes, entries)
    }

    /// Compares the accounting with the disk. No operation may be running. `orphaned` is the number of bytes of open
    /// files without a name.
    pub(crate) fn assert_accounting(&self, orphaned: u64) {
        let usage = service::usage(&self.user()).unwrap().usage;
        let (bytes, entries) = self.scan();
        assert_eq!(
            (usage.used, usage.entries),
            (bytes + orphaned, entries),
            "the accounting differs from the disk"
        );
        assert_eq!(usage.reserved, 0, "something is reserved and nothing is under way");
    }
}

pub(crate) fn path(name: &str) -> RemotePath {
    RemotePath::root().join(name.as_bytes()).unwrap()
}

pub(crate) fn open(user: &User, name: &str, mode: OpenMode) -> OpenFile {
    OpenFile::open(user, &path(name), mode).unwrap()
}

pub(crate) fn is_over_quota<T: std::fmt::Debug>(result: Result<T>) -> bool {
    result.unwrap_err().status() == Status::QuotaExceeded
}

/// A put, as by the native protocol.
pub(crate) fn put(user: &User, name: &str, content: &[u8]) -> Result<()> {
    let put = Put {
        path: Vec::new(),
        size: Some(content.len() as u64),
        mtime: None,
        source: None,
        mode: None,
        resume: 0,
    };
    let mut upload = PutUpload::begin(user, &put, &path(name), None, None)?;
    upload.write(content)?;
    let mut hasher = BlockHasher::new();
    hasher.update(content);
    let (digest, size) = (hasher.finish(), content.len() as u64);
    let placement = upload.finish(&End { status: Status::Done, message: String::new(), digest, size })?;
    let (placed, synced) = publish(user, vec![placement], Vec::new());
    placed.into_iter().chain([synced]).collect()
}

/// The content of a file.
pub(crate) fn content(user: &User, name: &str) -> Vec<u8> {
    let file = open(user, name, READ_ONLY);
    let mut content = Vec::with_capacity(1 << 20);
    while file.read_at(content.len() as u64, &mut content, 1 << 20).unwrap() > 0 {}
    content
}
