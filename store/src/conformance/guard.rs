//! Changes that a guard of the channel decides on.

use super::NewHost;
use super::world::*;
use crate::quota::FileId;
use crate::{
    Cause, ChangeGuard, EntryChange, FileInfo, FileType, MakeDirectory, Replace, SetAttributes, StoreResult,
};
use sshome_wire::{RemotePath, Time};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Permits changes of one entry only, or of none, and records what it is asked.
#[derive(Debug, Default)]
struct OnlyOne {
    permitted: Mutex<Option<FileId>>,
    asked: Mutex<Vec<(EntryChange, FileId, RemotePath)>>,
}

impl ChangeGuard for OnlyOne {
    fn applies(&self) -> bool {
        true
    }

    fn permits(&self, change: EntryChange, info: &FileInfo, path: &dyn Fn() -> Option<RemotePath>) -> bool {
        self.asked.lock().unwrap().push((change, info.id, path().unwrap()));
        *self.permitted.lock().unwrap() == Some(info.id)
    }
}

/// A change of an entry, by the path with which a channel makes it.
type GuardedChange = (EntryChange, fn(&Channel, &RemotePath) -> StoreResult<()>);

const NEW_NAME: GuardedChange =
    (EntryChange::Rename, |channel, from| channel.home.rename(from, &path("new"), Replace::Never).map(drop));
const FILE_REMOVAL: GuardedChange =
    (EntryChange::Remove, |channel, at| channel.home.remove_file(at).map(drop));
const DIRECTORY_REMOVAL: GuardedChange =
    (EntryChange::Remove, |channel, at| channel.home.remove_directory(at).map(drop));
const NEW_MODE: GuardedChange = (EntryChange::SetAttributes, |channel, at| {
    let wanted = SetAttributes { mode: Some(0o700), ..SetAttributes::default() };
    channel.home.set_attributes(at, true, &wanted).map(drop)
});
const HELD_DIRECTORY: GuardedChange = (EntryChange::SetAttributes, |channel, at| {
    channel.home.hold_directory(at, Time { seconds: 1, nanoseconds: 0 }).map(drop)
});

pub fn a_guard_decides_on_every_change_of_what_exists(host: NewHost<'_>) {
    let world = World::new(host);
    let (user, guard) = (world.user(), Arc::new(OnlyOne::default()));
    let guarded = world.guarded(Arc::clone(&guard) as Arc<dyn ChangeGuard>);
    user.make_directory("d");
    user.make_symlink("here", "d");
    // By the path of a link to the directory.
    for (name, (change, make)) in [
        ("f", NEW_MODE),
        ("f", NEW_NAME),
        ("f", FILE_REMOVAL),
        ("sub", NEW_MODE),
        ("sub", HELD_DIRECTORY),
        ("sub", NEW_NAME),
        ("sub", DIRECTORY_REMOVAL),
    ] {
        let (direct, spelled) = (format!("d/{name}"), path(&format!("here/{name}")));
        match name {
            "f" => user.put(&direct, b"content").unwrap(),
            _ => user.make_directory(&direct),
        }
        let before = user.info(&direct).unwrap();
        assert_eq!(cause(make(&guarded, &spelled)), Cause::Protected, "{name} {change:?}");
        assert_eq!(user.info(&direct).unwrap(), before, "{name} {change:?}");
        *guard.permitted.lock().unwrap() = Some(before.id);
        make(&guarded, &spelled).unwrap();
        *guard.permitted.lock().unwrap() = None;
        let asked = std::mem::take(&mut *guard.asked.lock().unwrap());
        assert_eq!(asked, vec![(change, before.id, path(&direct)); 2], "{name}");
        for left in [&direct, "new"].into_iter().filter(|left| user.exists(left)) {
            match user.info(left).unwrap().file_type {
                FileType::Directory => user.home.remove_directory(&path(left)).map(drop).unwrap(),
                _ => user.remove(left).map(drop).unwrap(),
            }
        }
    }
    // What is new is no concern of the guard.
    guarded.put("d/new", b"content").unwrap();
    guarded.make_directory("d/made/deep");
    guarded.make_symlink("link", "d");
    assert_eq!(*guard.asked.lock().unwrap(), []);
    world.assert_accounting(0);
}

pub fn a_protected_directory_is_not_opened_to_be_filled_again(host: NewHost<'_>) {
    let world = World::new(host);
    let guarded = world.guarded(Arc::new(OnlyOne::default()));
    world.user().make_directory("d");
    world.user().set_mode("d", 0o550).unwrap();
    let how = MakeDirectory { mode: Some(0o550), deferred: true, ..MakeDirectory::default() };
    assert!(guarded.home.make_directory(&path("d"), how).unwrap().made.is_empty());
    assert_eq!(world.user().mode_of("d"), 0o550);
    assert!(world.user().home.make_directory(&path("d"), how).unwrap().made.is_empty());
    assert_eq!(world.user().mode_of("d"), 0o750);
}

/// Permits one entry, and tries to exchange the way to it before it answers.
#[derive(Debug)]
struct Exchanging {
    permitted: FileId,
    exchange: mpsc::Sender<()>,
    exchanged: Mutex<mpsc::Receiver<()>>,
}

/// How long a guard waits for an exchange, which the store's lock may prevent.
const EXCHANGE_TIME: Duration = Duration::from_millis(100);

impl ChangeGuard for Exchanging {
    fn applies(&self) -> bool {
        true
    }

    fn permits(&self, _: EntryChange, info: &FileInfo, _: &dyn Fn() -> Option<RemotePath>) -> bool {
        self.exchange.send(()).unwrap();
        let _ = self.exchanged.lock().unwrap().recv_timeout(EXCHANGE_TIME);
        self.permitted == info.id
    }
}

pub fn nothing_is_exchanged_between_the_guard_and_the_change(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    ["own", "other"].iter().for_each(|directory| user.make_directory(directory));
    user.put("other/f", b"").unwrap();
    let other = user.info("other/f").unwrap();
    for (change, make) in [NEW_NAME, FILE_REMOVAL, NEW_MODE] {
        user.put("own/f", b"").unwrap();
        user.make_symlink("l", "own");
        let (own, (exchange, begins)) = (user.info("own/f").unwrap(), mpsc::channel());
        let (ends, exchanged) = mpsc::channel();
        let guard = Exchanging { permitted: own.id, exchange, exchanged: Mutex::new(exchanged) };
        let (guarded, exchanger) = (world.guarded(Arc::new(guard)), world.user());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if begins.recv().is_ok() {
                    exchanger.remove("l").unwrap();
                    exchanger.make_symlink("l", "other");
                    let _ = ends.send(());
                }
            });
            make(&guarded, &path("l/f")).unwrap();
            drop(guarded);
        });
        assert_eq!(user.info("other/f").unwrap(), other, "{change:?}");
        for left in ["l", "new", "own/f"].into_iter().filter(|left| user.exists(left)) {
            user.remove(left).unwrap();
        }
    }
}
