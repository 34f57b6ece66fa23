//! Every step of every change refused once, by the disk.

use crate::World;
use crate::change::{self, Change};
use rustix::io::Errno;
use sshome_e2e::{Faulty, Step};
use std::collections::BTreeMap;

/// What the disk says, and what the client is told of it.
const ERRORS: [(Errno, &str); 2] =
    [(Errno::IO, "the server's disk has failed"), (Errno::NOSPC, "the server's disk is full")];

async fn world(test: &str) -> Option<(Faulty, World)> {
    let disk = Faulty::new(test)?;
    for user in ["ann", "bob"] {
        std::fs::create_dir(disk.path().join(user)).unwrap();
    }
    let mut host = World::host(&disk.path());
    let server = host.start_apart().unwrap();
    // Where nothing fails and nothing is remembered.
    let world = World::new(host, server, disk.backing()).await;
    Some((disk, world))
}

/// Makes a change with its first step failing, then with its second, and so on until none fails. How many did.
async fn each_step(
    disk: &Faulty,
    world: &World,
    change: Change,
    steps: &'static [Step],
    errno: Errno,
    told: &str,
) -> Vec<Step> {
    let user = change.user();
    change::prepare(&world.host, user).await;
    let before = world.contents(user);
    change.make(&world.host).await.unwrap();
    let after = world.contents(user);
    let mut failed = Vec::new();
    loop {
        change::prepare(&world.host, user).await;
        assert!(world.contents(user) == before);
        disk.fail_after(failed.len() as u32, steps, errno);
        let made = change.make(&world.host).await;
        let Some(step) = disk.heal() else {
            made.unwrap();
            assert!(world.contents(user) == after);
            return failed;
        };
        failed.push(step);
        let what = format!("{change:?}, step {} ({step:?}), {errno:?}: {made:?}", failed.len());
        match &made {
            Ok(()) => {
                // A file need not carry its digest.
                assert!(step == Step::SetXattr && errno == Errno::NOSPC, "{what}");
                assert!(world.contents(user) == after, "{what}");
            }
            Err(text) => {
                assert!(text.contains(told), "{what}");
                world.assert_unharmed(change, &before, &after, step == Step::SyncDirectory, &what);
            }
        }
        world.nothing_has_leaked(user, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_at_any_step_is_told_of_and_leaves_nothing_half_done() {
    let Some((disk, world)) = world("a_disk_that_fails_at_any_step").await else { return };
    let mut seen = BTreeMap::new();
    for change in Change::BUILDING {
        for (errno, told) in ERRORS {
            let steps = each_step(&disk, &world, change, Step::BUILDING, errno, told).await;
            assert!(!steps.is_empty(), "{change:?} asks nothing of the disk");
            println!("{change:?} with {errno:?} at each of {}: {steps:?}", steps.len());
            for step in steps {
                *seen.entry(format!("{step:?}")).or_insert(0) += 1;
            }
        }
        world.zcl_is_served().await;
    }
    println!("{} steps have failed: {seen:?}", seen.values().sum::<i32>());
    assert_eq!(seen.len(), Step::BUILDING.len(), "no change has met the others: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_removed_stays_and_is_counted() {
    let Some((disk, world)) = world("what_cannot_be_removed").await else { return };
    for (change, least) in [(Change::Rm, 1), (Change::RmTree, 4)] {
        let (errno, told) = ERRORS[0];
        let steps = each_step(&disk, &world, change, &[Step::Remove], errno, told).await;
        assert!(steps.len() >= least, "{change:?}: {steps:?}");
    }
}
