//! What the settings say of one home.

use crate::permission::{READ, WRITE};
use rustix::fs::Access;
use sshome_store::quota::QuotaLimits;
use std::path::PathBuf;

/// What the settings say of one user's home.
#[derive(Clone, Debug)]
pub struct HomeSettings {
    /// The user.
    pub user: String,
    /// An absolute path, its symbolic links resolved as far as it exists.
    pub root: PathBuf,
    /// Whether the server makes the root if it is missing.
    pub make_root: bool,
    /// Why no home may be at `root`, with the remedy; `None` if one may.
    pub unfit: Option<String>,
    /// Whether the user may change anything.
    pub writable: bool,
    /// How much the home may hold.
    pub limits: QuotaLimits,
}

impl HomeSettings {
    /// The access that the server needs to the home's directory.
    pub(super) fn required_access(&self) -> Access {
        if self.writable { WRITE } else { READ }
    }
}
