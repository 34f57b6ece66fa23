//! The sandbox: drops root, capabilities, new privileges and core dumps, and denies access to unneeded files and ports.
//!
//! Landlock rules and capabilities apply per thread and are inherited. So the sandbox is set up while there is a single
//! thread, before the async runtime.

mod account;
mod error;
mod folders;
mod landlock;

pub use account::AccountError;
pub use error::ConfineError;

use self::landlock::Landlock;
use crate::config::{Config, Confine};
use crate::permission;
use account::SystemAccount;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, geteuid, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use sshome_wire::display::Escaped;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The steps that may need root, before the server becomes its account.
#[derive(Debug)]
pub struct Preparation {
    account: Option<SystemAccount>,
}

/// The active sandbox. The default is none, for a server within another program.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    account: Option<String>,
    is_root: bool,
    /// Whether new privileges, capabilities and core dumps are disabled.
    hardened: bool,
    /// `None` if it is disabled.
    landlock: Option<Landlock>,
}

impl Preparation {
    /// Looks up the account, and creates missing folders that the server writes to.
    ///
    /// # Errors
    /// If there is no such account, this process cannot become it, or a folder cannot be created.
    pub fn begin(config: &Config) -> Result<Preparation, ConfineError> {
        let account = config.account.as_deref().map(SystemAccount::find).transpose()?;
        match &account {
            None if geteuid().is_root() => no_strangers(config)?,
            Some(account) if !account.is_current() => {}
            // Before anything is created, so that all problems are reported at once.
            _ => usable(config, true)?,
        }
        if account.is_some() || config.confine != Confine::Off {
            // Landlock rules need existing paths.
            let owner = account.as_ref().filter(|account| !account.is_current());
            folders::make(config, owner)?;
        }
        Ok(Preparation { account })
    }

    /// Becomes the account, and sandboxes the process. Call it after binding sockets and loading host keys, while this
    /// is the only thread.
    ///
    /// # Errors
    /// If a requirement of the settings fails. The process must end then.
    pub fn confine(self, config: &Config) -> Result<Confinement, ConfineError> {
        let became = self.account.as_ref().is_some_and(|account| !account.is_current());
        if let Some(account) = &self.account {
            account.enter()?;
        }
        permission::remember_names();
        let mut confinement = Confinement {
            account: self.account.map(SystemAccount::into_name),
            is_root: geteuid().is_root(),
            ..Confinement::default()
        };
        if config.confine != Confine::Off {
            harden()?;
            confinement.hardened = true;
            confinement.landlock = Some(Landlock::begin(config)?);
        }
        if became {
            // Root has read the host keys.
            usable(config, false)?;
        }
        if confinement.hardened || confinement.account.is_some() {
            // Files that a reload reads.
            config
                .load_again()
                .map_err(|error| ConfineError::Settings { confinement: confinement.to_string(), error })?;
        }
        Ok(confinement)
    }
}

/// Refuses to start as an account that cannot use the server's own files.
fn usable(config: &Config, host_keys: bool) -> Result<(), ConfineError> {
    let account = permission::account();
    let complaints = folders::complaints(config, &account, host_keys);
    if complaints.is_empty() {
        return Ok(());
    }
    match other_owner(config, &account) {
        Some((path, owner)) => Err(ConfineError::ForeignAccount { path, owner }),
        None => Err(ConfineError::NotTheirs { account, complaints }),
    }
}

/// The account that the server usually runs as, if this process is a different one: the owner of its folder and its
/// settings or, if that is root, the owner of the control socket's folder. Files of root may be left from a start as
/// root.
fn other_owner(config: &Config, account: &str) -> Option<(PathBuf, String)> {
    let owned = |path: &Path| Some((path.to_owned(), permission::owner(path)?));
    let settings: Vec<_> = [&config.dir, &config.file].into_iter().filter_map(|path| owned(path)).collect();
    if settings.iter().any(|(_, owner)| owner == account) {
        return None;
    }
    let socket = config.control_socket.as_deref().and_then(Path::parent).and_then(owned);
    settings.into_iter().chain(socket).find(|(_, owner)| owner != "root" && owner != account)
}

/// Refuses to start as root if the server's files belong to another account.
fn no_strangers(config: &Config) -> Result<(), ConfineError> {
    let foreign = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|found| found.uid() != 0);
    match [&config.dir, &config.file].into_iter().find(foreign) {
        Some(path) => {
            let owner = permission::owner(path).unwrap_or_default();
            Err(ConfineError::Foreign { path: path.clone(), owner })
        }
        None => Ok(()),
    }
}

/// Why this account cannot start the server at all. Other failures follow from it.
#[must_use]
pub fn examine_account(config: &Config) -> Option<String> {
    let refused = match config.account.as_deref().map(SystemAccount::find).transpose() {
        Err(error) => Some(error.into()),
        Ok(None) if geteuid().is_root() => no_strangers(config).err(),
        Ok(Some(account)) if !account.is_current() => None,
        Ok(_) => {
            usable(config, true).err().filter(|error| matches!(error, ConfineError::ForeignAccount { .. }))
        }
    };
    refused.map(|error: ConfineError| error.to_string())
}

/// The problems with accounts and folders that would prevent a start. Changes only this process, which becomes the
/// server's account.
#[must_use]
pub fn examine(config: &Config) -> Vec<ConfineError> {
    let account = match config.account.as_deref().map(SystemAccount::find).transpose() {
        Ok(account) => account,
        Err(error) => return vec![error.into()],
    };
    let examined = match &account {
        Some(account) if !account.is_current() => {
            account.enter().map_err(ConfineError::from).and_then(|()| usable(config, false))
        }
        _ => usable(config, true),
    };
    let read = config.load_again().map(drop).map_err(|error| ConfineError::Settings {
        confinement: format!("account {}", permission::account()),
        error,
    });
    let landlock = if config.confine == Confine::Required { landlock::examine(config) } else { Ok(()) };
    [examined, read, landlock].into_iter().filter_map(Result::err).collect()
}

impl Confinement {
    /// Sandboxes this process to one folder, which it may only read unless it is `writable`. Call it while this is the only
    /// thread.
    ///
    /// # Errors
    /// If the kernel refuses. The process must end then.
    pub fn to_folder(folder: &Path, writable: bool) -> Result<Confinement, ConfineError> {
        permission::remember_names();
        harden()?;
        let landlock = Some(Landlock::begin_in(folder, writable)?);
        Ok(Confinement { hardened: true, landlock, ..Confinement::default() })
    }

    /// Whether the sandbox allows a home at this path.
    #[must_use]
    pub fn allows(&self, root: &Path) -> bool {
        self.landlock.as_ref().is_none_or(|landlock| landlock.allows(root))
    }

    /// Logs the active parts of the sandbox, and the missing ones.
    pub fn log(&self) {
        tracing::info!("confined: {self}");
        if self.is_root {
            tracing::warn!(
                "running as root: set account = \"sshome\" in [server] to drop privileges after binding (docs/operating.md)"
            );
        }
        if let Some(missing) = self.landlock.as_ref().and_then(Landlock::missing) {
            tracing::warn!("not confined: {missing}");
        }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.account, self.is_root) {
            (Some(account), _) => write!(f, "account {}", Escaped(account.as_bytes()))?,
            (None, true) => f.write_str("root")?,
            (None, false) => f.write_str("the account that started it")?,
        }
        match &self.landlock {
            Some(landlock) => write!(f, ", {landlock}")?,
            None => f.write_str(", no Landlock")?,
        }
        match self.hardened {
            true => f.write_str(", no new privileges, no core dumps"),
            false => f.write_str(", nothing else"),
        }
    }
}

/// Disables core dumps, and access of other processes of the account to this process's memory.
///
/// # Errors
/// If the kernel refuses.
pub fn no_core_dumps() -> Result<(), ConfineError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(refused("disable core dumps"))?;
    // A core dump collector ignores the limit, but gets no dump of a process that is not dumpable.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused("disable core dumps"))
}

/// Disables core dumps, new privileges and, without root, capabilities.
fn harden() -> Result<(), ConfineError> {
    no_core_dumps()?;
    rustix::thread::set_no_new_privs(true).map_err(refused("rule out new privileges"))?;
    let has = rustix::thread::capabilities(None).map_err(refused("read its capabilities"))?;
    // A service manager that removed all capabilities may also have denied the system call.
    if !geteuid().is_root() && !(has.permitted | has.inheritable).is_empty() {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::clear_ambient_capability_set().map_err(refused("give up capabilities"))?;
        rustix::thread::set_capabilities(None, none).map_err(refused("give up capabilities"))?;
    }
    Ok(())
}

fn refused(what: &'static str) -> impl Fn(Errno) -> ConfineError {
    move |error| ConfineError::Kernel { what, error: error.into() }
}
