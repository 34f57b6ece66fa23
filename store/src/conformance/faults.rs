//! Calls that fail, whose answers are lost, or that hang. The faults are made by a decorator of the store.

use super::NewHost;
use super::world::*;
use crate::memory::{CallKind, FaultPoint, Faults, FaultyStore};
use crate::{Cause, HomeStore, MakeDirectory, PublishResult, Replace, StepLimit, StoreResult};
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

const QUOTA_BYTES: u64 = 24 * MIB;

/// A channel with faults.
fn faulty(world: &World) -> (Channel, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let store: Arc<dyn HomeStore> = Arc::new(FaultyStore::new(Arc::clone(world.store()), &faults));
    (world.user_of(&store), faults)
}

pub fn a_publish_that_fails_before_its_commit_changes_nothing(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let (user, faults) = faulty(&world);
    user.put("f", b"old").unwrap();
    let items = ["f", "g"].map(|name| user.complete(name, b"new").unwrap());
    faults.fail_next(CallKind::Publish, FaultPoint::BeforeCommit);
    let published = user.home.publish(items.into(), Vec::new());
    assert!(published.names.is_err());
    assert!(matches!(published.items[..], [PublishResult::Refused(_), PublishResult::Refused(_)]));
    assert_eq!((user.content("f"), user.exists("g")), (b"old".to_vec(), false));
    world.assert_accounting(0);
    // A large file may leave a partial upload, which its client resumes.
    let mut upload = user.begin("h", &file_of(9, 0)).unwrap();
    upload.write(&zeros(9)).unwrap();
    let item = upload.finish(9 * MIB, None).unwrap();
    faults.fail_next(CallKind::Publish, FaultPoint::BeforeCommit);
    user.publish(item).unwrap_err();
    let left: u64 = user.home.partial_uploads().iter().map(|partial| partial.length).sum();
    assert_eq!((user.usage().staged.bytes, user.exists("h")), (left, false));
    world.assert_counted();
}

pub fn a_publish_whose_answer_is_lost_is_whole_or_absent(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let (user, faults) = faulty(&world);
    user.put("f", b"old").unwrap();
    user.make_directory("d");
    let items = ["f", "g", "d/h"].map(|name| user.complete(name, b"new").unwrap());
    user.home.remove_directory(&path("d")).unwrap();
    faults.fail_next(CallKind::Publish, FaultPoint::AfterCommit);
    let published = user.home.publish(items.into(), Vec::new());
    // An unknown item is there as a whole or not at all; a refused one is not there.
    for (name, result) in ["f", "g", "d/h"].into_iter().zip(&published.items) {
        match result {
            PublishResult::Unknown(_) => assert!([&b"old"[..], b"new"].contains(&&user.content(name)[..])),
            PublishResult::Refused(_) => assert_eq!(name, "d/h"),
            other => panic!("{name}: {other:?}"),
        }
    }
    world.assert_accounting(0);
    // The client repeats it.
    user.put("f", b"new").unwrap();
    user.put("g", b"new").unwrap();
    assert_eq!(user.scan(), (6, 2));
    world.assert_accounting(0);
}

/// A home with a file, a directory and a link, and a change of each kind.
type Change = (CallKind, fn(&Channel) -> StoreResult<()>);

const CHANGES: [Change; 6] = [
    (CallKind::Rename, |user| user.home.rename(&path("f"), &path("g"), Replace::Always).map(drop)),
    (CallKind::Remove, |user| user.remove("g").map(drop)),
    (CallKind::Remove, |user| user.home.remove_directory(&path("d/e")).map(drop)),
    (CallKind::Make, |user| user.home.make_symlink(&path("l"), b"target").map(drop)),
    (CallKind::Make, |user| user.home.make_directory(&path("new"), MakeDirectory::default()).map(drop)),
    (CallKind::Remove, |user| {
        let mut removal = user.home.remove_tree(&path("d"), &mut |_, _| ())?;
        while !removal.step(StepLimit::entries(10), &mut |_, _| (), &mut |_| ())? {}
        Ok(())
    }),
];

fn prepare(user: &Channel) {
    user.put("f", b"content").unwrap();
    user.put("g", b"replaced").unwrap();
    user.make_directory("d/e");
}

pub fn a_name_change_that_fails_before_its_commit_changes_nothing(host: NewHost<'_>) {
    for (kind, change) in CHANGES {
        let world = World::with_quota(host, QUOTA_BYTES);
        let (user, faults) = faulty(&world);
        prepare(&user);
        let before = user.scan();
        faults.fail_next(kind, FaultPoint::BeforeCommit);
        assert_eq!(cause(change(&user)), Cause::DiskFailed);
        assert_eq!(user.scan(), before, "{kind:?}");
        world.assert_accounting(0);
        change(&user).unwrap();
        world.assert_accounting(0);
    }
}

pub fn a_name_change_whose_answer_is_lost_is_accounted_for(host: NewHost<'_>) {
    for (kind, change) in CHANGES {
        let world = World::with_quota(host, QUOTA_BYTES);
        let (user, faults) = faulty(&world);
        prepare(&user);
        faults.fail_next(kind, FaultPoint::AfterCommit);
        assert_eq!(cause(change(&user)), Cause::Unanswered);
        world.assert_accounting(0);
        // Repeating the change finds it done, or does it.
        let _ = change(&user);
        world.assert_accounting(0);
    }
}

pub fn an_upload_that_fails_leaves_no_reservation(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let (user, faults) = faulty(&world);
    for point in [FaultPoint::BeforeCommit, FaultPoint::AfterCommit] {
        faults.fail_next(CallKind::Open, point);
        assert!(user.begin("f", &file_of(9, 0)).is_err());
        world.assert_accounting(0);
        let mut upload = user.begin("f", &file_of(9, 0)).unwrap();
        upload.write(&zeros(5)).unwrap();
        faults.fail_next(CallKind::Write, point);
        assert!(upload.write(&zeros(4)).is_err());
        drop(upload);
        world.assert_accounting(0);
        let mut upload = user.begin("f", &file_of(9, 0)).unwrap();
        upload.write(&zeros(9)).unwrap();
        faults.fail_next(CallKind::Write, point);
        assert!(upload.finish(9 * MIB, None).is_err());
        world.assert_accounting(0);
        let file = user.open_staged("g", TRUNCATE_OR_CREATE);
        faults.fail_next(CallKind::Write, point);
        assert!(file.write_at(Some(0), &[b"x"]).is_err());
        drop(file);
        world.assert_accounting(0);
    }
}

/// Releases the hanging calls when it is dropped, so that a failing test ends.
struct Release<'a>(&'a Faults);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

pub fn a_hanging_call_blocks_no_other_channel(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let (slow, faults) = faulty(&world);
    let user = world.user();
    let item = slow.complete("f", b"slow").unwrap();
    faults.hang();
    let published = std::thread::scope(|scope| {
        let release = Release(&faults);
        let publishing = scope.spawn(|| slow.publish(item));
        let reading = scope.spawn(|| slow.info("f").map(drop));
        faults.wait_for_hanging(2);
        // Other channels are not affected.
        user.put("f", b"fast").unwrap();
        assert_eq!((user.content("f"), user.usage().staged.bytes), (b"fast".to_vec(), 4));
        // The channel is ended, and its calls return late.
        slow.ctx.cancel();
        drop(release);
        let _ = reading.join().unwrap();
        publishing.join().unwrap()
    });
    let seen = if published.is_ok() { b"slow" } else { b"fast" };
    assert_eq!(user.content("f"), seen);
    world.assert_accounting(0);
}

pub fn accounting_is_correct_although_calls_fail_at_random(host: NewHost<'_>) {
    for seed in 0..8 {
        let world = World::with_quota(host, 50_000);
        let (user, faults) = faulty(&world);
        user.make_directory("d");
        faults.fail_at_random(seed, 4);
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let name = |number: u32| ["f", "g", "d/f", "e", "d"][number as usize];
        for _ in 0..200 {
            let (from, to) = (name(rng.random_range(0..5)), name(rng.random_range(0..5)));
            let length = rng.random_range(0..10_000_usize);
            let result = match rng.random_range(0..8) {
                0..=2 => user.put(from, &vec![1; length]),
                3 => user.remove(from).map(drop),
                4 => user.home.rename(&path(from), &path(to), Replace::Always).map(drop),
                5 => user.set_size(from, length as u64),
                6 => user.home.make_directory(&path(from), MakeDirectory::default()).map(drop),
                _ => user.home.remove_directory(&path(from)).map(drop),
            };
            // A failed call must not be accounted for, a successful one must.
            let _ = result;
            world.assert_accounting(0);
        }
    }
}
