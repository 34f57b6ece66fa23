//! Landlock: which files the process may reach from now on, whoever works in it, and no ports.

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

/// What is asked for: files, truncation, TCP, devices, signals and abstract sockets. Linux 6.12 has all of it.
const TARGET_ABI: ABI = ABI::V6;

/// Where local times come from. Everything else of the system was read before.
const TIME_ZONE_PATHS: [&str; 2] = ["/usr/share/zoneinfo", "/etc/localtime"];

/// What has come of it.
#[derive(Clone, Debug)]
pub(super) struct Landlock {
    status: LandlockStatus,
    /// Whether the kernel does any of it.
    is_enforced: bool,
    /// Homes may lie in these, and nowhere else.
    homes: Vec<PathBuf>,
}

impl Landlock {
    /// Confines this thread, and those that it begins, to what the settings name.
    ///
    /// # Errors
    /// If all of it is required, and the kernel does not have it.
    pub(super) fn begin(config: &Config) -> Result<Landlock, ConfineError> {
        let homes = homes(config);
        let RestrictionStatus { ruleset, landlock: status, .. } = allowed(config, &homes)?.restrict_self()?;
        Ok(Landlock { status, is_enforced: ruleset != RulesetStatus::NotEnforced, homes })
    }

    /// Whether a home may lie there. Where nothing is enforced it may lie anywhere.
    pub(super) fn allows(&self, root: &Path) -> bool {
        !self.is_enforced || self.homes.iter().any(|folder| root.starts_with(folder))
    }

    /// What the kernel did not do.
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

/// Whether the kernel can do all that is asked for. Nothing is confined.
pub(super) fn examine(config: &Config) -> Result<(), ConfineError> {
    Ok(allowed(config, &homes(config)).map(drop)?)
}

/// The folders that homes lie in: the common one, and each root that lies elsewhere.
fn homes(config: &Config) -> Vec<PathBuf> {
    let own_keys = OwnKeys::of(&config.dir);
    // A common folder that holds the server's own files as well would open them all.
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

fn allowed(config: &Config, homes: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    let required = config.confine == Confine::Required;
    let level = |otherwise| if required { CompatLevel::HardRequirement } else { otherwise };
    let files = AccessFs::from_all(TARGET_ABI);
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let folder = |path: Option<&Path>| path.map(Path::to_owned);
    Ruleset::default()
        // Without this right no file could move from one folder to another.
        .set_compatibility(level(CompatLevel::SoftRequirement))
        .handle_access(AccessFs::Refer)?
        .set_compatibility(level(CompatLevel::BestEffort))
        .handle_access(files)?
        // No port at all: the server has bound its own, and connects to nobody.
        .handle_access(AccessNet::from_all(TARGET_ABI))?
        .scope(Scope::from_all(TARGET_ABI))?
        .create()?
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

/// The folders that settings are read from after the start. If the file is behind a symbolic link, another release
/// beside the link's target may be its target next. A whole folder of the system, as /etc, is not opened for that.
fn settings(config: &Config) -> Vec<PathBuf> {
    let is_narrow = |folder: &PathBuf| folder.starts_with(&config.dir) || folder.components().count() > 2;
    let own = config.file.parent().map(Path::to_owned);
    config.settings_folders().into_iter().filter(is_narrow).chain(own).collect()
}

/// What is done in homes. Nothing is executed there, and no device is made or asked to do something. Pipes and
/// sockets cannot be made by users, but those that are there may be renamed.
fn home_rights() -> BitFlags<AccessFs> {
    let devices = make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | IoctlDev});
    AccessFs::from_all(TARGET_ABI) & !devices
}

/// What it takes to replace a file, by a rename or by writing it anew.
fn replace_rights() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile})
}
