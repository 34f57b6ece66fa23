//! Homes on a local filesystem: the store of a single host.

mod home;
mod open_descriptors;
mod operations;
pub mod permission;
mod posix_home;
mod store;
mod system;

pub use home::{
    CountPhase, STAGING_DIRECTORY, SyncfsPhase, examine_folder, examine_home, observe_syncfs, umask,
};
pub use open_descriptors::OpenDescriptors;
pub use store::PosixStore;
pub use system::{SystemError, check_system};
