//! Watches the settings file and users' keys for changes.

use crate::accounts::OwnKeys;
use crate::config::Config;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// Changes on the disk that were not processed yet.
#[derive(Default)]
pub(super) struct ChangeSignals {
    pub(super) settings: Notify,
    /// The keys that users have installed.
    pub(super) keys: Notify,
}

/// Watches the directories that decide what the settings are: an editor may replace the file by a new one, and a tool
/// may redirect a symbolic link on the way to it.
pub(super) struct SettingsWatcher {
    changes: Arc<ChangeSignals>,
    /// The folder of the keys that users have installed.
    keys: PathBuf,
    folders: Vec<PathBuf>,
    /// It watches until it is dropped.
    watcher: Option<RecommendedWatcher>,
    /// Whether all of the directories are watched.
    is_complete: bool,
}

impl SettingsWatcher {
    /// Nothing is watched before [`SettingsWatcher::renew`].
    pub(super) fn new(config: &Config, changes: Arc<ChangeSignals>) -> SettingsWatcher {
        let keys = OwnKeys::of(&config.dir).folder().to_owned();
        SettingsWatcher { changes, keys, folders: Vec::new(), watcher: None, is_complete: false }
    }

    /// Watches the current directories, if they differ from the previous ones.
    pub(super) fn renew(&mut self, config: &Config) {
        // A link may lead to a directory that does not exist yet: then its parent is watched.
        let existing = |folder: PathBuf| folder.ancestors().find(|path| path.is_dir()).map(Path::to_owned);
        let mut folders: Vec<PathBuf> = config.settings_folders().into_iter().filter_map(existing).collect();
        folders.dedup();
        // If the folder is missing, nobody has installed a key.
        folders.extend(self.keys.exists().then(|| self.keys.clone()));
        if folders == self.folders && self.is_complete {
            return;
        }
        let (watcher, error) = match begin(&folders, self.keys.clone(), Arc::clone(&self.changes)) {
            Ok((watcher, error)) => (Some(watcher), error),
            Err(error) => (None, Some(error)),
        };
        // It is tried again every minute, so only the first failure is logged.
        if let Some(error) = error.as_ref().filter(|_| folders != self.folders) {
            tracing::warn!(
                %error,
                "changes of the settings are noticed within a minute; SIGHUP or `sshomed reload` applies them at once"
            );
        }
        self.is_complete = error.is_none();
        self.watcher = watcher;
        self.folders = folders;
    }
}

/// Watches the directories, as far as they can be watched. Also returns the first error.
fn begin(
    folders: &[PathBuf],
    keys: PathBuf,
    changes: Arc<ChangeSignals>,
) -> notify::Result<(RecommendedWatcher, Option<notify::Error>)> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if event.paths.iter().all(|path| path.starts_with(&keys)) => changes.keys.notify_one(),
        Ok(_) => changes.settings.notify_one(),
        Err(_) => {
            changes.settings.notify_one();
            changes.keys.notify_one();
        }
    })?;
    let failed = |folder: &PathBuf| watcher.watch(folder, RecursiveMode::NonRecursive).err();
    let errors: Vec<_> = folders.iter().filter_map(failed).collect();
    Ok((watcher, errors.into_iter().next()))
}
