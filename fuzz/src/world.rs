use sshome_store::HomeStore;
use sshome_store::quota::{Amount, LedgerUsage};
use sshome_store_posix::PosixStore;
use sshomed::accounts::{Account, TomlAccounts, homes_of};
use sshomed::auth::{Authenticator, Login, Password, hash_password};
use sshomed::config;
use sshomed::protocol::BlockingPool;
use sshomed::service::{User, UserPermits};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The quota of the home, in bytes.
const QUOTA_BYTES: u64 = 1 << 20;

/// The limit of its entries.
const MAX_FILES: u64 = 30;

/// A home, a folder outside of it, and a logged-in user.
pub struct World {
    dir: TempDir,
    accounts: Vec<Arc<Account>>,
    login: Login,
    runtime: Runtime,
    threads: BlockingPool,
}

impl World {
    /// A server's folder with one user, ann.
    pub fn new() -> World {
        let dir = TempDir::new().expect("a temporary folder");
        let password = || Password::new("only here");
        fs::create_dir(dir.path().join("etc")).expect("a folder");
        let text = format!("[server]\n[users.ann]\nquota = {QUOTA_BYTES}\nmax-files = {MAX_FILES}\n");
        fs::write(dir.path().join("etc/users.toml"), text).expect("a file");
        fs::write(dir.path().join("secret"), "outside").expect("a file");
        let mut config = config::load(dir.path(), None, &[]).expect("a configuration");
        for account in &mut config.accounts {
            Arc::make_mut(account).password = Some(hash_password(&password()).expect("a hash"));
        }
        // With fewer workers, no slice would run inline.
        let runtime = Builder::new_multi_thread().worker_threads(3).enable_time().build().expect("a runtime");
        let threads = runtime.block_on(async { BlockingPool::of_this_runtime() }).expect("threads");
        let authenticator = Authenticator::new(Arc::new(TomlAccounts::new(&config.dir, &config.accounts)));
        let login = runtime.block_on(authenticator.password("ann", password())).expect("a login");
        World { dir, accounts: config.accounts, login, runtime, threads }
    }

    /// The pool that runs slices.
    pub fn threads(&self) -> &BlockingPool {
        &self.threads
    }

    /// The path of the home.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home/ann")
    }

    /// Runs `act` in the home, which has a file, a folder and a link at first.
    ///
    /// # Panics
    /// If the accounting then differs from a scan of the disk, if the home exceeds its limits, or if anything outside
    /// has changed.
    pub fn visit<T>(&self, act: impl AsyncFnOnce(User) -> T) -> T {
        begin_anew(&self.home());
        remove(&self.dir.path().join("keys"));
        let homes = self.served();
        let user =
            User::enter(self.login.clone(), &*homes, &UserPermits::default()).expect("the user's home");
        let done = self.runtime.block_on(act(user));
        let booked = usage(&*homes);
        drop(homes);
        let homes = self.served();
        let found = usage(&*homes);
        // Files may lend more to partial uploads than before: a restart computes the credit again.
        assert_eq!(
            (booked.used, booked.staged),
            (found.used, found.staged),
            "what is booked is what is there"
        );
        let Amount { bytes, entries } = found.charged();
        assert!(bytes <= QUOTA_BYTES && entries <= MAX_FILES, "{found:?}");
        assert_eq!(fs::read(self.dir.path().join("secret")).expect("what is outside"), b"outside");
        for beside in fs::read_dir(self.dir.path()).expect("the server's folder") {
            // Users may install keys, in the folder `keys`.
            let name = beside.expect("an entry").file_name();
            assert!(["etc", "home", "keys", "secret"].iter().any(|known| name == *known), "{name:?}");
        }
        drop(homes);
        done
    }

    /// A store that serves the home.
    fn served(&self) -> Arc<dyn HomeStore> {
        let homes: Arc<dyn HomeStore> = Arc::new(PosixStore::default());
        homes.serve(&homes_of(&self.accounts)).expect("a home");
        // Waits until it is counted.
        homes.count("ann").expect("a home that can be read");
        homes
    }
}

/// The accounting of ann's home.
fn usage(homes: &dyn HomeStore) -> LedgerUsage {
    homes.usages().into_iter().find(|(user, _)| user == "ann").expect("her home").1.usage
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.expect("what the run before has left"),
    }
}

fn begin_anew(home: &Path) {
    remove(home);
    fs::create_dir_all(home.join("d")).expect("a folder");
    fs::write(home.join("there"), [7; 5000]).expect("a file");
    symlink("/../../secret", home.join("out")).expect("a link");
}
