//! The storage seam: the interface of a store of homes, independent of where it keeps them.
//!
//! A [`HomeStore`] holds the homes of all users. A [`Home`] is one of them, opened for a channel. Nothing below the
//! seam knows users and their permissions, and nothing above it knows disks. One seam covers names and quota, because
//! they change together: a file gets its name and is accounted for in one step. docs/adr/0021-storage-seam.md has the
//! reasons.

mod attributes;
mod block_upload;
#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
mod counting;
mod display;
mod entry;
mod error;
mod file;
mod file_handle;
mod home;
mod home_store;
mod home_usage;
#[cfg(feature = "conformance")]
pub mod memory;
mod open_mode;
pub mod quota;
mod step_limit;
mod stream_leases;
mod takeover;
mod upload;
mod wait;

pub use attributes::{NEW_FILE_MODE, SetAttributes, UploadPermissions};
pub use block_upload::{BlockSink, BlockUpload, BlockWriter};
pub use context::{ChangeGuard, Ctx, EntryChange};
pub use counting::Counting;
pub use display::{entries, shown};
pub use entry::{EntryId, EntryRef, MadeLink};
pub use error::{Cause, StoreError, StoreResult};
pub use file::{DirectoryEntry, FileInfo, FileType};
pub use file_handle::FileHandle;
pub use home::{
    DirectoryReader, Home, MadeDirectories, MakeDirectory, OnRemoved, Renamed, Replace, TreeRemoval,
    TreeStep, TreeWalk,
};
pub use home_store::{Capabilities, HomeProblem, HomeSettings, HomeStore, PrepareError, PreparedHome};
pub use home_usage::{DiskSpace, HomeUsage};
pub use open_mode::OpenMode;
pub use step_limit::StepLimit;
pub use stream_leases::{StreamLease, StreamLeases};
pub use takeover::Takeover;
pub use upload::{
    CheckedPartial, PartialCheck, PartialUploadInfo, PublishItem, PublishResult, Published, Upload,
    UploadSource, UploadSpec,
};
pub use wait::{Signal, Wait, Waiting};
