//! Homes that cannot be served, or are replaced while the server runs: only their own users are affected.

mod closed;

use rustix::process::geteuid;
use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::tree::set_mode;
use sshome_e2e::{Client, Host, HostBuilder, Peer, has_root, run, until};
use sshome_wire::sftp::OpenFlags;
use sshome_wire::{Request, Status};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// Ann's home is in a separate folder, which a test can damage; zcl's is as usual.
fn builder(root: &Path) -> HostBuilder {
    let builder = HostBuilder::new().unwrap().setting("metrics = \"127.0.0.1:0\"");
    let root = format!("root = \"{}\"", root.display());
    builder.user("ann", &root).unwrap().user("zcl", "").unwrap()
}

async fn works(host: &Host, user: &str) -> bool {
    let Ok(mut peer) = Peer::login(host, user).await else { return false };
    peer.put("f", b"1").await.is_ok_and(|reply| reply.status == Status::Done)
}

/// The reason why a user is locked out, from `sshomed status`; empty if the user is not.
fn why(host: &Host, user: &str) -> String {
    let status = host.administrator().json(&["status"]);
    let homes = status["unavailable"].as_array().unwrap();
    let home = homes.iter().find(|home| home["user"] == user);
    home.map(|home| home["why"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// Damages a home, and repairs it.
struct Harm {
    what: &'static str,
    says: &'static str,
    harm: fn(&Path),
    mend: fn(&Path),
}

fn harms() -> Vec<Harm> {
    let mut harms = vec![
        Harm {
            what: "missing",
            says: "mount or create it",
            harm: |_| {},
            mend: |root| fs::create_dir(root).unwrap(),
        },
        Harm {
            what: "a file",
            says: "Not a directory",
            harm: |root| fs::write(root, "").unwrap(),
            mend: |root| {
                fs::remove_file(root).unwrap();
                fs::create_dir(root).unwrap();
            },
        },
        Harm {
            what: "a staging folder that is a link",
            says: "",
            harm: |root| {
                fs::create_dir(root).unwrap();
                symlink("/tmp", root.join(".sshome-staging")).unwrap();
            },
            mend: |root| fs::remove_file(root.join(".sshome-staging")).unwrap(),
        },
    ];
    if geteuid().is_root() {
        eprintln!("skipped: modes that keep the owner out: root passes them");
        return harms;
    }
    harms.extend([
        Harm {
            what: "not to be opened",
            says: "chmod -R u+rwX",
            harm: |root| {
                fs::create_dir(root).unwrap();
                set_mode(root, 0).unwrap();
            },
            mend: |root| set_mode(root, 0o700).unwrap(),
        },
        Harm {
            what: "not to be written",
            says: "chmod -R u+rwX",
            harm: |root| {
                fs::create_dir(root).unwrap();
                set_mode(root, 0o500).unwrap();
            },
            mend: |root| set_mode(root, 0o700).unwrap(),
        },
    ]);
    harms
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_folder_as_home_locks_out_its_user_only() {
    for root in ["/etc", "/usr/share", "/proc", "/dev", "/run", "/var", "/tmp"] {
        let host = builder(Path::new(root)).start().await.unwrap_or_else(|error| panic!("{root}: {error}"));
        assert!(works(&host, "zcl").await && !works(&host, "ann").await, "{root}");
        assert!(why(&host, "ann").contains("set `root` to a folder for this user only"), "{root}");
        let checked = host.administrator().run(&["check"]);
        assert!(
            checked.code == Some(1) && checked.err().contains("set `root` to a folder"),
            "{root}: {checked}"
        );
    }
    let outside = TempDir::new().unwrap();
    let mut host = builder(outside.path()).prepare().unwrap();
    let _server = host.start_apart().unwrap();
    let administrator = host.administrator();
    for root in ["/", "/etc", "/bin", "/root", "/home"] {
        let refused = administrator.run(&["user", "set", "ann", "--root", root]);
        assert!(
            refused.code == Some(1) && refused.err().contains("cannot be a home: it "),
            "{root}: {refused}"
        );
    }
    assert!(works(&host, "ann").await);
    let file = host.dir().join("etc/users.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(outside.path().to_str().unwrap(), "/etc") + "[users.sam]\n").unwrap();
    until("ann's session is over", || {
        let reloaded = administrator.run(&["reload"]);
        reloaded.code == Some(0) && reloaded.out().contains("ann is locked out, the home /etc is unavailable")
    });
    assert!(works(&host, "zcl").await && !works(&host, "ann").await);
    assert!(fs::metadata("/etc/.sshome-staging").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_home_locks_out_its_user_only() {
    for Harm { what, says, harm, mend } in harms() {
        let outside = TempDir::new().unwrap();
        let root = outside.path().join("ann");
        harm(&root);
        let host = builder(&root).start().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(works(&host, "zcl").await, "{what}");
        let refused = Peer::login(&host, "ann").await.map(drop).unwrap_err().to_string();
        assert!(
            refused.contains("Failed") && refused.contains("your home is unavailable"),
            "{what}: {refused}"
        );
        assert!(!refused.contains(outside.path().to_str().unwrap()), "{what}: {refused}");
        assert!(
            why(&host, "ann").contains(says) && !why(&host, "ann").is_empty(),
            "{what}: {}",
            why(&host, "ann")
        );
        let status = host.administrator().run(&["status"]);
        assert!(status.out().contains("ann is locked out"), "{status}");
        let check = host.administrator().run(&["check"]);
        assert!(check.code == Some(1) && check.err().contains("the home of ann"), "{what}: {check}");
        // Settings are still applied, although the home is still bad.
        let file = host.dir().join("etc/users.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("[users.zcl]\n", "[users.zcl]\nquota = 1000\n")).unwrap();
        let done = host.administrator().run(&["reload"]);
        assert!(done.code == Some(0) && done.out().contains("ann is locked out"), "{what}: {done}");
        assert_eq!(host.administrator().json(&["status"])["homes"][0]["quota"], 1000, "{what}");

        mend(&root);
        assert!(works(&host, "ann").await, "{what}: it is not tried again");
        assert_eq!(why(&host, "ann"), "", "{what}");
        assert!(root.join("f").exists(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_home_of_a_new_user_is_reported_and_stops_no_reload() {
    let outside = TempDir::new().unwrap();
    let host = HostBuilder::new().unwrap().user("zcl", "").unwrap().start().await.unwrap();
    let file = host.dir().join("etc/users.toml");
    let key = host.key().public_key().to_openssh().unwrap();
    let root = outside.path().join("ann");
    let ann = format!("\n[users.ann]\nauthorized-keys = [\"{key}\"]\nroot = \"{}\"\n", root.display());
    fs::write(&file, fs::read_to_string(&file).unwrap() + &ann).unwrap();
    let done = host.administrator().run(&["reload"]);
    assert!(done.code == Some(0) && done.out().contains("ann is locked out"), "{done}");
    assert!(works(&host, "zcl").await && !works(&host, "ann").await);
    let set = host.administrator().run(&["user", "set", "ann", "--max-files", "7"]);
    assert!(set.code == Some(0) && set.out().contains("ann is locked out"), "{set}");
    fs::create_dir(&root).unwrap();
    assert!(works(&host, "ann").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_reports_that_the_home_is_unavailable() {
    let outside = TempDir::new().unwrap();
    let host = builder(&outside.path().join("ann")).start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap().run(["ls"]).unwrap();
    assert!(client.code != Some(0) && client.err().contains("your home is unavailable"), "{client}");
    let done = run(&host, "ann", "ls", b"").await.unwrap();
    assert!(done.code != Some(0) && done.err().contains("your home is unavailable"), "{done}");
    assert!(SftpPeer::login(&host, "ann").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_home_refuses_writes_until_it_is_reopened() {
    let outside = TempDir::new().unwrap();
    let (root, away) = (outside.path().join("ann"), outside.path().join("away"));
    fs::create_dir(&root).unwrap();
    let host = builder(&root).start().await.unwrap();
    let administrator = host.administrator();
    let nothing = administrator.run(&["home", "reopen", "ann"]);
    assert!(nothing.code == Some(0) && nothing.out().contains("nothing to do"), "{nothing}");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("before", &[1; 500]).await.unwrap().status, Status::Done);
    peer.begin_put("under way", Some(3)).await.unwrap();
    let mut sftp = SftpPeer::login(&host, "ann").await.unwrap();
    let flags = OpenFlags::WRITE | OpenFlags::CREAT;
    let handle = sftp.open("open", flags).await.unwrap().unwrap();
    assert!(sftp.write(&handle, 0, b"old").await.unwrap().is_none());

    fs::rename(&root, &away).unwrap();
    fs::create_dir(&root).unwrap();
    assert!(why(&host, "ann").contains("another directory has taken its place"), "{}", why(&host, "ann"));
    peer.send_data(b"123").await.unwrap();
    peer.send(&sshome_wire::Frame::End(sshome_e2e::end_of(b"123"))).await.unwrap();
    let refused = peer.reply().await.unwrap();
    assert!(
        refused.status == Status::Failed && refused.message.contains("your home was replaced"),
        "{refused:?}"
    );
    let refused = peer.put("after", b"1").await.unwrap();
    assert!(
        refused.status == Status::Failed && refused.message.contains("your home was replaced"),
        "{refused:?}"
    );
    let mkdir = Request::Mkdir { path: "/d".into(), parents: false, mode: None };
    assert_eq!(peer.ask(mkdir).await.unwrap().status, Status::Failed);
    let refused = sftp.write(&handle, 3, b"new").await.unwrap().unwrap();
    assert!(refused.1.contains("your home was replaced"), "{refused:?}");
    assert!(Peer::login(&host, "ann").await.is_err());
    assert_eq!((fs::read(away.join("open")).unwrap(), away.join("after").exists()), (b"old".to_vec(), false));

    let reopened = administrator.run(&["home", "reopen", "ann"]);
    assert!(reopened.code == Some(0) && reopened.out().contains("the home of ann is open"), "{reopened}");
    assert!(peer.ask(Request::Pwd).await.is_err(), "a session is left in the old home");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("after", &[1; 7]).await.unwrap().status, Status::Done);
    assert_eq!((why(&host, "ann"), root.join("after").exists()), (String::new(), true));
    assert_eq!(administrator.json(&["status"])["homes"][0]["used"], 7);
    let nobody = administrator.run(&["home", "reopen", "nobody"]);
    assert!(nobody.code == Some(1) && nobody.err().contains("no user nobody"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_home_of_a_disabled_user_is_closed_and_reported_as_such() {
    let host = Host::with_user("ann", "enabled = false").await.unwrap();
    for command in [["home", "reopen", "ann"], ["quota", "scan", "ann"]] {
        let refused = host.administrator().run(&command);
        let says = "the account ann is disabled: `sshomed user enable ann`";
        assert!(refused.code == Some(1) && refused.err().contains(says), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reopening_a_removed_home_reports_that_an_empty_one_was_created() {
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().start().await.unwrap();
    let administrator = host.administrator();
    fs::remove_dir_all(host.home("ann")).unwrap();
    let reopened = administrator.run(&["home", "reopen", "ann"]);
    assert!(reopened.code == Some(0) && reopened.out().contains("an EMPTY one was created"), "{reopened}");
    assert!(works(&host, "ann").await && host.home("ann").is_dir());
    let again = administrator.run(&["home", "reopen", "ann"]);
    assert!(again.code == Some(0) && again.out().contains("nothing to do"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_put_back_is_served_again() {
    let outside = TempDir::new().unwrap();
    let (root, away) = (outside.path().join("ann"), outside.path().join("away"));
    fs::create_dir(&root).unwrap();
    let host = builder(&root).start().await.unwrap();
    fs::rename(&root, &away).unwrap();
    assert!(why(&host, "ann").contains("it was removed or renamed"), "{}", why(&host, "ann"));
    assert!(!works(&host, "ann").await && works(&host, "zcl").await);
    fs::rename(&away, &root).unwrap();
    assert!(works(&host, "ann").await && why(&host, "ann").is_empty());
}

/// A filesystem in memory. It is unmounted when it is dropped.
struct Disk(std::path::PathBuf);

impl Disk {
    /// Mounts it there. `None` if this machine cannot mount: then the skipped test is reported.
    fn mount(test: &str, at: &Path, options: &str) -> Option<Disk> {
        let mut command = std::process::Command::new("mount");
        let done = command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output().unwrap();
        if !done.status.success() {
            eprintln!(
                "skipped: {test}: nothing can be mounted here: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            return None;
        }
        Some(Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Files that a server still has open disappear when it ends.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_mounted_over_a_home_is_noticed_as_root() {
    let test = "a_disk_that_is_mounted_over_a_home_is_noticed_as_root";
    if !has_root(test) {
        return;
    }
    let outside = TempDir::new().unwrap();
    let root = outside.path().join("ann");
    fs::create_dir(&root).unwrap();
    let host = builder(&root).start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let Some(disk) = Disk::mount(test, &root, "size=1M") else { return };
    assert!(why(&host, "ann").contains("a different disk was mounted there"), "{}", why(&host, "ann"));
    assert_eq!(peer.put("f", b"1").await.unwrap().status, Status::Failed);
    assert_eq!(host.administrator().run(&["home", "reopen", "ann"]).code, Some(0));
    assert!(works(&host, "ann").await && root.join("f").exists());
    drop(disk);
    assert!(why(&host, "ann").contains("its disk was unmounted"), "{}", why(&host, "ann"));
    assert!(!works(&host, "ann").await && !root.join("f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_mounted_read_only_locks_its_user_out_as_root() {
    let test = "a_home_that_is_mounted_read_only_locks_its_user_out_as_root";
    if !has_root(test) {
        return;
    }
    let outside = TempDir::new().unwrap();
    let root = outside.path().join("ann");
    fs::create_dir(&root).unwrap();
    let Some(disk) = Disk::mount(test, &root, "ro,size=1M") else { return };
    let host = builder(&root).start().await.unwrap();
    assert!(
        why(&host, "ann").contains("mount it read-write, or set access = \"read-only\""),
        "{}",
        why(&host, "ann")
    );
    assert!(!works(&host, "ann").await && works(&host, "zcl").await);
    let status =
        std::process::Command::new("mount").args(["-o", "remount,rw"]).arg(&disk.0).status().unwrap();
    assert!(status.success() && works(&host, "ann").await);
}
