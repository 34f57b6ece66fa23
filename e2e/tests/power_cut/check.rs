//! Opens homes after a power cut, and compares them with what was promised.

use crate::history::{Content, Entry, Expected};
use crate::store::{QUOTA_BYTES, STAGING, Session, Settings, Source, USERS};
use crate::workload::Recording;
use anyhow::{Context, Result, bail, ensure};
use sshome_e2e::recorder::Event;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The counts of the checks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Files that were as they should be.
    pub(crate) files: usize,
    /// Partial uploads that were found.
    pub(crate) parts: usize,
    /// Those that were resumed.
    pub(crate) resumed: usize,
}

/// The content of a home.
struct Found {
    /// Without the staging folder.
    entries: BTreeMap<String, Entry>,
    sizes: BTreeMap<String, u64>,
    inodes: HashSet<u64>,
    staged: u64,
}

/// Checks the homes in `folder` after a cut at the end of `events`. `is_strict`: changes are undone in order, so the
/// charged bytes are within the quota.
pub(crate) fn check(
    folder: &Path,
    settings: &Settings,
    recording: &Recording,
    events: &[Event],
    is_strict: bool,
    tally: &mut Tally,
) -> Result<()> {
    let store = settings.start().context("the homes cannot be opened")?;
    for (user, name) in USERS.into_iter().enumerate() {
        let home = folder.join("home").join(name);
        let session = store.session(user).with_context(|| format!("{name}'s home cannot be opened"))?;
        let of_user = recording.sessions.iter().enumerate().filter(|(_, (other, _))| *other == user);
        let sessions: Vec<_> = of_user.map(|(number, (_, history))| (number, history)).collect();
        let expected = Expected::after(events, &sessions);
        let found = Found::of(&home)?;
        accounting(&session, &expected, &found, is_strict).with_context(|| format!("{name}'s quota"))?;
        tally.files += names(&session, &expected, &found)?;
        let sources: Vec<_> =
            recording.sources.iter().filter(|(other, _)| *other == user).map(|(_, source)| source).collect();
        parts(&session, &sources, tally)?;
        session.discard(None)?;
        let (found, charged) = (Found::of(&home)?, session.charged()?);
        let (used, staged) = (found.sizes.values().sum::<u64>(), found.staged);
        ensure!(
            (charged.used, charged.reserved, staged) == (used, 0, 0),
            "{name}: at the end {} are used of {used}, {} are reserved, {staged} are staged",
            charged.used,
            charged.reserved
        );
    }
    Ok(())
}

/// Used and reserved bytes cover the disk's, and are within the quota.
fn accounting(session: &Session, expected: &Expected, found: &Found, is_strict: bool) -> Result<()> {
    let charged = session.charged()?;
    let on_disk = found.sizes.values().sum::<u64>();
    ensure!(charged.used == on_disk, "{} are used, {on_disk} are on the disk", charged.used);
    let parts: u64 = session.parts().iter().map(|part| part.length).sum();
    let staged = found.staged;
    ensure!(
        charged.reserved >= staged && staged == parts,
        "{} are reserved, {staged} are staged, {parts} are in partial uploads",
        charged.reserved
    );
    // Files that were removed or replaced, and partial uploads, may be back.
    let is_newest = |(name, entry): &(&String, &Entry)| {
        expected
            .entries
            .get(*name)
            .and_then(|allowed| allowed.last())
            .is_some_and(|last| is_like(entry, last))
    };
    let old = found.entries.iter().filter(|found| !is_newest(found));
    let returned: u64 = old.map(|(name, _)| found.sizes.get(name).copied().unwrap_or(0)).sum();
    let limit = if is_strict { QUOTA_BYTES } else { QUOTA_BYTES + returned + parts };
    ensure!(charged.total <= limit, "{} are charged, {limit} are allowed", charged.total);
    Ok(())
}

/// Each name has an allowed entry. Returns the number of files.
fn names(session: &Session, expected: &Expected, found: &Found) -> Result<usize> {
    let mut files = 0;
    for name in found.entries.keys() {
        ensure!(expected.entries.contains_key(name), "{name} was never made");
    }
    for (name, allowed) in &expected.entries {
        let entry = found.entries.get(name).unwrap_or(&Entry::Absent);
        let Some(is) = allowed.iter().find(|allowed| is_like(entry, allowed)) else {
            let operations = &expected.operations[name];
            let last = &operations[operations.len().saturating_sub(allowed.len() + 1)..];
            bail!("{name} is {entry:?}, of {allowed:?} after {last:?}");
        };
        let Entry::File(content) = is else { continue };
        let (digest, stored) = session.digests(name).with_context(|| name.clone())?;
        ensure!(digest == content.digest, "{name}: the server reads {digest}");
        // The stored digest is removed before a file is written in place.
        let is_intact = !allowed.contains(&Entry::BeingWritten);
        if content.has_digest && is_intact && has_xattrs() || stored.is_some() {
            ensure!(stored == Some(digest), "{name}: the stored digest is {stored:?}, of {digest}");
        }
        files += 1;
    }
    for moved in &expected.moves {
        let has_it =
            |name: &&String| found.entries.get(*name).is_some_and(|entry| is_like(entry, &moved.entry));
        let has = moved.names.iter().filter(has_it).collect::<Vec<_>>();
        ensure!(has.len() == 1, "a file was renamed, {:?}: it is under {has:?}", moved.names);
    }
    Ok(files)
}

/// Each partial upload is resumed to the right content. Those whose directory is gone, or that do not fit into the
/// quota, can be discarded.
fn parts(session: &Session, sources: &[&Source], tally: &mut Tally) -> Result<()> {
    for part in session.parts() {
        tally.parts += 1;
        ensure!(!part.path.starts_with(STAGING), "the record of {} cannot be read", part.path);
        ensure!(sources.iter().any(|source| source.path == part.path), "{} is of no upload", part.path);
        for source in sources.iter().filter(|source| source.path == part.path) {
            let Some(found) = session.find_part(source)? else { continue };
            let done = if source.stream.is_none() && source.mtime % 2 == 0 {
                drop(found);
                session.put_blocks(source, &source.blocks(), true)?
            } else {
                session.resume(source, Some(found))?
            };
            if done {
                let (digest, _) = session.digests(&part.path)?;
                ensure!(digest == blake3::hash(&source.content), "{}: resumed to {digest}", part.path);
                tally.resumed += 1;
            }
        }
    }
    for part in session.parts() {
        ensure!(session.discard(Some(&part.path))? > 0, "{} cannot be discarded", part.path);
    }
    ensure!(session.parts().is_empty(), "partial uploads are left");
    Ok(())
}

/// Whether the entry is the expected one.
fn is_like(found: &Entry, expected: &Entry) -> bool {
    match (found, expected) {
        (Entry::File(found), Entry::File(expected)) => {
            let attributes_differ = expected.attributes.is_some() && found.attributes != expected.attributes;
            found.digest == expected.digest && !attributes_differ
        }
        (Entry::File(_), Entry::BeingWritten) => true,
        _ => found == expected,
    }
}

/// Whether the folder of the replays has extended attributes.
fn has_xattrs() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| {
        let file = tempfile::NamedTempFile::new_in(crate::replays()).unwrap();
        rustix::fs::setxattr(file.path(), "user.sshome.test", b"", rustix::fs::XattrFlags::empty()).is_ok()
    })
}

impl Found {
    fn of(home: &Path) -> Result<Found> {
        let (entries, sizes, inodes) = Default::default();
        let mut found = Found { entries, sizes, inodes, staged: 0 };
        found.add(home, home)?;
        Ok(found)
    }

    fn add(&mut self, home: &Path, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            let name = path.strip_prefix(home)?.to_str().context("no text")?.to_owned();
            if name == STAGING {
                for staged in fs::read_dir(&path)? {
                    let staged = staged?.path();
                    if staged.extension().is_none() {
                        self.staged += staged.metadata()?.len();
                    }
                }
            } else if metadata.is_dir() {
                self.entries.insert(name, Entry::Directory);
                self.add(home, &path)?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path)?.to_str().context("no text")?.to_owned();
                self.entries.insert(name.clone(), Entry::Link(target));
                self.sizes.insert(name, metadata.len());
            } else {
                let digest = blake3::hash(&fs::read(&path)?);
                let attributes = Some((metadata.mode() & 0o7777, metadata.mtime()));
                self.entries
                    .insert(name.clone(), Entry::File(Content { digest, attributes, has_digest: false }));
                // A file with several names counts once.
                if self.inodes.insert(metadata.ino()) {
                    self.sizes.insert(name, metadata.len());
                }
            }
        }
        Ok(())
    }
}
