//! Users' files: resolving paths, staging, publishing and scanning. Only this module opens files of a home.
//!
//! All access goes through an open handle of the home's top, with the semantics of a chroot: `..` at the top stays at the
//! top, absolute links start at the top, and no path leads outside. The kernel enforces that in one call (`openat2` with
//! `RESOLVE_IN_ROOT` and `RESOLVE_NO_MAGICLINKS`), even if a directory is replaced by a link meanwhile. Path strings are
//! never checked instead, except for the name of the staging folder.

mod access;
mod acl;
mod canonical;
mod deferred_mode;
mod descriptors;
mod digest_xattr;
mod directory;
mod error;
mod filesystem;
mod handle;
mod homes;
mod inherit;
mod inspection;
mod listing;
mod location;
mod mode;
mod namespace;
mod partial_file;
mod partial_uploads;
mod path_handle;
mod prepare;
mod resolve;
mod root;
mod scan;
mod set_group;
mod settings;
mod shared;
mod staged_uploads;
mod staging;
mod stat;
mod stream_leases;
mod tree_walk;

pub use deferred_mode::{DeferredMode, finalize_directory, open_to_owner};
pub use descriptors::{DescriptorPermit, DescriptorsExhausted};
pub use digest_xattr::StoredDigest;
pub use error::{Error, Result};
pub use filesystem::{SyncfsPhase, WritebackEpoch, observe_syncfs};
pub use handle::Home;
pub use homes::{Homes, PreparedHome};
pub use inherit::{StagedPermissions, umask};
pub use listing::{DirectoryEntry, DirectoryReader};
pub use location::{EntryId, Location};
pub use mode::permissions;
pub use namespace::NamespaceLock;
pub use partial_file::{PartialFile, UploadRecord, UploadSource};
pub use partial_uploads::{PartialUpload, PartialUploads};
pub use path_handle::PathHandle;
pub use prepare::{HomeProblem, PrepareError, examine_home};
pub use root::{HomeRoot, RootProblem};
pub use settings::HomeSettings;
pub use staging::StagedFile;
pub use stat::{file_id, freed_bytes, length, regular, replaced_file};
pub use stream_leases::{StreamLease, StreamLeases};
pub use tree_walk::{TREE_DESCRIPTORS, TreeItem, TreeWalk};

/// The staging folder at the home's top. Uploads are staged in the home, so that publishing is a rename within one
/// filesystem. No client's path reaches it, and no listing shows it.
pub const STAGING_DIRECTORY: &str = ".sshome-staging";
