//! Many channels at once, at the limit.

use super::NewHost;
use super::world::*;
use crate::quota::QuotaLimits;
use crate::{OpenMode, Replace, StoreResult};
use rand::{RngExt, SeedableRng};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

pub fn eight_writers_fill_the_quota_to_the_byte(host: NewHost<'_>) {
    let world = World::with_quota(host, 10_000);
    let (taken, gate) = (AtomicU64::new(0), Barrier::new(8));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (world, taken, gate) = (&world, &taken, &gate);
            scope.spawn(move || {
                let user = world.user();
                let file = user.open(&format!("f{writer}"), WRITE_OR_CREATE);
                gate.wait();
                for at in 0.. {
                    match file.write_at(Some(at * 7), &[&[1; 7]]) {
                        Ok(()) => taken.fetch_add(7, SeqCst),
                        refused => {
                            assert!(is_over_quota(refused));
                            break;
                        }
                    };
                }
            });
        }
    });
    // The space that is left is less than one request.
    assert_eq!(taken.into_inner(), 10_000 / 7 * 7);
    world.assert_accounting(0);
}

pub fn eight_appenders_to_one_file_lose_nothing(host: NewHost<'_>) {
    let world = World::with_quota(host, 10_000);
    let gate = Barrier::new(8);
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            let (world, gate) = (&world, &gate);
            scope.spawn(move || {
                let user = world.user();
                let file = user.open("f", APPEND_OR_CREATE);
                gate.wait();
                for _ in 0..100 {
                    file.write_at(None, &[&[writer; 10]]).unwrap();
                }
            });
        }
    });
    let content = world.user().content("f");
    assert_eq!(content.len(), 8000);
    for record in content.chunks(10) {
        assert_eq!(record, [record[0]; 10]);
    }
    world.assert_accounting(0);
}

pub fn eight_uploads_to_one_target_leave_exactly_one(host: NewHost<'_>) {
    const LENGTH: usize = 10_000;
    let world = World::with_quota(host, 9 * LENGTH as u64);
    let gate = Barrier::new(8);
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            let (world, gate) = (&world, &gate);
            scope.spawn(move || {
                let user = world.user();
                gate.wait();
                for _ in 0..10 {
                    user.put("f", &[writer; LENGTH]).unwrap();
                    let content = user.content("f");
                    assert!(content.len() == LENGTH && content.iter().all(|byte| *byte == content[0]));
                }
            });
        }
    });
    assert_eq!(world.user().scan(), (LENGTH as u64, 1));
    world.assert_accounting(0);
}

pub fn concurrent_operations_end_with_correct_accounting(host: NewHost<'_>) {
    const QUOTA_BYTES: u64 = 50_000;
    let world = World::with_limits(host, QuotaLimits { bytes: Some(QUOTA_BYTES), entries: Some(20) });
    let gate = Barrier::new(6);
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let (world, gate) = (&world, &gate);
            scope.spawn(move || {
                gate.wait();
                act_at_random(&world.user(), seed, QUOTA_BYTES);
            });
        }
    });
    world.assert_accounting(0);
}

/// A channel that does random operations on four files.
fn act_at_random(user: &Channel, seed: u64, quota: u64) {
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let mut files = Vec::new();
    for _ in 0..400 {
        let (name, other) = (format!("f{}", rng.random_range(0..4)), format!("f{}", rng.random_range(0..4)));
        let (offset, length) = (rng.random_range(0..20_000), rng.random_range(0..10_000_usize));
        let mode = OpenMode { truncate: rng.random(), ..READ_WRITE_OR_CREATE };
        let slot = rng.random_range(0..files.len().max(1));
        let result: StoreResult<()> = match rng.random_range(0..12) {
            0 | 1 => user.try_open(&name, mode).map(|file| files.push(file)),
            2..=4 => files.get(slot).map_or(Ok(()), |file| file.write_at(Some(offset), &[&vec![1; length]])),
            5 if slot < files.len() => user.close(files.swap_remove(slot)),
            6 => user.remove(&name).map(drop),
            7 => user.put(&name, &vec![2; length]),
            8 => user.home.rename(&path(&name), &path(&other), Replace::Always).map(drop),
            9 => user.home.hard_link(&path(&name), &path(&other), false).map(drop),
            10 => user.set_size(&name, offset),
            _ => user.try_open(&name, READ_ONLY).map(|file| {
                // Closes the oldest.
                files.push(file);
                drop(files.remove(0));
            }),
        };
        // The other channels cause errors.
        let _ = result;
        assert!(user.usage().charged().bytes <= quota);
    }
}
