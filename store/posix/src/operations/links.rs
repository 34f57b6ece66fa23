//! Hard links.

use super::error::{Context, of_parent, over_quota};
use super::folders::NewName;
use super::{PosixHome, StoreError, StoreResult, check_counted, other_mount, reserve_space};
use crate::home::{self, regular};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_store::MadeLink;
use sshome_store::quota::UsageChange;
use sshome_wire::RemotePath;

/// See [`Home::hard_link`](sshome_store::Home::hard_link).
pub(crate) fn hard_link(home: &PosixHome, from: &RemotePath, to: &RemotePath) -> StoreResult<MadeLink> {
    check_counted(home, to)?;
    let source = home.dir.locate_entry(from).of_file(from)?;
    let target = home.dir.locate(to).map_err(of_parent(home, to))?;
    let namespace = home.dir.lock_namespace();
    let stat = source.stat().of_file(from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        regular(&stat).of_file(from)?;
    }
    let entry = home.ledger().reserve(0, 1).map_err(over_quota(to))?;
    reserve_space::end_credit(home, from, &stat)?;
    source.hard_link(&target, &namespace).map_err(|error| match error {
        home::Error::Os(Errno::XDEV) => other_mount(home, &target, to),
        error => StoreError::file(to, error.into()),
    })?;
    entry.commit(UsageChange { bytes: 0, entries: 1 });
    drop(namespace);
    let (from, to) = (home.logged(&source, from), home.logged(&target, to));
    Ok(MadeLink { from, to, name: NewName::hold(home, target) })
}
