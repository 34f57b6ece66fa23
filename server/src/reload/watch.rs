//! Noticing that the settings have changed.

use crate::config::Config;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Watches the directories that decide what the settings are: an editor may put another file in the place of the
/// old one, and a tool may point a symbolic link on the way elsewhere.
pub(super) struct Watch {
    changes: mpsc::Sender<()>,
    folders: Vec<PathBuf>,
    /// It watches until it is dropped.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Nothing is watched before [`Watch::renew`].
    pub(super) fn new(changes: mpsc::Sender<()>) -> Watch {
        Watch { changes, folders: Vec::new(), watcher: None }
    }

    /// Watches the directories of now, if they are others than before.
    pub(super) fn renew(&mut self, config: &Config) {
        let folders = config.settings_folders();
        if folders == self.folders && self.watcher.is_some() {
            return;
        }
        let begun = begin(&folders, self.changes.clone()).inspect_err(|error| {
            // It is tried again every minute: once is enough to say.
            if folders != self.folders {
                tracing::warn!(
                    %error,
                    "changes of the settings are noticed within a minute; SIGHUP or `sshomed reload` takes them up \
                     at once"
                );
            }
        });
        self.watcher = begun.ok();
        self.folders = folders;
    }
}

fn begin(folders: &[PathBuf], changes: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let read_only = event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
        if !read_only {
            // If it is full, one is on its way already.
            let _ = changes.try_send(());
        }
    })?;
    folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
    Ok(watcher)
}
