//! Commands that change files: `mkdir`, `rmdir`, `rm`, `mv`, `cp`.

use super::arguments::{Arguments, path};
use super::error::{Error, Result};
use super::task::{CommandTask, each};
use crate::service::{self, Copy, RecursiveRemoval, User, publish};
use sshome_store::{Cause, MakeDirectory};
use sshome_wire::RemotePath;
use std::collections::HashSet;

pub(super) fn mkdir(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let parents = arguments.has("p");
    Ok(each(arguments.operands, move |user, _, operand| {
        let path = path(operand)?;
        let how = MakeDirectory { parents, ..MakeDirectory::default() };
        let made = service::make_directory(user, &path, how)?;
        if made.made.is_empty() && !parents {
            return Err(Error::Exists(path));
        }
        publish(user, Vec::new(), made.names).1?;
        Ok(None)
    }))
}

pub(super) fn rmdir(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(each(arguments.operands, |user, _, operand| {
        service::remove_directory(user, &path(operand)?)?;
        Ok(None)
    }))
}

pub(super) fn rm(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let (recursive, force) = (arguments.has("rR"), arguments.has("f"));
    Ok(each(arguments.operands, move |user, _, operand| {
        let path = path(operand)?;
        let begun = match recursive {
            true => RecursiveRemoval::begin(user, &path).map(Some),
            false => service::remove(user, &path).map(|()| None),
        };
        match begun {
            Ok(removal) => Ok(removal.map(|removal| Box::new(removal) as Box<dyn CommandTask>)),
            Err(error) if force && is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }))
}

pub(super) fn mv(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let (from, mut to) = sources(arguments)?;
    Ok(each(from, move |user, _, operand| {
        let from = path(operand)?;
        service::rename(user, &from, &to.of(user, &from)?)?;
        Ok(None)
    }))
}

pub(super) fn cp(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let recursive = arguments.has("rR");
    let (from, mut to) = sources(arguments)?;
    Ok(each(from, move |user, _, operand| {
        let from = path(operand)?;
        let copy = Copy::begin(user, &from, &to.of(user, &from)?, recursive)?;
        Ok(Some(Box::new(copy)))
    }))
}

/// The target of `mv` and `cp`.
struct CopyTarget {
    path: RemotePath,
    /// Whether it must be a directory, because there are several sources.
    directory: bool,
    /// The names of the previous sources.
    names: HashSet<Vec<u8>>,
}

impl CopyTarget {
    /// The target of this source.
    ///
    /// # Errors
    /// If it would replace a previous source.
    fn of(&mut self, user: &User, from: &RemotePath) -> Result<RemotePath> {
        if self.directory {
            service::enter_directory(user, &self.path)?;
        }
        match from.file_name().is_none_or(|name| self.names.insert(name.to_vec())) {
            true => Ok(self.path.clone()),
            false => Err(Error::JustPut { from: from.clone(), to: self.path.clone() }),
        }
    }
}

/// Splits the operands into sources and the target.
fn sources(arguments: Arguments) -> Result<(Vec<Vec<u8>>, CopyTarget)> {
    let mut from = arguments.operands;
    let last = from.pop().unwrap_or_default();
    let directory = from.len() > 1;
    Ok((from, CopyTarget { path: path(&last)?, directory, names: HashSet::new() }))
}

fn is_missing(error: &service::Error) -> bool {
    matches!(error.cause(), Some(Cause::NotFound | Cause::NotDirectory))
}
