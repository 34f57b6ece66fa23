//! A user's files. Only this module touches them.
//!
//! Everything goes through a directory handle that is opened at login, with the semantics of a
//! chroot: `..` at the top stays there, the target of an absolute link starts at the top, and
//! nothing leads out. The kernel does that in one call (`openat2` with `RESOLVE_IN_ROOT` and
//! `RESOLVE_NO_MAGICLINKS`), also when someone swaps a directory for a link meanwhile. Checks of
//! path strings do not stand for it, and there are none, but for the staging folder's name.

mod access;
mod acl;
mod canonical;
mod descriptors;
mod directory;
mod path_handle;
mod error;
mod deferred_mode;
mod handle;
mod homes;
mod inherit;
mod inspection;
mod listing;
mod location;
mod mode;
mod namespace;
mod partial_file;
mod prepare;
mod resolve;
mod root;
mod scan;
mod set_group;
mod settings;
mod shared;
mod partial_uploads;
mod staging;
mod digest_xattr;
mod stat;
mod stream_leases;
mod filesystem;
mod tree_walk;
mod staged_uploads;

pub use descriptors::{DescriptorPermit, Exhausted};
pub use path_handle::Entry;
pub use error::{Error, Result};
pub use deferred_mode::{Filling, finish_directory, open_to_owner};
pub use handle::Home;
pub use homes::{Homes, Prepared};
pub use inherit::{Permissions, umask};
pub use listing::{Attributes, DirectoryReader};
pub use location::{EntryId, Location};
pub use mode::permissions;
pub use namespace::Names;
pub use partial_file::{Left, Record, Source};
pub use prepare::{PrepareError, Unavailable, examine_home};
pub use root::{HomeRoot, RootProblem};
pub use settings::HomeSettings;
pub use partial_uploads::{Kept, Shelf};
pub use staging::Staged;
pub use digest_xattr::Stamp;
pub use stat::{file_id, freed_bytes, length, regular, replaced_file};
pub use stream_leases::{Claim, Streams};
pub use filesystem::Mark;
pub use tree_walk::{TREE_DESCRIPTORS, Tree, TreeItem};

/// The folder at the home's top that transfers are staged in, so that publishing is one rename on
/// one filesystem. No path of any subsystem reaches it, and no listing shows it.
pub const STAGING: &str = ".sshome-staging";
