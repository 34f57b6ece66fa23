//! Many concurrent operations at the limit of the quota.

use super::world::*;
use rand::{RngExt, SeedableRng};
use sshomed::service::{self, Download, OpenFile, OpenMode, RecursiveRemoval, SetAttributes};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

#[test]
fn eight_concurrent_writers_fill_the_quota_to_the_byte() {
    let world = World::new("quota = 10000");
    let (taken, gate) = (AtomicU64::new(0), Barrier::new(8));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (world, taken, gate) = (&world, &taken, &gate);
            scope.spawn(move || {
                let user = world.user();
                let file = open(&user, &format!("f{writer}"), WRITE_OR_CREATE);
                gate.wait();
                for at in 0.. {
                    match file.write_at(at * 7, &[1; 7]) {
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
    assert_eq!(taken.into_inner(), 10000 / 7 * 7);
    world.assert_accounting(0);
}

#[test]
fn eight_appenders_to_one_file_lose_nothing() {
    let world = World::new("quota = 10000");
    let gate = Barrier::new(8);
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            let (world, gate) = (&world, &gate);
            scope.spawn(move || {
                let user = world.user();
                let file = open(&user, "f", APPEND_OR_CREATE);
                gate.wait();
                for _ in 0..100 {
                    file.write_at(0, &[writer; 10]).unwrap();
                }
            });
        }
    });
    let content = content(&world.user(), "f");
    assert_eq!(content.len(), 8000);
    for record in content.chunks(10) {
        assert_eq!(record, [record[0]; 10]);
    }
    world.assert_accounting(0);
}

#[test]
fn a_get_during_writes_fails_or_returns_a_single_write() {
    const LENGTH: usize = 200_000;
    let world = World::new("");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = open(&world.user(), "f", WRITE_OR_CREATE);
            for round in 0..300_u32 {
                file.write_at(0, &vec![round as u8; LENGTH]).unwrap();
            }
            done.store(true, SeqCst);
        });
        let user = world.user();
        while !done.load(SeqCst) {
            let Ok(mut get) = Download::begin(&user, &path("f")) else { continue };
            let (mut content, mut piece) = (Vec::new(), Vec::with_capacity(LENGTH / 20));
            while get.read(&mut piece).is_ok_and(|read| read > 0) {
                content.append(&mut piece);
            }
            if get.finish().is_ok() {
                assert!(content.iter().all(|byte| *byte == content[0]), "parts of two writes");
            }
        }
    });
}

#[test]
fn concurrent_operations_end_with_correct_accounting() {
    const QUOTA_BYTES: u64 = 50_000;
    let world = World::new(&format!("quota = {QUOTA_BYTES}\nmax-files = 20"));
    let gate = Barrier::new(6);
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let (world, gate) = (&world, &gate);
            scope.spawn(move || {
                gate.wait();
                act_at_random(world, seed, QUOTA_BYTES);
            });
        }
    });
    world.assert_accounting(0);
}

/// A session that does random operations on four files.
fn act_at_random(world: &World, seed: u64, quota: u64) {
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let user = world.user();
    let mut files: Vec<OpenFile> = Vec::new();
    let mut gets = Vec::new();
    for _ in 0..400 {
        let (name, other) = (format!("f{}", rng.random_range(0..4)), format!("f{}", rng.random_range(0..4)));
        let (offset, length) = (rng.random_range(0..20_000), rng.random_range(0..10_000_usize));
        let mode = OpenMode { truncate: rng.random(), append: rng.random(), ..READ_WRITE_OR_CREATE };
        let slot = rng.random_range(0..files.len().max(1));
        let result = match rng.random_range(0..12) {
            0 | 1 => OpenFile::open(&user, &path(&name), mode).map(|file| files.push(file)),
            2..=4 => files.get(slot).map_or(Ok(()), |file| file.write_at(offset, &vec![1; length])),
            5 if slot < files.len() => {
                drop(files.swap_remove(slot));
                Ok(())
            }
            6 => service::remove(&user, &path(&name)),
            7 => put(&user, &name, &vec![2; length]),
            8 => service::rename_exact(&user, &path(&name), &path(&other), true),
            9 => service::hard_link(&user, &path(&name), &path(&other)),
            10 => {
                let wanted = SetAttributes { size: Some(offset), ..SetAttributes::default() };
                service::set_attributes(&user, &path(&name), true, &wanted)
            }
            _ => {
                gets.truncate(2);
                Download::begin(&user, &path(&name)).map(|get| gets.push(get))
            }
        };
        // The other sessions cause errors.
        let _ = result;
        assert!(service::usage(&user).unwrap().charged() <= quota);
    }
    // It fails if the file does not exist.
    let _ = RecursiveRemoval::begin(&user, &path("f0"));
}
