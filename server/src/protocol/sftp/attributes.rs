//! File attributes in SFTP packets, and the names of owners.

use crate::permission;
use crate::protocol::ls_format::LsFormat;
use crate::service::SetAttributes;
use sshome_store::FileInfo;
use sshome_wire::Time;
use sshome_wire::sftp::{Owner, SftpAttributes, Times};

/// The attributes of a file.
pub(super) fn attributes(info: &FileInfo) -> SftpAttributes {
    SftpAttributes {
        size: Some(info.size),
        owner: Some(Owner { uid: info.owner, gid: info.group }),
        permissions: Some(info.st_mode()),
        times: Some(Times { atime: seconds(info.accessed.seconds), mtime: seconds(info.modified.seconds) }),
        extended: Vec::new(),
    }
}

/// The attributes that a client wants to set.
pub(super) fn wanted(attributes: &SftpAttributes) -> SetAttributes {
    let time = |seconds: u32| Time { seconds: seconds.into(), nanoseconds: 0 };
    SetAttributes {
        size: attributes.size,
        mode: attributes.permissions,
        times: attributes.times.map(|times| (time(times.atime), time(times.mtime))),
        owner: attributes.owner.map(|owner| (owner.uid, owner.gid)),
    }
}

/// The nearest time that SFTP 3 can represent.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

/// Maps the server's uid and gid to the user's name: the system does not know the user. Other groups that the server is
/// in have their own names.
pub(super) struct OwnerNames {
    uid: u32,
    gid: u32,
    name: String,
}

impl OwnerNames {
    pub(super) fn of(user: &str) -> OwnerNames {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        OwnerNames { uid, gid, name: user.to_owned() }
    }

    pub(super) fn user(&self, uid: u32) -> Option<&str> {
        (uid == self.uid).then_some(&*self.name)
    }

    pub(super) fn group(&self, gid: u32) -> Option<&str> {
        (gid == self.gid).then_some(&*self.name).or_else(|| permission::own_group(gid))
    }

    /// The line of `ls -l` for an entry. The name is not escaped: that is up to the client.
    pub(super) fn line(&self, lines: &LsFormat, name: &[u8], info: &FileInfo) -> Vec<u8> {
        let known = |name: Option<&str>, id: u32| name.map_or_else(|| id.to_string(), str::to_owned);
        let owner = known(self.user(info.owner), info.owner);
        let group = known(self.group(info.group), info.group);
        [lines.before_name(info, &owner, &group, false).as_bytes(), b" ", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_store::FileType;
    use sshome_store::quota::FileId;

    #[test]
    fn an_unknown_owner_is_a_number() {
        let names = OwnerNames { uid: 5, gid: 6, name: "ann".to_owned() };
        let time = Time { seconds: 0, nanoseconds: 0 };
        let info = FileInfo {
            id: FileId { device: 1, inode: 2 },
            file_type: FileType::Regular,
            mode: 0o644,
            links: 1,
            owner: 5,
            group: 7,
            size: 0,
            accessed: time,
            modified: time,
            changed: time,
        };
        let line = names.line(&LsFormat::new(), b"a \xff", &info);
        assert!(line.windows(20).any(|part| part == b" ann      7         "), "{}", line.escape_ascii());
        assert!(line.ends_with(b" a \xff"));
    }

    #[test]
    fn a_time_is_clamped_to_the_range_of_version_3() {
        assert_eq!([seconds(-1), seconds(7), seconds(i64::MAX)], [0, 7, u32::MAX]);
    }
}
