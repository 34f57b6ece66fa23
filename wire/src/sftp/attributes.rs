use super::Extension;
use super::fields::{Fields, Flaw, put_extensions};
use alloc::vec::Vec;
use bytes::BufMut;

/// The bits of present attributes, section 5. Other bits are ignored, as in OpenSSH: if one meant a field, the packet
/// would have the wrong length.
mod flag {
    pub(super) const SIZE: u32 = 0x1;
    pub(super) const UIDGID: u32 = 0x2;
    pub(super) const PERMISSIONS: u32 = 0x4;
    pub(super) const ACMODTIME: u32 = 0x8;
    pub(super) const EXTENDED: u32 = 0x8000_0000;
}

/// Attributes of a file, reported or to be set (section 5). `None` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SftpAttributes {
    /// Length in bytes.
    pub size: Option<u64>,
    /// Numbers of the owner and the group.
    pub owner: Option<Owner>,
    /// The mode as in `stat(2)`, with the bits of the file type.
    pub permissions: Option<u32>,
    /// Times.
    pub times: Option<Times>,
    /// Extended attributes.
    pub extended: Vec<Extension>,
}

/// Numbers of the owner and the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The last access.
    pub atime: u32,
    /// The last change of the content.
    pub mtime: u32,
}

impl SftpAttributes {
    pub(super) fn decode(fields: &mut Fields) -> Result<SftpAttributes, Flaw> {
        let flags = fields.u32()?;
        let has = |flag| flags & flag != 0;
        let mut attributes = SftpAttributes::default();
        if has(flag::SIZE) {
            attributes.size = Some(fields.u64()?);
        }
        if has(flag::UIDGID) {
            attributes.owner = Some(Owner { uid: fields.u32()?, gid: fields.u32()? });
        }
        if has(flag::PERMISSIONS) {
            attributes.permissions = Some(fields.u32()?);
        }
        if has(flag::ACMODTIME) {
            attributes.times = Some(Times { atime: fields.u32()?, mtime: fields.u32()? });
        }
        if has(flag::EXTENDED) {
            // Each has at least its two lengths, so a false count allocates nothing.
            for _ in 0..fields.u32()? {
                attributes.extended.push(fields.extension()?);
            }
        }
        Ok(attributes)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |there: bool, flag: u32| if there { flag } else { 0 };
        out.put_u32(
            flag(self.size.is_some(), flag::SIZE)
                | flag(self.owner.is_some(), flag::UIDGID)
                | flag(self.permissions.is_some(), flag::PERMISSIONS)
                | flag(self.times.is_some(), flag::ACMODTIME)
                | flag(!self.extended.is_empty(), flag::EXTENDED),
        );
        if let Some(size) = self.size {
            out.put_u64(size);
        }
        if let Some(Owner { uid, gid }) = self.owner {
            out.put_u32(uid);
            out.put_u32(gid);
        }
        if let Some(permissions) = self.permissions {
            out.put_u32(permissions);
        }
        if let Some(Times { atime, mtime }) = self.times {
            out.put_u32(atime);
            out.put_u32(mtime);
        }
        if !self.extended.is_empty() {
            out.put_u32(self.extended.len() as u32);
            put_extensions(out, &self.extended);
        }
    }
}
