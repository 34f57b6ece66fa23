//! Landlock: limits the files that the process can reach, and denies all ports.

use super::ConfineError;
use crate::accounts::{OwnKeys, unfit_root};
use crate::config::{Config, Confine};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    make_bitflags, path_beneath_rules,
};
use std::fmt;
use std::path::{Path, PathBuf};

/// The requested restrictions: files, truncation, TCP, devices, signals and abstract sockets. Linux 6.12 has all of
/// them.
const TARGET_ABI: ABI = ABI::V6;

/// The source of the local time zone. All other files of the system were read before.
const TIME_ZONE_PATHS: [&str; 2] = ["/usr/share/zoneinfo", "/etc/localtime"];

/// The restrictions that were applied.
#[derive(Clone, Debug)]
pub(super) struct Landlock {
    status: LandlockStatus,
    /// Whether the kernel enforces any of them.
    is_enforced: bool,
    /// The only folders that homes may be in.
    homes: Vec<PathBuf>,
}

impl Landlock {
    /// Confines this thread, and the threads that it starts, to the paths in the settings.
    ///
    /// # Errors
    /// If the complete sandbox is required and the kernel does not support it.
    pub(super) fn begin(config: &Config) -> Result<Landlock, ConfineError> {
        let homes = homes(config);
        let RestrictionStatus { ruleset, landlock: status, .. } = allowed(config, &homes)?.restrict_self()?;
        Ok(Landlock { status, is_enforced: ruleset != RulesetStatus::NotEnforced, homes })
    }

    /// Confines this thread, and the threads that it starts, to one folder.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn begin_in(folder: &Path, writable: bool) -> Result<Landlock, ConfineError> {
        let rights = if writable { home_rights() } else { make_bitflags!(AccessFs::{ReadFile | ReadDir}) };
        let allowed = ruleset(false)?
            .add_rules(path_beneath_rules([folder], rights))?
            .add_rules(path_beneath_rules(TIME_ZONE_PATHS, make_bitflags!(AccessFs::{ReadFile | ReadDir})))?;
        let RestrictionStatus { ruleset, landlock: status, .. } = allowed.restrict_self()?;
        let is_enforced = ruleset != RulesetStatus::NotEnforced;
        Ok(Landlock { status, is_enforced, homes: vec![folder.to_owned()] })
    }

    /// Whether a home may be at this path. If nothing is enforced, it may be anywhere.
    pub(super) fn allows(&self, root: &Path) -> bool {
        !self.is_enforced || self.homes.iter().any(|folder| root.starts_with(folder))
    }

    /// The restrictions that the kernel does not support.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let LandlockStatus::Available { effective_abi, .. } = self.status else {
            return Some(
                "this kernel has no Landlock, or it is disabled: all files of the account can be reached",
            );
        };
        if !self.is_enforced {
            return Some("this kernel's Landlock cannot allow moving files between folders: it is not used");
        }
        match effective_abi {
            ABI::V2 => Some("this kernel's Landlock knows neither truncation nor TCP"),
            ABI::V3 => Some("this kernel's Landlock does not know TCP"),
            ABI::V4 | ABI::V5 => Some("this kernel's Landlock knows neither signals nor abstract sockets"),
            _ => None,
        }
    }
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            LandlockStatus::Available { effective_abi, kernel_abi } if self.is_enforced => {
                write!(f, "Landlock ABI {}", kernel_abi.unwrap_or(*effective_abi as i32))
            }
            _ => f.write_str("no Landlock"),
        }
    }
}

/// Checks whether the kernel supports all restrictions, without applying any.
pub(super) fn examine(config: &Config) -> Result<(), ConfineError> {
    Ok(allowed(config, &homes(config)).map(drop)?)
}

/// The folders that homes are in: the common one, and each root outside it.
fn homes(config: &Config) -> Vec<PathBuf> {
    let own_keys = OwnKeys::of(&config.dir);
    // If the server's own files are below the common folder, a rule for it would expose them.
    let own = [config.file.as_path(), own_keys.folder()];
    let shared = !own.iter().any(|own| own.starts_with(&config.homes));
    let mut homes: Vec<PathBuf> = shared.then(|| config.homes.clone()).into_iter().collect();
    for account in config.accounts.iter().filter(|account| unfit_root(account).is_none()) {
        if !homes.iter().any(|folder| account.root.starts_with(folder)) {
            homes.push(account.root.clone());
        }
    }
    homes
}

/// A ruleset that denies everything, or everything that the kernel supports unless all of it is `required`.
fn ruleset(required: bool) -> Result<RulesetCreated, RulesetError> {
    let level = |otherwise| if required { CompatLevel::HardRequirement } else { otherwise };
    Ruleset::default()
        // Without this right no file could move from one folder to another.
        .set_compatibility(level(CompatLevel::SoftRequirement))
        .handle_access(AccessFs::Refer)?
        .set_compatibility(level(CompatLevel::BestEffort))
        .handle_access(AccessFs::from_all(TARGET_ABI))?
        // No ports at all: the server has bound its own, and makes no connections.
        .handle_access(AccessNet::from_all(TARGET_ABI))?
        .scope(Scope::from_all(TARGET_ABI))?
        .create()
}

fn allowed(config: &Config, homes: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let folder = |path: Option<&Path>| path.map(Path::to_owned);
    ruleset(config.confine == Confine::Required)?
        .add_rules(path_beneath_rules(homes, home_rights()))?
        .add_rules(path_beneath_rules([OwnKeys::of(&config.dir).folder()], read | replace_rights()))?
        .add_rules(path_beneath_rules(
            folder(config.log.file.as_deref().and_then(Path::parent)),
            replace_rights(),
        ))?
        .add_rules(path_beneath_rules(
            folder(config.control_socket.as_deref().and_then(Path::parent)),
            make_bitflags!(AccessFs::{ReadDir | MakeSock | RemoveFile}),
        ))?
        .add_rules(path_beneath_rules(settings(config), read))?
        .add_rules(path_beneath_rules([config.dir.join("keys")], read))?
        .add_rules(path_beneath_rules(&config.key_files, read))?
        .add_rules(path_beneath_rules(TIME_ZONE_PATHS, read))
}

/// The folders that settings are read from after the start. If the file is behind a symbolic link, the link may later
/// lead to another release next to its current target. A whole system folder such as /etc is not allowed for that.
fn settings(config: &Config) -> Vec<PathBuf> {
    let is_narrow = |folder: &PathBuf| folder.starts_with(&config.dir) || folder.components().count() > 2;
    let own = config.file.parent().map(Path::to_owned);
    config.settings_folders().into_iter().filter(is_narrow).chain(own).collect()
}

/// The rights that are needed in homes. Nothing is executed there, and devices are neither made nor controlled. Users
/// cannot make pipes and sockets, but may rename existing ones.
fn home_rights() -> BitFlags<AccessFs> {
    let devices = make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | IoctlDev});
    AccessFs::from_all(TARGET_ABI) & !devices
}

/// The rights that are needed to replace a file, by a rename or by rewriting it.
fn replace_rights() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile})
}
