//! The disk refuses every step of every change once.

use crate::change::{self, Change};
use crate::{Killed, World};
use rustix::io::Errno;
use sshome_e2e::foreign::program;
use sshome_e2e::tree::contents;
use sshome_e2e::{DiskOperation, Faulty, HostBuilder, Peer, until};
use sshome_wire::{Request, Status};
use std::collections::BTreeMap;
use std::process::Command;

/// The disk's error, and the client's message.
type Refusal = (Errno, &'static str);

/// The two errors that are tried.
const ERRORS: [Refusal; 2] =
    [(Errno::IO, "the server's disk failed to read or write"), (Errno::NOSPC, "the server's disk is full")];

async fn world(test: &str) -> Option<(Faulty, World)> {
    let disk = Faulty::new(test)?;
    for user in ["ann", "bob"] {
        std::fs::create_dir(disk.path().join(user)).unwrap();
    }
    let mut host = World::host(&disk.path());
    let server = host.start_apart().unwrap();
    // The backing folder, where nothing fails.
    let world = World::new(host, server, disk.backing()).await;
    Some((disk, world))
}

/// Makes a change while its first step fails, then its second, and so on to the last. Several refusals alternate.
/// Returns the steps that failed.
async fn each_step(
    disk: &Faulty,
    world: &World,
    change: Change,
    steps: &'static [DiskOperation],
    refusals: &[Refusal],
) -> Vec<DiskOperation> {
    let user = change.user();
    change::prepare(&world.host, user).await;
    let before = world.contents(user);
    disk.fail(usize::MAX, steps, Errno::IO);
    change.make(&world.host).await.unwrap();
    let all = disk.heal();
    let after = world.contents(user);
    let mut failed = Vec::new();
    for (number, (errno, told)) in worth_failing(&all).into_iter().zip(refusals.iter().copied().cycle()) {
        change::prepare(&world.host, user).await;
        assert!(world.contents(user) == before);
        disk.fail(number, steps, errno);
        let alarms = world.alarms();
        let made = change.make(&world.host).await;
        // The grouping of files depends on timing, so there may be fewer steps than before.
        let Some(step) = disk.heal().get(number).copied() else {
            made.unwrap();
            continue;
        };
        failed.push(step);
        let what = format!("{change:?}, step {number} ({step:?}), {errno:?}: {made:?}");
        match &made {
            Ok(()) => {
                // A file need not have its digest, and the rest of a failed write may still be written.
                let harmless = step == DiskOperation::Write
                    || (step == DiskOperation::SetXattr && errno == Errno::NOSPC);
                assert!(harmless, "{what}");
                assert!(world.contents(user) == after, "{what}");
            }
            Err(text) => {
                assert!(text.contains(told), "{what}");
                until(&format!("the log tells of it: {what}"), || world.alarms() > alarms);
                world.assert_unharmed(change, &before, &after, step == DiskOperation::SyncDirectory, &what);
            }
        }
        world.nothing_has_leaked(user, &what).await;
    }
    failed
}

/// The numbers of these steps. Of many consecutive writes, only the first, one in the middle and the last.
fn worth_failing(steps: &[DiskOperation]) -> Vec<usize> {
    let (mut numbers, mut first) = (Vec::new(), 0);
    for run in steps.chunk_by(|one, next| one == next && *one == DiskOperation::Write) {
        numbers.extend([0, run.len() / 2, run.len() - 1].map(|number| first + number));
        first += run.len();
    }
    numbers.dedup();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_failure_at_any_step_is_reported_and_leaves_nothing_half_done() {
    let Some((disk, world)) = world("a_disk_that_fails_at_any_step").await else { return };
    let mut seen = BTreeMap::new();
    // By default, the two errors alternate between the steps.
    let refusals: &[&[Refusal]] = match std::env::var_os("SSHOME_TORTURE_ROUNDS") {
        None => &[&ERRORS],
        Some(_) => &[&ERRORS[..1], &ERRORS[1..]],
    };
    for change in Change::BUILDING {
        for refusals in refusals {
            let steps = each_step(&disk, &world, change, DiskOperation::BUILDING, refusals).await;
            assert!(!steps.is_empty(), "{change:?} asks nothing of the disk");
            println!("{change:?} with each of {} steps failing: {steps:?}", steps.len());
            for step in steps {
                *seen.entry(format!("{step:?}")).or_insert(0) += 1;
            }
        }
        world.zcl_is_served().await;
    }
    println!("{} steps have failed: {seen:?}", seen.values().sum::<i32>());
    assert_eq!(seen.len(), DiskOperation::BUILDING.len(), "no change has met the others: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_removed_stays_counted() {
    let Some((disk, world)) = world("what_cannot_be_removed").await else { return };
    for (change, least) in [(Change::Rm, 1), (Change::RmTree, 4)] {
        let steps = each_step(&disk, &world, change, &[DiskOperation::Remove], &ERRORS[..1]).await;
        assert!(steps.len() >= least, "{change:?}: {steps:?}");
    }
}

/// Whether a process is being traced.
fn is_traced(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
}

/// `syncfs` does not reach a FUSE filesystem, so strace makes it fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_synced_publishes_nothing() {
    let test = "a_disk_that_cannot_be_synced";
    let Some(strace) = program("strace", test) else { return };
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let server = host.start_apart().unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.ask(Request::Mkdir { path: b"tree".to_vec(), parents: false, mode: None }).await.unwrap();
    // More files than are synced one by one.
    for number in 0..8 {
        assert_eq!(peer.put(format!("tree/{number}"), b"content").await.unwrap().status, Status::Done);
    }
    let copy = || Request::Cp { from: b"tree".to_vec(), to: b"copy".to_vec(), recursive: true };
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:error=EIO"]);
    let mut tracer = Killed::start(command.args(["-p", &server.id().to_string()]));
    let mut ended = None;
    until("strace is there", || {
        ended = tracer.0.try_wait().unwrap();
        ended.is_some() || is_traced(server.id())
    });
    if let Some(ended) = ended {
        eprintln!("skipped: {test}: strace may not trace here: {ended}");
        return;
    }
    let refused = peer.ask(copy()).await.unwrap();
    assert_eq!(refused.status, Status::Failed, "{refused}");
    assert!(refused.message.contains("the server's disk failed to read or write"), "{refused}");
    let home = host.home("ann");
    assert!(contents(&home.join("copy")).unwrap().is_empty(), "something was published");
    until("nothing is staged", || home.join(".sshome-staging").read_dir().unwrap().count() == 0);
    drop(tracer);
    until("nobody traces any more", || !is_traced(server.id()));
    peer.ask(Request::Rmdir { path: b"copy".to_vec() }).await.unwrap();
    assert_eq!(peer.ask(copy()).await.unwrap().status, Status::Done);
    assert!(contents(&home.join("copy")).unwrap() == contents(&home.join("tree")).unwrap());
}
