//! POSIX access control lists in the kernel's binary form (linux/posix_acl_xattr.h): a version, and entries of tag,
//! permissions and id, little-endian.

use super::Result;
use rustix::io::Errno;
use std::path::PathBuf;

pub(super) const ACCESS_ACL: &str = "system.posix_acl_access";
pub(super) const DEFAULT_ACL: &str = "system.posix_acl_default";

/// The kernel's limit for a list, in bytes.
const MAX_ACL_BYTES: usize = 64 << 10;

const ACL_VERSION: u32 = 2;

const ACL_USER_OBJ: u16 = 0x01;
const ACL_GROUP_OBJ: u16 = 0x04;
const ACL_MASK: u16 = 0x10;
const ACL_OTHER: u16 = 0x20;

/// The permissions of owner, group and others, and of named users and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acl(Vec<AclEntry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AclEntry {
    tag: u16,
    permissions: u16,
    id: u32,
}

impl Acl {
    /// Decodes an attribute's value; `None` if it is not a list of this version.
    pub(super) fn decode(value: &[u8]) -> Option<Acl> {
        let (version, mut rest) = value.split_first_chunk::<4>()?;
        let mut entries = Vec::new();
        while let Some(([t0, t1, p0, p1, i0, i1, i2, i3], more)) = rest.split_first_chunk::<8>() {
            entries.push(AclEntry {
                tag: u16::from_le_bytes([*t0, *t1]),
                permissions: u16::from_le_bytes([*p0, *p1]),
                id: u32::from_le_bytes([*i0, *i1, *i2, *i3]),
            });
            rest = more;
        }
        (u32::from_le_bytes(*version) == ACL_VERSION && !entries.is_empty()).then_some(Acl(entries))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = ACL_VERSION.to_le_bytes().to_vec();
        for AclEntry { tag, permissions, id } in &self.0 {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    /// The list and the mode of a file that is created with `mode` in a directory with this default list. The list is
    /// `None` if the mode alone expresses it.
    pub(super) fn of_new_file(mut self, mode: u32) -> (Option<Acl>, u32) {
        let mut left = mode & 0o777;
        let mut limit = |entry: &mut AclEntry, shift: u32| {
            let permissions = u32::from(entry.permissions) & left >> shift & 0o7;
            entry.permissions = permissions as u16;
            left = left & !(0o7 << shift) | permissions << shift;
        };
        let has_mask = self.permissions(ACL_MASK).is_some();
        for entry in &mut self.0 {
            match entry.tag {
                ACL_USER_OBJ => limit(entry, 6),
                ACL_MASK => limit(entry, 3),
                ACL_GROUP_OBJ if !has_mask => limit(entry, 3),
                ACL_OTHER => limit(entry, 0),
                _ => {}
            }
        }
        let says_more =
            self.0.iter().any(|entry| !matches!(entry.tag, ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER));
        (says_more.then_some(self), left)
    }

    /// Grants the owning group no more than others.
    pub(super) fn restrict_group(&mut self) {
        let others = self.permissions(ACL_OTHER).unwrap_or(0);
        for entry in self.0.iter_mut().filter(|entry| entry.tag == ACL_GROUP_OBJ) {
            entry.permissions &= others;
        }
    }

    fn permissions(&self, tag: u16) -> Option<u16> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.permissions)
    }
}

/// The access control list in the attribute `name` of the file at a path; `None` if it has none.
pub(super) fn read_acl(path: &PathBuf, name: &str) -> Result<Option<Acl>> {
    let mut value = vec![0; 1 << 10];
    loop {
        // A directory's path is a link in /proc, to be followed; a file's name is not.
        let length = match name {
            DEFAULT_ACL => rustix::fs::getxattr(path, name, &mut value[..]),
            _ => rustix::fs::lgetxattr(path, name, &mut value[..]),
        };
        match length {
            Ok(length) => return Ok(value.get(..length).and_then(Acl::decode)),
            Err(Errno::RANGE) if value.len() < MAX_ACL_BYTES => value.resize(MAX_ACL_BYTES, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACL_USER: u16 = 0x02;

    fn acl(entries: &[(u16, u16)]) -> Acl {
        Acl(entries
            .iter()
            .map(|(tag, permissions)| AclEntry { tag: *tag, permissions: *permissions, id: 7 })
            .collect())
    }

    #[test]
    fn an_encoded_list_decodes_to_itself() {
        let list =
            acl(&[(ACL_USER_OBJ, 7), (ACL_USER, 6), (ACL_GROUP_OBJ, 5), (ACL_MASK, 7), (ACL_OTHER, 0)]);
        assert_eq!(Acl::decode(&list.encode()), Some(list.clone()));
        assert_eq!(list.encode()[..12], [2, 0, 0, 0, 1, 0, 7, 0, 7, 0, 0, 0]);
        for value in [&b""[..], b"\x02\0\0\0", b"\x03\0\0\0\x01\0\x07\0\0\0\0\0"] {
            assert_eq!(Acl::decode(value), None);
        }
    }

    #[test]
    fn a_new_file_inherits_a_default_list_limited_by_its_mode() {
        let list =
            acl(&[(ACL_USER_OBJ, 7), (ACL_USER, 7), (ACL_GROUP_OBJ, 5), (ACL_MASK, 7), (ACL_OTHER, 0)]);
        let wanted =
            acl(&[(ACL_USER_OBJ, 6), (ACL_USER, 7), (ACL_GROUP_OBJ, 5), (ACL_MASK, 6), (ACL_OTHER, 0)]);
        assert_eq!(list.clone().of_new_file(0o666), (Some(wanted), 0o660));
        let wanted =
            acl(&[(ACL_USER_OBJ, 4), (ACL_USER, 7), (ACL_GROUP_OBJ, 5), (ACL_MASK, 0), (ACL_OTHER, 0)]);
        assert_eq!(list.of_new_file(0o400), (Some(wanted), 0o400));
        // The mode alone expresses it: no list is needed.
        let list = acl(&[(ACL_USER_OBJ, 7), (ACL_GROUP_OBJ, 7), (ACL_OTHER, 5)]);
        assert_eq!(list.of_new_file(0o666), (None, 0o664));
    }

    #[test]
    fn a_wrong_group_gets_no_more_than_others() {
        let mut list = acl(&[(ACL_USER_OBJ, 7), (ACL_GROUP_OBJ, 7), (ACL_MASK, 7), (ACL_OTHER, 4)]);
        list.restrict_group();
        assert_eq!(list, acl(&[(ACL_USER_OBJ, 7), (ACL_GROUP_OBJ, 4), (ACL_MASK, 7), (ACL_OTHER, 4)]));
    }
}
