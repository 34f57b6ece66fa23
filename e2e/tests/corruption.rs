//! One corrupt byte: in a partial file, in a source between the cut and the resume, and in a stored file. It is
//! detected, never published, and never sent on.
//!
//! `resume.rs` tests a client that does not compare (`resuming_after_a_corrupt_block_publishes_nothing`).

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome_e2e::tree::{names, noise};
use sshome_e2e::{Client, Host, Outcome, Peer, until};
use sshome_wire::{BLOCK_BYTES, Request, Status};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const LENGTH: u64 = 4 * BLOCK_BYTES + 4321;

/// The smallest number of bytes that arrive before a transfer is cut.
const MIN_PART_BYTES: u64 = 3 * BLOCK_BYTES + 1;

struct World {
    host: Host,
    client: Client,
}

impl World {
    async fn new() -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        World { host, client }
    }

    fn here(&self) -> PathBuf {
        self.client.work().join("f")
    }

    fn there(&self) -> PathBuf {
        self.host.home("ann").join("f")
    }

    fn local_part(&self) -> PathBuf {
        self.client.work().join(".f.sshome-part")
    }

    /// The longest staged file on the server.
    fn remote_part(&self) -> Option<PathBuf> {
        let staged = fs::read_dir(self.host.home("ann").join(".sshome-staging")).ok()?;
        staged.map(|file| file.unwrap().path()).max_by_key(|file| length(file))
    }

    /// Kills a put or a get of `f` halfway. Returns the partial file that it left.
    fn cut(&self, verb: &str) -> PathBuf {
        let part = || match verb {
            "put" => self.remote_part(),
            _ => Some(self.local_part()),
        };
        let mut command = self.client.command().unwrap();
        // Slow enough to be observed.
        command.args(["-l", "100000"]).arg(self.client.destination()).args([verb, "f"]);
        let mut running = command.spawn().unwrap();
        until("enough has arrived", || part().is_some_and(|part| length(&part) >= MIN_PART_BYTES));
        running.kill().unwrap();
        running.wait().unwrap();
        if verb == "put" {
            until("the part is on the shelf", || self.client.succeed(["df", "-v"]).unwrap().contains("/f"));
        }
        part().unwrap()
    }

    /// Repeats the command. It succeeds, and no partial file is left.
    fn again(&self, verb: &str) -> Outcome {
        let outcome = self.client.run([verb, "f"]).unwrap();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(self.remote_part(), None, "{outcome}");
        assert_eq!(names(&self.client.work()).unwrap(), [b"f"], "{outcome}");
        outcome
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

/// Changes one byte of a file, but not its length and time.
fn flip(path: &Path, at: u64) {
    let time = path.metadata().unwrap().modified().unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    file.set_modified(time).unwrap();
}

/// Offsets in the partial file: at the borders of blocks, and random ones.
fn places() -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(11);
    vec![0, 2 * BLOCK_BYTES - 1, 2 * BLOCK_BYTES, random.random_range(0..3 * BLOCK_BYTES)]
}

/// Whether a transfer resumed at or before the block of that offset.
fn resumed_before(outcome: &Outcome, place: u64) -> bool {
    let said = outcome.out() + &outcome.err();
    let blocks = place / BLOCK_BYTES;
    match blocks {
        0 => said.contains("the partial file differs: starting over"),
        blocks => said.contains(&format!("resumed at {}.0 MiB", blocks * (BLOCK_BYTES >> 20))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_partial_upload_is_detected() {
    let world = World::new().await;
    for place in places() {
        let content = noise(LENGTH as usize, place.to_le_bytes());
        fs::write(world.here(), &content).unwrap();
        flip(&world.cut("put"), place);
        let outcome = world.again("put");
        assert!(resumed_before(&outcome, place), "{place}: {outcome}");
        assert!(fs::read(world.there()).unwrap() == content, "{place}");
        fs::remove_file(world.there()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_partial_download_is_detected() {
    let world = World::new().await;
    for place in places() {
        let content = noise(LENGTH as usize, place.to_le_bytes());
        fs::write(world.there(), &content).unwrap();
        flip(&world.cut("get"), place);
        let outcome = world.again("get");
        assert!(resumed_before(&outcome, place), "{place}: {outcome}");
        assert!(fs::read(world.here()).unwrap() == content, "{place}");
        fs::remove_file(world.here()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_a_put_changed_between_cut_and_resume_is_never_mixed() {
    let world = World::new().await;
    for place in places() {
        fs::write(world.here(), noise(LENGTH as usize, place.to_le_bytes())).unwrap();
        world.cut("put");
        flip(&world.here(), place);
        let outcome = world.again("put");
        assert!(resumed_before(&outcome, place), "{place}: {outcome}");
        // The published file is the current source, not a mixture.
        assert!(fs::read(world.there()).unwrap() == fs::read(world.here()).unwrap(), "{place}");
        fs::remove_file(world.there()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_a_get_changed_between_cut_and_resume_is_never_mixed() {
    let world = World::new().await;
    for place in places() {
        // It has no stored digest, so it may have been changed on purpose.
        fs::write(world.there(), noise(LENGTH as usize, place.to_le_bytes())).unwrap();
        world.cut("get");
        flip(&world.there(), place);
        let outcome = world.again("get");
        assert!(resumed_before(&outcome, place), "{place}: {outcome}");
        assert!(fs::read(world.here()).unwrap() == fs::read(world.there()).unwrap(), "{place}");
        fs::remove_file(world.here()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_stored_file_is_detected() {
    let world = World::new().await;
    fs::write(world.here(), noise(LENGTH as usize, "stored")).unwrap();
    fs::write(world.client.work().join("sound"), "sound").unwrap();
    world.client.succeed(["mkdir", "d"]).unwrap();
    world.client.succeed(["put", "f", "sound", "d/"]).unwrap();
    let stored = world.host.home("ann").join("d/f");
    if rustix::fs::getxattr(&stored, "user.sshome.blake3", &mut [0; 64][..]).is_err() {
        eprintln!("skipped: this filesystem has no extended attributes");
        return;
    }
    let verify = ["hash", "--verify", "d/f"];
    assert!(world.client.succeed(verify).unwrap().contains(": OK"));
    for name in ["f", "sound"] {
        fs::remove_file(world.client.work().join(name)).unwrap();
    }
    for place in [0, LENGTH / 2, LENGTH - 1] {
        flip(&stored, place);
        for command in [&verify[..], &["get", "d/f"], &["cp", "d/f", "copy"]] {
            let outcome = world.client.run(command).unwrap();
            assert_eq!(outcome.code, Some(1), "{command:?} at {place}: {outcome}");
            assert!(outcome.err().contains("407"), "{command:?} at {place}: {outcome}");
        }
        // The other files of a tree are fetched nevertheless.
        let outcome = world.client.run(["get", "-r", "d"]).unwrap();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert_eq!(names(&world.client.work()).unwrap(), [b"d"]);
        assert_eq!(names(&world.client.work().join("d")).unwrap(), [b"sound"]);
        fs::remove_dir_all(world.client.work().join("d")).unwrap();
        assert!(!world.host.home("ann").join("copy").exists());
        flip(&stored, place);
    }
    world.client.succeed(["get", "d/f"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_file_corrupted_between_cut_and_resume_is_detected() {
    let world = World::new().await;
    fs::write(world.here(), noise(LENGTH as usize, "cut")).unwrap();
    world.client.succeed(["put", "f"]).unwrap();
    if rustix::fs::getxattr(world.there(), "user.sshome.blake3", &mut [0; 64][..]).is_err() {
        eprintln!("skipped: this filesystem has no extended attributes");
        return;
    }
    fs::remove_file(world.here()).unwrap();
    // In the part that has arrived, and in the rest.
    for place in [BLOCK_BYTES + 5, LENGTH - 1] {
        world.cut("get");
        flip(&world.there(), place);
        let outcome = world.client.run(["get", "f"]).unwrap();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.err().contains("407") && !world.here().exists(), "{outcome}");
        flip(&world.there(), place);
    }
    world.again("get");
    assert!(fs::read(world.here()).unwrap() == noise(LENGTH as usize, "cut"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modified_file_is_not_reported_as_corrupt() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"as it was").await.unwrap().status, Status::Done);
    let file = File::options().write(true).open(host.home("ann").join("f")).unwrap();
    file.write_all_at(b"as it is!", 0).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(peer.get("f").await.unwrap().unwrap(), b"as it is!");
    let verify = Request::Hash { path: b"f".to_vec(), verify: true };
    assert_eq!(peer.ask(verify).await.unwrap().status, Status::Done);
}
