//! The access that a home needs.

use crate::permission::{READ_FOLDER, WRITE_FOLDER};
use rustix::fs::Access;
use sshome_store::HomeSettings;

/// The access that the server needs to the home's directory.
pub(super) fn required_access(settings: &HomeSettings) -> Access {
    if settings.writable { WRITE_FOLDER } else { READ_FOLDER }
}
