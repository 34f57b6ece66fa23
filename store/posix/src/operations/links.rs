//! Hard links.

use super::error::{Context, of_parent, over_quota};
use super::folders::NewName;
use super::{PosixHome, StoreError, StoreResult, check_counted, freed, other_mount, reserve_space};
use crate::home::{self, Location, NamespaceLock, file_id, regular};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sshome_store::quota::{FreedSpace, UsageChange};
use sshome_store::{EntryChange, MadeLink};
use sshome_wire::RemotePath;

/// See [`Home::hard_link`](sshome_store::Home::hard_link).
pub(crate) fn hard_link(
    home: &PosixHome,
    from: &RemotePath,
    to: &RemotePath,
    replaces: bool,
) -> StoreResult<MadeLink> {
    check_counted(home, to)?;
    let source = home.dir.locate_entry(from).of_file(from)?;
    let target = home.dir.locate(to).map_err(of_parent(home, to))?;
    let namespace = home.dir.lock_namespace();
    let stat = source.stat().of_file(from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        regular(&stat).of_file(from)?;
    }
    let existing = match replaces {
        true => target.stat_if_any().of_file(to)?,
        false => None,
    };
    let is_made = existing.is_some_and(|existing| file_id(&existing) == file_id(&stat));
    if !is_made {
        let link = Link { from, to, source: &source, target: &target };
        link.make(home, &stat, existing.as_ref(), &namespace)?;
    }
    let replaced = existing.is_some() && !is_made;
    drop(namespace);
    let (from, to) = (home.logged(&source, from), home.logged(&target, to));
    Ok(MadeLink { from, to, replaced, name: NewName::hold(home, target) })
}

/// A link that is to be made.
struct Link<'a> {
    from: &'a RemotePath,
    to: &'a RemotePath,
    source: &'a Location,
    target: &'a Location,
}

impl Link<'_> {
    /// Makes it, in place of a different file if there is one.
    fn make(
        &self,
        home: &PosixHome,
        stat: &Stat,
        replaced: Option<&Stat>,
        namespace: &NamespaceLock<'_>,
    ) -> StoreResult<()> {
        let freed = match replaced {
            Some(old) if FileType::from_raw_mode(old.st_mode) == FileType::Directory => {
                return Err(StoreError::IsDirectory { path: self.to.clone(), hint: "" });
            }
            Some(old) => {
                home.check_change(EntryChange::Remove, old, self.target, self.to)?;
                freed(&home.dir, self.target, old, namespace).of_file(self.to)?
            }
            None => FreedSpace::Nothing,
        };
        let entries = u64::from(replaced.is_none());
        let entry = home.ledger().reserve(0, entries).map_err(over_quota(self.to))?;
        reserve_space::end_credit(home, self.from, stat)?;
        let made = match replaced {
            Some(_) => home.dir.link_over(self.source, self.target, namespace),
            None => self.source.hard_link(self.target, namespace),
        };
        made.map_err(|error| match error {
            home::Error::Os(Errno::XDEV) => other_mount(home, self.target, self.to),
            error => StoreError::file(self.to, error.into()),
        })?;
        entry.commit_replacing(UsageChange { bytes: 0, entries: entries.cast_signed() }, freed);
        Ok(())
    }
}
