//! A full disk, as opposed to an exhausted quota.

use crate::World;
use crate::change::{self, Change};
use rustix::process::geteuid;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Peer, Program, run, until};
use sshome_wire::Status;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A script that starts a server with a small disk at the folder that follows. Only the server sees the disk, which
/// disappears with it.
const MOUNT: &str =
    "mount -t tmpfs -o size=24m,nr_inodes=300 small \"$0\" && mkdir \"$0/ann\" \"$0/bob\" && exec \"$@\"";

/// A command that runs its arguments with a small disk mounted at a folder; `None` if mounting is not allowed.
fn with_small_disk(test: &str, folder: &Path) -> Option<Command> {
    let command = || {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", MOUNT]).arg(folder);
        command
    };
    let tried = command().arg("true").stderr(Stdio::piped()).output();
    match tried {
        Ok(output) if output.status.success() => Some(command()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            eprintln!("skipped: {test}: nothing can be mounted here: {why}");
            None
        }
        Err(error) => {
            eprintln!("skipped: {test}: unshare: {error}");
            None
        }
    }
}

/// Fills the disk, from outside the server's mount namespace.
struct Filler(PathBuf);

impl Filler {
    fn of(server: &Program, folder: &Path) -> Filler {
        let seen = format!("/proc/{}/root{}", server.id(), folder.display());
        Filler(PathBuf::from(seen).join("filler"))
    }

    /// Leaves exactly this number of bytes free.
    fn fill_bytes(&self, left: u64) {
        let mut file = File::create(&self.0).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let length = file.metadata().unwrap().len();
        file.set_len(length - left).unwrap();
    }

    /// Leaves exactly this number of inodes free.
    fn fill_inodes(&self, left: usize) {
        fs::create_dir(&self.0).unwrap();
        let full = (0..).find(|number| File::create(self.0.join(number.to_string())).is_err()).unwrap();
        (0..left).for_each(|number| fs::remove_file(self.0.join((full - 1 - number).to_string())).unwrap());
    }

    fn empty(&self) {
        if self.0.is_dir() {
            fs::remove_dir_all(&self.0).unwrap();
        } else {
            fs::remove_file(&self.0).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_and_refuses_only_requests_that_need_space() {
    let folder = TempDir::with_prefix("sshome-small-").unwrap();
    // They must exist outside the mount namespace, too.
    for user in ["ann", "bob"] {
        fs::create_dir(folder.path().join(user)).unwrap();
    }
    let Some(command) = with_small_disk("a_full_disk", folder.path()) else { return };
    let mut host = World::host(folder.path());
    let server = host.start_through(command).unwrap();
    let filler = Filler::of(&server, folder.path());
    let homes = filler.0.parent().unwrap().to_owned();
    let world = World::new(host, server, homes).await;
    let mut refusals = 0;
    // By default, the two that cause the most refusals.
    let rooms: &[Room] = match std::env::var_os("SSHOME_TORTURE_ROUNDS") {
        None => &[Room::Bytes(64 << 10), Room::Inodes(0)],
        Some(_) => &[Room::Bytes(0), Room::Bytes(64 << 10), Room::Inodes(0), Room::Inodes(1)],
    };
    for change in Change::BUILDING {
        let user = change.user();
        change::prepare(&world.host, user).await;
        let before = world.contents(user);
        change.make(&world.host).await.unwrap();
        let after = world.contents(user);
        let mut refused = 0;
        for room in rooms.iter().copied() {
            change::prepare(&world.host, user).await;
            room.fill(&filler);
            let alarms = world.alarms();
            let made = change.make(&world.host).await;
            let what = format!("{change:?} with {room:?}: {made:?}");
            match &made {
                Ok(()) => assert!(world.contents(user) == after, "{what}"),
                Err(text) => {
                    refused += 1;
                    let full = text.contains("the server's disk is full")
                        || text.contains("are left on the server's disk");
                    let told = full && !text.contains("quota");
                    assert!(told, "{what}");
                    until(&format!("the log tells of it: {what}"), || world.alarms() > alarms);
                    world.assert_unharmed(change, &before, &after, false, &what);
                }
            }
            world.zcl_is_served().await;
            world.nothing_has_leaked(user, &what).await;
            filler.empty();
            // The same command again, now that there is space.
            change::prepare(&world.host, user).await;
            change.make(&world.host).await.unwrap();
            assert!(world.contents(user) == after, "{what}");
        }
        println!("{change:?}: refused with {refused} of {} disks", rooms.len());
        let needs_none =
            matches!(change, Change::SetSize | Change::SetModeAndTimes | Change::Mv | Change::Hardlink);
        assert!(needs_none || refused > 0, "{change:?} was never refused");
        refusals += refused;
    }
    println!("{refusals} refusals");
    let home = world.homes.join("ann");
    drop(world);
    until("the disk is gone with its server", || !home.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_logged_with_user_and_path_and_not_for_each_packet() {
    let test = "a_full_disk_is_logged_with_user_and_path_and_not_for_each_packet";
    let folder = TempDir::new().unwrap();
    let Some(command) = with_small_disk(test, folder.path()) else { return };
    let mut host = World::host(folder.path());
    let server = host.start_through(command).unwrap();
    let filler = Filler::of(&server, folder.path());
    let mut sftp = SftpPeer::login(&host, "ann").await.unwrap();
    let handle = sftp.open("/large", ANEW).await.unwrap().unwrap();
    filler.fill_bytes(0);
    for packet in 0..65 {
        let refused = sftp.write(&handle, packet * 32_768, &[1; 32_768]).await.unwrap();
        assert!(refused.unwrap().1.contains("the server's disk is full"));
    }
    let log = fs::read_to_string(host.dir().join("log/all")).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("\"the disk is full\"")).collect();
    let [line] = lines[..] else { panic!("{} lines of one upload: {lines:?}", lines.len()) };
    for part in ["\"user\":\"ann\"", "\"path\":\"/large\"", "\"to_do\":\"make room"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

/// The staged files of ann's home, and the bytes that they hold.
fn staged(world: &World) -> (usize, u64) {
    let staged = fs::read_dir(world.homes.join("ann/.sshome-staging")).into_iter().flatten().flatten();
    let lengths: Vec<_> = staged.map(|entry| entry.metadata().unwrap().len()).collect();
    (lengths.len(), lengths.iter().sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_fit_on_the_disk_is_refused_before_it_begins() {
    let test = "an_upload_that_cannot_fit_on_the_disk_is_refused_before_it_begins";
    let folder = TempDir::with_prefix("sshome-small-").unwrap();
    for user in ["ann", "bob"] {
        fs::create_dir(folder.path().join(user)).unwrap();
    }
    let Some(command) = with_small_disk(test, folder.path()) else { return };
    let mut host = World::host(folder.path());
    let server = host.start_through(command).unwrap();
    let homes = Filler::of(&server, folder.path()).0.parent().unwrap().to_owned();
    let world = World::new(host, server, homes).await;
    let before = staged(&world);
    let client = Client::new(&world.host, "ann").unwrap();
    fs::create_dir(client.work().join("tree")).unwrap();
    for name in ["big", "tree/big"] {
        // All zero, but the server does not know that.
        File::create(client.work().join(name)).unwrap().set_len(300 << 20).unwrap();
    }
    let needs = "big needs 300.0 MiB, ";
    let left = " MiB are left on the server's disk";
    for arguments in [
        &["put", "big"][..],
        &["put", "-j", "1", "big"],
        &["put", "-j", "3", "big"],
        &["push", "tree", "copy"],
        &["put", "-r", "tree"],
    ] {
        let refused = client.run(arguments).unwrap();
        assert_ne!(refused.code, Some(0), "{arguments:?}: {refused}");
        let said = refused.err();
        assert!(said.contains(needs) && said.contains(left) && !said.contains("quota"), "{said}");
        assert_eq!(staged(&world), before, "{arguments:?}: {refused}");
    }
    let scp = run(&world.host, "ann", "scp -t big", b"C0644 314572800 big\nx").await.unwrap();
    assert!(scp.code == Some(1) && scp.out().contains(needs) && scp.out().contains(left), "{scp}");
    let mut peer = Peer::login(&world.host, "ann").await.unwrap();
    peer.begin_put("big", Some(300 << 20)).await.unwrap();
    let refused = peer.reply().await.unwrap();
    assert!(refused.status == Status::Failed && refused.message.contains(left), "{refused}");
    assert_eq!(staged(&world), before);
    let log = fs::read_to_string(world.host.dir().join("log/all")).unwrap();
    assert!(log.contains("\"the disk is full\"") && log.contains("\"why\":\"needs 300.0 MiB, "), "{log}");
    // What fits is stored.
    let mut peer = Peer::login(&world.host, "ann").await.unwrap();
    assert_eq!(peer.put("fits", &noise(2 << 20, "fits")).await.unwrap().status, Status::Done);
}

/// The free space of the disk.
#[derive(Clone, Copy, Debug)]
enum Room {
    Bytes(u64),
    Inodes(usize),
}

impl Room {
    fn fill(self, filler: &Filler) {
        match self {
            Room::Bytes(left) => filler.fill_bytes(left),
            Room::Inodes(left) => filler.fill_inodes(left),
        }
    }
}
