//! Users' files: resolving paths, staging, publishing and scanning. Only this module opens files of a home.
//!
//! All access goes through an open handle of the home's top, with the semantics of a chroot: `..` at the top stays at the
//! top, absolute links start at the top, and no path leads outside. The kernel enforces that in one call (`openat2` with
//! `RESOLVE_IN_ROOT` and `RESOLVE_NO_MAGICLINKS`), even if a directory is replaced by a link meanwhile. Path strings are
//! never checked instead, except for the name of the staging folder.

mod access;
mod acl;
mod canonical;
mod counting;
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
mod recovery;
mod resolve;
mod root;
mod scan;
mod set_group;
mod settings;
mod shared;
mod staged_uploads;
mod staging;
mod stat;
mod tree_walk;

pub(crate) use counting::CountObserver;
pub use counting::CountPhase;
pub(crate) use deferred_mode::{DeferredMode, finalize_directory, open_to_owner};
pub(crate) use descriptors::{DescriptorPermit, DescriptorsExhausted};
pub(crate) use digest_xattr::StoredDigest;
pub(crate) use error::{Error, Result};
pub(crate) use filesystem::WritebackEpoch;
pub use filesystem::{SyncfsPhase, observe_syncfs};
pub(crate) use handle::HomeHandle;
pub(crate) use homes::Homes;
pub use inherit::umask;
pub(crate) use listing::DirectoryStream;
pub(crate) use location::Location;
pub(crate) use mode::permissions;
pub(crate) use namespace::NamespaceLock;
pub(crate) use partial_file::{PartialFile, UploadRecord};
pub(crate) use partial_uploads::{PartialUpload, PartialUploads};
pub use prepare::{examine_folder, examine_home};
pub(crate) use root::{HomeRoot, RootProblem};
pub(crate) use sshome_store::{StreamLease, StreamLeases};
pub(crate) use staging::StagedFile;
pub(crate) use stat::{file_id, info, length, regular, replaced_file};
pub(crate) use tree_walk::{TREE_DESCRIPTORS, TreeItem, TreeWalker};

/// The staging folder at the home's top. Uploads are staged in the home, so that publishing is a rename within one
/// filesystem. No client's path reaches it, and no listing shows it.
pub const STAGING_DIRECTORY: &str = ".sshome-staging";
