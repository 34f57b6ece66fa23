//! Where the sources of a pull go.

use super::super::SyncOptions;
use super::super::sources::{NEEDS_DIRECTORY, failed_source, find};
use crate::conversation::ConversationError;
use crate::names::shown;
use crate::transfer::local::LocalDirectory;
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext, blocking, names};
use sshome_wire::{Entry, FileKind, RemotePath};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A source, and its local name.
pub(super) struct PullSource {
    /// Its path on the server, without links.
    pub(super) remote: RemotePath,
    pub(super) entry: Entry,
    /// The local directory that the user named. Links in its path are followed.
    pub(super) base: PathBuf,
    /// The name in it; `None` if the source becomes that directory.
    pub(super) name: Option<Vec<u8>>,
    /// Whether it exists locally.
    pub(super) exists: bool,
}

/// The destination, as the user named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetState {
    Directory,
    /// A file, a special file, or a link to neither.
    Other,
    Missing,
}

/// Finds the sources, and makes the directory that they go into, unless nothing shall be changed. Of several sources, those that
/// do not exist or have the wrong type are failures.
///
/// # Errors
/// If the only source does not exist or has the wrong type, two become the same, or the target is unsuitable.
pub(super) async fn find_sources(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    sources: &[RemotePath],
    (target, into_directory): (&Path, bool),
    options: &SyncOptions,
) -> Result<(Vec<PullSource>, Vec<Failure>), ConversationError> {
    let local = ConversationError::Local;
    let state = look(target).map_err(|error| local(format!("{}: cannot use it: {error}", shown(target))))?;
    let (mut found, mut failures, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
    for source in sources {
        let (remote, entry) = find(ctx, retries, source).await?;
        let entry = match check(source, entry, options) {
            Ok(entry) => entry,
            Err(failure) => {
                failures.push(failed_source(failure, sources.len())?);
                continue;
            }
        };
        let is_directory = entry.kind == FileKind::Directory;
        let is_target =
            sources.len() == 1 && (is_directory || state != TargetState::Directory && !into_directory);
        if state == TargetState::Other && (is_directory || !is_target) {
            return Err(local(format!("{} is not a directory", shown(target))));
        }
        let (base, name) = match is_target {
            true if state == TargetState::Directory => (target.to_owned(), None),
            true => split(target).map(|(base, name)| (base, Some(name))).map_err(local)?,
            false => (target.to_owned(), Some(base_name(source, &remote).map_err(local)?)),
        };
        let path = name
            .as_ref()
            .map_or(base.clone(), |name| base.join(crate::names::path(name).unwrap_or_default()));
        if !taken.insert(path.clone()) {
            let text = "several sources would become it: pull them to different names";
            return Err(local(format!("{}: {text}", shown(&path))));
        }
        // A link is not followed, unless the user named it.
        let exists = name.is_none() || path.symlink_metadata().is_ok();
        if name.is_some()
            && is_directory
            && exists
            && !path.symlink_metadata().is_ok_and(|seen| seen.is_dir())
        {
            return Err(local(format!("{} is not a directory", shown(&path))));
        }
        found.push(PullSource { remote, entry, base, name, exists });
    }
    if !options.dry_run {
        let bases: HashSet<PathBuf> = found.iter().map(|source| source.base.clone()).collect();
        let make_all = move || bases.iter().try_for_each(|base| make(base));
        blocking(make_all).await?.map_err(local)?;
    }
    Ok((found, failures))
}

fn look(target: &Path) -> io::Result<TargetState> {
    match fs::metadata(target) {
        Ok(seen) if seen.is_dir() => Ok(TargetState::Directory),
        Ok(_) => Ok(TargetState::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(target) {
            Ok(_) => Ok(TargetState::Other),
            Err(_) => Ok(TargetState::Missing),
        },
        Err(error) => Err(error),
    }
}

/// The entry of a source, which is a file or a directory.
fn check(source: &RemotePath, entry: Option<Entry>, options: &SyncOptions) -> Result<Entry, Failure> {
    let why = match entry {
        None => "it does not exist on the server",
        Some(entry) if entry.kind == FileKind::Directory => return Ok(entry),
        Some(_) if options.delete.is_some() => NEEDS_DIRECTORY,
        Some(entry) if entry.kind == FileKind::File => return Ok(entry),
        Some(_) => "it is not a regular file",
    };
    Err(Failure::of(source.as_bytes(), why))
}

/// The local name of a source that goes into a directory: its own, or that of the directory that `.` and the like mean.
fn base_name(source: &RemotePath, real: &RemotePath) -> Result<Vec<u8>, String> {
    let own = source.file_name().filter(|name| *name != b".");
    let name = own.or(real.file_name()).ok_or("the top of the home has no name: pull it alone")?;
    names::check(name).map_err(|why| format!("{source}: {why}"))?;
    Ok(name.to_vec())
}

/// The parent of a local path, and its name.
fn split(path: &Path) -> Result<(PathBuf, Vec<u8>), String> {
    let name = path.file_name().ok_or_else(|| format!("{} does not exist", shown(path)))?;
    let name = crate::names::bytes(name);
    names::check(&name).map_err(|why| format!("{}: {why}", shown(path)))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Ok((parent.to_owned(), name)),
        _ => Ok((PathBuf::from("."), name)),
    }
}

/// Makes a directory that is missing, and those above it.
fn make(path: &Path) -> Result<(), String> {
    let made = || -> io::Result<()> {
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else { return Ok(()) };
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make(above).map_err(io::Error::other)?;
        let parent = LocalDirectory::open(above)?;
        parent.make(&crate::names::bytes(name))?;
        parent.sync()
    };
    made().map_err(|error| format!("{}: cannot create it: {error}", shown(path)))
}
