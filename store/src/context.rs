//! The context of a channel's calls.

use crate::{Cause, FileInfo};
use sshome_wire::RemotePath;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a store needs to know about the channel that it works for. A [`Home`](crate::Home) is opened with it, and
/// everything that is opened through that home shares it. Clones belong to the same channel.
#[derive(Clone, Debug, Default)]
pub struct Ctx {
    cancelled: Arc<AtomicBool>,
    guard: Option<Arc<dyn ChangeGuard>>,
    folder: Option<RemotePath>,
}

/// A change of an entry that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryChange {
    /// It gets another name.
    Rename,
    /// Its name is removed.
    Remove,
    /// Its times or mode are set, or a directory is held to be finalized.
    SetAttributes,
}

/// Decides which of the entries that exist a channel may change. A store asks under the lock under which it makes the change,
/// or with a handle to the entry, so that nothing is exchanged between the answer and the change. A guard calls no store.
pub trait ChangeGuard: fmt::Debug + Send + Sync {
    /// Whether it forbids anything at the moment.
    fn applies(&self) -> bool;

    /// Whether an entry may be changed. `path` returns its canonical path, `None` if that is too long.
    fn permits(&self, change: EntryChange, info: &FileInfo, path: &dyn Fn() -> Option<RemotePath>) -> bool;
}

impl Ctx {
    /// The same channel, whose changes ask a guard.
    #[must_use]
    pub fn guarded(self, guard: Arc<dyn ChangeGuard>) -> Ctx {
        Ctx { guard: Some(guard), ..self }
    }

    /// The same channel, whose view of the home begins at this folder: a home that is opened with it resolves the folder
    /// once, holds it, and takes it for its top. Quota and usage are those of the whole home. Nothing outside of the folder can
    /// be reached or listed, partial uploads included. A store without views fails with [`Cause::Unsupported`].
    #[must_use]
    pub fn within(self, folder: Option<RemotePath>) -> Ctx {
        Ctx { folder, ..self }
    }

    /// The folder at which the view of the home begins; `None` for the whole home.
    #[must_use]
    pub fn folder(&self) -> Option<&RemotePath> {
        self.folder.as_ref()
    }

    /// Makes calls give up at the next safe point, because the channel has ended. A call that is past its commit point
    /// finishes.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether the channel has ended.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// Whether [`check_change`](Ctx::check_change) may fail.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.applies())
    }

    /// Asks the guard. See [`ChangeGuard::permits`].
    ///
    /// # Errors
    /// [`Cause::Protected`].
    pub fn check_change(
        &self,
        change: EntryChange,
        info: &FileInfo,
        path: &dyn Fn() -> Option<RemotePath>,
    ) -> Result<(), Cause> {
        match &self.guard {
            Some(guard) if guard.applies() && !guard.permits(change, info, path) => Err(Cause::Protected),
            _ => Ok(()),
        }
    }
}
