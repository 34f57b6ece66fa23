//! The attributes that a client wants to set.

use sshome_wire::Time;

/// Attributes to set; `None` leaves an attribute unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Length in bytes; added bytes are zero.
    pub size: Option<u64>,
    /// Permissions. Set-id bits are dropped, and a directory stays readable for its owner.
    pub mode: Option<u32>,
    /// Access time and modification time.
    pub times: Option<(Time, Time)>,
    /// User and group id; [`u32::MAX`] leaves one unchanged. The owner cannot change, and the group only to one of the
    /// server's own.
    pub owner: Option<(u32, u32)>,
}

impl SetAttributes {
    /// Whether only owner or group is to be set.
    #[must_use]
    pub fn is_owner_only(&self) -> bool {
        self.size.is_none() && self.mode.is_none() && self.times.is_none()
    }

    /// Whether at most the size is to be set.
    #[must_use]
    pub fn is_size_only(&self) -> bool {
        self.owner.is_none() && self.mode.is_none() && self.times.is_none()
    }
}

/// The permissions that an uploaded file gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadPermissions {
    /// Those of the file that it replaces. A new file gets these, restricted by the directory's default access control
    /// list, or else by the umask.
    Inherited(u32),
    /// Exactly these.
    Exact(u32),
}

/// A new file's permissions, before the umask or its directory's default access control list applies.
pub const NEW_FILE_MODE: u32 = 0o666;
