//! Watches local trees for `push --watch`: which entries have changed, and since when they are quiet.

use crate::names::shown;
use notify::event::{CreateKind, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A file is sent once it was quiet for this long.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// Everything is compared again after this long.
const FULL_AFTER: Duration = Duration::from_secs(3600);

/// Events that may wait. After more, everything is compared.
const MAX_WAITING_EVENTS: usize = 16_384;

/// Entries that may wait to become quiet. After more, everything is compared.
const MAX_CHANGED: usize = 100_000;

/// Watches local directories.
#[derive(Debug)]
pub struct TreeWatcher {
    /// It watches until it is dropped.
    _watcher: RecommendedWatcher,
    events: mpsc::Receiver<Event>,
    /// Whether events were lost.
    overflow: Arc<AtomicBool>,
    /// The directories, without links, and as they were named.
    tops: Vec<(PathBuf, PathBuf)>,
    changed: ChangedEntries,
    /// When everything is compared again.
    full_at: Instant,
}

/// What is to be pushed next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchedChanges {
    /// Anything may have changed.
    Everything,
    /// Only these directories have changed.
    Directories {
        /// Each, and whether everything below it may have changed as well.
        directories: HashMap<PathBuf, bool>,
        /// Entries that are still being changed.
        busy: Arc<HashSet<PathBuf>>,
    },
}

impl TreeWatcher {
    /// Watches these directories, and all below them. Changes from now on are noticed.
    ///
    /// # Errors
    /// If they cannot be watched, with the remedy.
    pub fn begin(directories: &[PathBuf]) -> Result<TreeWatcher, String> {
        let (sender, events) = mpsc::channel(MAX_WAITING_EVENTS);
        let overflow = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&overflow);
        let receive = move |event: notify::Result<Event>| {
            let wanted = match event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) if !event.need_rescan() => Some(event),
                Ok(_) | Err(_) => None,
            };
            if wanted.is_none_or(|event| sender.try_send(event).is_err()) {
                lost.store(true, Ordering::Relaxed);
                // It wakes the receiver, if there is room; otherwise events wait that do.
                let _ = sender.try_send(Event::default());
            }
        };
        let unwatched = |path: &Path, error: &notify::Error| format!("{}: {}", shown(path), reason(error));
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(receive, config);
        let mut watcher = watcher.map_err(|error| unwatched(Path::new("--watch"), &error))?;
        let mut tops = Vec::new();
        for directory in directories {
            let real = directory.canonicalize().map_err(|error| format!("{}: {error}", shown(directory)))?;
            watcher.watch(&real, RecursiveMode::Recursive).map_err(|error| unwatched(directory, &error))?;
            tops.push((real, directory.clone()));
        }
        let changed = ChangedEntries::default();
        Ok(TreeWatcher {
            _watcher: watcher,
            events,
            overflow,
            tops,
            changed,
            full_at: Instant::now() + FULL_AFTER,
        })
    }

    /// Waits until something has changed and is quiet. Cancel-safe.
    pub async fn next(&mut self) -> WatchedChanges {
        loop {
            let quiet_at = self.changed.quiet_at().unwrap_or(self.full_at);
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    // Everything that waits is noted at once: what follows looks at all entries.
                    let mut next = event;
                    while let Some(event) = next {
                        self.note(&event);
                        next = self.events.try_recv().ok();
                    }
                }
                () = sleep_until(quiet_at.min(self.full_at)) => {}
            }
            let now = Instant::now();
            let is_lost = self.overflow.swap(false, Ordering::Relaxed);
            if is_lost || self.changed.are_too_many() || now >= self.full_at {
                self.changed = ChangedEntries::default();
                self.full_at = now + FULL_AFTER;
                return WatchedChanges::Everything;
            }
            if let Some(changes) = self.changed.take_quiet(now) {
                return changes;
            }
        }
    }

    fn note(&mut self, event: &Event) {
        let is_whole = may_be_filled(event.kind);
        for path in &event.paths {
            for (real, named) in &self.tops {
                if let Ok(below) = path.strip_prefix(real) {
                    self.changed.note(named.join(below), is_whole, Instant::now());
                }
            }
        }
    }
}

/// Whether a directory may have appeared with its entries.
fn may_be_filled(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Any
            | EventKind::Create(CreateKind::Folder | CreateKind::Any)
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both | RenameMode::Any))
    )
}

/// Why a tree cannot be watched.
fn reason(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "it has more directories than may be watched; raise the limit of inotify: \
             `sysctl fs.inotify.max_user_watches=1048576`"
                .to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(TOO_MANY_OPEN_ERRNO) => {
            "too many programs watch files; raise the limit of inotify: \
             `sysctl fs.inotify.max_user_instances=1024`"
                .to_owned()
        }
        _ => format!("it cannot be watched: {error}"),
    }
}

/// The error number of Linux for too many instances of inotify.
const TOO_MANY_OPEN_ERRNO: i32 = 24;

/// Entries that have changed and were not pushed yet.
#[derive(Debug, Default)]
struct ChangedEntries(HashMap<PathBuf, LocalChange>);

#[derive(Clone, Copy, Debug)]
struct LocalChange {
    at: Instant,
    /// Whether everything below it may have changed, if it is a directory.
    is_whole: bool,
}

impl ChangedEntries {
    fn note(&mut self, path: PathBuf, is_whole: bool, at: Instant) {
        let change = self.0.entry(path).or_insert(LocalChange { at, is_whole });
        *change = LocalChange { at, is_whole: is_whole || change.is_whole };
    }

    fn are_too_many(&self) -> bool {
        self.0.len() > MAX_CHANGED
    }

    /// When the next entry is quiet.
    fn quiet_at(&self) -> Option<Instant> {
        self.0.values().map(|change| change.at + QUIET_PERIOD).min()
    }

    /// Takes the entries that are quiet; `None` if there are none.
    fn take_quiet(&mut self, now: Instant) -> Option<WatchedChanges> {
        let mut directories: HashMap<PathBuf, bool> = HashMap::new();
        for (path, change) in self.0.extract_if(|_, change| change.at + QUIET_PERIOD <= now) {
            if let Some(parent) = path.parent() {
                directories.entry(parent.to_owned()).or_default();
            }
            if change.is_whole {
                directories.insert(path, true);
            } else {
                // Its own time may have changed, if it is a directory.
                directories.entry(path).or_default();
            }
        }
        let busy = Arc::new(self.0.keys().cloned().collect());
        (!directories.is_empty()).then_some(WatchedChanges::Directories { directories, busy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_pushed_once_it_was_quiet_for_a_second() {
        let (mut changed, begun) = (ChangedEntries::default(), Instant::now());
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        changed.note("/t/a".into(), false, at(0));
        changed.note("/t/log".into(), false, at(0));
        changed.note("/t/log".into(), false, at(900));
        changed.note("/t/new".into(), true, at(100));
        changed.note("/t/new".into(), false, at(200));
        assert_eq!(changed.quiet_at(), Some(at(1000)));
        assert_eq!(changed.take_quiet(at(999)), None);
        let taken = changed.take_quiet(at(1200)).unwrap();
        let directories = [("/t", false), ("/t/a", false), ("/t/new", true)];
        assert_eq!(
            taken,
            WatchedChanges::Directories {
                directories: directories.map(|(path, is_whole)| (path.into(), is_whole)).into(),
                busy: Arc::new(HashSet::from(["/t/log".into()])),
            }
        );
        assert_eq!((changed.quiet_at(), changed.take_quiet(at(1899))), (Some(at(1900)), None));
        assert!(changed.take_quiet(at(1900)).is_some() && changed.quiet_at().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_compared_every_hour_and_after_an_overflow() {
        let place = tempfile::tempdir().unwrap();
        let mut watcher = TreeWatcher::begin(&[place.path().to_owned()]).unwrap();
        let begun = Instant::now();
        assert_eq!(watcher.next().await, WatchedChanges::Everything);
        assert_eq!(begun.elapsed().as_secs(), FULL_AFTER.as_secs());
        watcher.overflow.store(true, Ordering::Relaxed);
        watcher.changed.note(place.path().join("f"), false, Instant::now());
        let begun = Instant::now();
        assert_eq!(watcher.next().await, WatchedChanges::Everything);
        assert!(begun.elapsed() <= QUIET_PERIOD);
    }

    #[test]
    fn a_limit_of_inotify_is_named_with_its_sysctl() {
        for (kind, sysctl) in [
            (ErrorKind::MaxFilesWatch, "fs.inotify.max_user_watches"),
            (
                ErrorKind::Io(std::io::Error::from_raw_os_error(TOO_MANY_OPEN_ERRNO)),
                "fs.inotify.max_user_instances",
            ),
        ] {
            let text = reason(&notify::Error::new(kind));
            assert!(text.contains(&format!("`sysctl {sysctl}=")), "{text}");
        }
    }
}
