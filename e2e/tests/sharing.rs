//! Homes that other programs also use: the permissions of stored files, and disks that are mounted in homes.

use rustix::fs::{Gid, Uid, XattrFlags, chown, lgetxattr, setxattr};
use rustix::io::Errno;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::set_mode;
use sshome_e2e::{Exec, Faulty, Host, HostBuilder, Peer, has_root, run, until};
use sshome_wire::sftp::OpenFlags;
use sshome_wire::{Request, Status};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// The ways to store a file, and the user of each: bob's uploads over SFTP are atomic.
const WAYS: [(&str, &str); 6] =
    [("native", "ann"), ("exec", "ann"), ("scp", "ann"), ("cp", "ann"), ("sftp", "ann"), ("atomic", "bob")];

fn users() -> HostBuilder {
    users_of(HostBuilder::new().unwrap())
}

fn users_of(builder: HostBuilder) -> HostBuilder {
    builder.user("ann", "").unwrap().user("bob", "sftp-uploads = \"atomic\"").unwrap()
}

/// Stores the file `d/NAME`.
async fn store(host: &Host, way: &str, user: &str, name: &str) {
    let path = format!("d/{name}");
    match way {
        "native" => {
            let mut peer = Peer::login(host, user).await.unwrap();
            assert_eq!(peer.put(&path, b"new").await.unwrap().status, Status::Done);
        }
        "sftp" | "atomic" => {
            let mut peer = SftpPeer::login(host, user).await.unwrap();
            assert_eq!(peer.put(&path, b"new").await.unwrap(), None);
        }
        _ => {
            let source = host.home(user).join("source");
            fs::write(&source, b"new").unwrap();
            // The test would detect it if the copy got this mode.
            set_mode(&source, 0o666).unwrap();
            let (line, input) = match way {
                "exec" => (format!("put {path}"), &b"new"[..]),
                "scp" => (format!("scp -t {path}"), &b"C0666 3 f\nnew\0"[..]),
                _ => (format!("cp source {path}"), &b""[..]),
            };
            let outcome = run(host, user, &line, input).await.unwrap();
            assert_eq!(outcome.code, Some(0), "{line}: {outcome}");
        }
    }
    assert_eq!(fs::read(host.home(user).join(path)).unwrap(), b"new");
}

/// Owner, group, mode and access control list.
fn attributes(path: &Path) -> (u32, u32, u32, Option<Vec<u8>>) {
    let meta = fs::metadata(path).unwrap();
    let mut value = [0; 1000];
    let list = match lgetxattr(path, ACCESS, &mut value[..]) {
        Ok(length) => Some(value[..length].to_vec()),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    (meta.uid(), meta.gid(), meta.mode(), list)
}

/// An access control list: of the owner, the user 4711, the group, the mask and everybody.
fn list(permissions: [u16; 5]) -> Vec<u8> {
    let mut value = vec![2, 0, 0, 0];
    for (tag, permissions) in [0x01, 0x02, 0x04, 0x10, 0x20_u16].into_iter().zip(permissions) {
        let id = if tag == 0x02 { 4711 } else { u32::MAX };
        value.extend([&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat());
    }
    value
}

/// Sets an access control list. Returns whether the disk supports them.
fn set_list(path: &Path, name: &str, permissions: [u16; 5]) -> bool {
    match setxattr(path, name, &list(permissions), XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::OPNOTSUPP) => false,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Checks that a file stored in `d` has the attributes of a file that is created there, and that a replacement keeps
/// those of the old file.
async fn assert_alike(host: &Host, prepare_old: impl Fn(&Path)) {
    for (way, user) in WAYS {
        let directory = host.home(user).join("d");
        fs::write(directory.join("created"), b"").unwrap();
        store(host, way, user, way).await;
        assert_eq!(attributes(&directory.join(way)), attributes(&directory.join("created")), "{way}");
        let old = directory.join(format!("{way}-old"));
        fs::write(&old, b"old").unwrap();
        prepare_old(&old);
        let before = attributes(&old);
        store(host, way, user, &format!("{way}-old")).await;
        assert_eq!(attributes(&old), before, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn default_acls_of_a_directory_apply_to_files_stored_in_it() {
    let host = users().start().await.unwrap();
    for permissions in [[7, 7, 7, 7, 0], [6, 4, 0, 4, 4], [7, 7, 5, 1, 5]] {
        for user in ["ann", "bob"] {
            let directory = host.home(user).join("d");
            drop(fs::remove_dir_all(&directory));
            fs::create_dir(&directory).unwrap();
            if !set_list(&directory, DEFAULT, permissions) {
                println!("skipped: default_acls_of_a_directory_apply_to_files_stored_in_it: none here");
                return;
            }
        }
        assert_alike(&host, |old| assert!(set_list(old, ACCESS, [6, 6, 4, 6, 0]))).await;
    }
    // The home's own list, which the staging folder has as well, differs from that of a directory in it.
    let host = users().prepare().unwrap();
    for user in ["ann", "bob"] {
        fs::create_dir_all(host.home(user)).unwrap();
        assert!(set_list(&host.home(user), DEFAULT, [7, 7, 7, 7, 7]));
    }
    let mut host = host;
    host.start().await.unwrap();
    for user in ["ann", "bob"] {
        fs::create_dir(host.home(user).join("d")).unwrap();
        rustix::fs::removexattr(host.home(user).join("d"), DEFAULT).unwrap();
    }
    assert_alike(&host, |old| set_mode(old, 0o640).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setgid_directory_gives_its_group_to_files_stored_in_it_as_root() {
    if !has_root("a_setgid_directory_gives_its_group_to_files_stored_in_it_as_root") {
        return;
    }
    let host = users().start().await.unwrap();
    for mode in [0o2775, 0o775] {
        for user in ["ann", "bob"] {
            let directory = host.home(user).join("d");
            drop(fs::remove_dir_all(&directory));
            fs::create_dir(&directory).unwrap();
            chown(&directory, None, Some(Gid::from_raw(4712))).unwrap();
            set_mode(&directory, mode).unwrap();
        }
        assert_alike(&host, |old| {
            chown(old, None, Some(Gid::from_raw(4713))).unwrap();
            set_mode(old, 0o660).unwrap();
        })
        .await;
    }
    // Directories inherit it, whatever mode a client gives them.
    let directory = host.home("ann").join("d");
    set_mode(&directory, 0o2775).unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    for (name, mode) in [("plain", None), ("mode", Some(0o750)), ("closed", Some(0o550))] {
        let mkdir = Request::Mkdir { path: format!("d/{name}").into(), parents: false, mode };
        assert_eq!(peer.ask(mkdir).await.unwrap().status, Status::Done);
        let made = fs::metadata(directory.join(name)).unwrap();
        assert_eq!((made.gid(), made.mode() & 0o2000), (4712, 0o2000), "{name}");
    }
    assert_eq!(run(&host, "ann", "mkdir d/made", b"").await.unwrap().code, Some(0));
    let mut sftp = SftpPeer::login(&host, "ann").await.unwrap();
    let attributes = sshome_wire::sftp::SftpAttributes { permissions: Some(0o700), ..Default::default() };
    let path = bytes::Bytes::from_static(b"d/made");
    sftp.done(sshome_wire::sftp::SftpRequest::Setstat { path, attributes }).await.unwrap();
    assert_eq!(fs::metadata(directory.join("made")).unwrap().mode() & 0o7777, 0o2700);
}

/// The server's account owns the directory but is not in its group, so `chown` to the group is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_outside_of_a_set_group_directorys_group_passes_the_group_on_as_root() {
    if !has_root("a_server_outside_of_a_set_group_directorys_group_passes_the_group_on_as_root") {
        return;
    }
    let builder = HostBuilder::new().unwrap().setting("account = \"daemon\"");
    let mut host = users_of(builder).prepare().unwrap();
    // The account must be able to traverse it.
    set_mode(host.dir(), 0o755).unwrap();
    let _program = host.start_apart().unwrap();
    let account = fs::metadata(host.home("ann")).unwrap().uid();
    for default_list in [false, true] {
        for (way, user) in WAYS {
            let directory = host.home(user).join("d");
            drop(fs::remove_dir_all(&directory));
            fs::create_dir(&directory).unwrap();
            chown(&directory, Some(Uid::from_raw(account)), Some(Gid::from_raw(4712))).unwrap();
            set_mode(&directory, 0o2775).unwrap();
            if default_list && !set_list(&directory, DEFAULT, [7, 7, 7, 7, 0]) {
                return;
            }
            fs::write(directory.join("created"), b"").unwrap();
            fs::write(directory.join("old"), b"old").unwrap();
            chown(directory.join("old"), Some(Uid::from_raw(account)), None).unwrap();
            set_mode(directory.join("old"), 0o660).unwrap();
            let old = attributes(&directory.join("old"));
            store(&host, way, user, way).await;
            let (_, group, mode, list) = attributes(&directory.join("created"));
            assert_eq!(group, 4712);
            assert_eq!(attributes(&directory.join(way)), (account, group, mode, list), "{way}");
            store(&host, way, user, "old").await;
            assert_eq!(attributes(&directory.join("old")), old, "{way}");
        }
    }
    // A partial upload already has the group.
    let directory = host.home("ann").join("d");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.begin_put("d/partial", Some(1)).await.unwrap();
    peer.send_data(b"1").await.unwrap();
    let staged = || fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().flatten().next();
    until("the upload is staged", || staged().is_some_and(|file| file.metadata().unwrap().len() == 1));
    assert_eq!(staged().unwrap().metadata().unwrap().gid(), 4712);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3, "nothing is made in the directory itself");
}

/// A server that is started with a different umask.
#[tokio::test(flavor = "multi_thread")]
async fn the_umask_applies_to_new_files() {
    for (umask, mode) in [("027", 0o640), ("002", 0o664), ("077", 0o600)] {
        let mut host = users().prepare().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        let _program = host.start_through(shell).unwrap();
        for (way, user) in WAYS {
            let directory = host.home(user).join("d");
            fs::create_dir_all(&directory).unwrap();
            store(&host, way, user, way).await;
            assert_eq!(fs::metadata(directory.join(way)).unwrap().mode() & 0o7777, mode, "{umask}: {way}");
            fs::write(directory.join("old"), b"old").unwrap();
            set_mode(directory.join("old"), 0o604).unwrap();
            store(&host, way, user, "old").await;
            assert_eq!(fs::metadata(directory.join("old")).unwrap().mode() & 0o7777, 0o604, "{umask}: {way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_another_mount_is_refused_before_its_first_byte() {
    let test = "an_upload_to_another_mount_is_refused_before_its_first_byte";
    let host = users().start().await.unwrap();
    let mut mounts = Vec::new();
    for user in ["ann", "bob"] {
        let folder = host.home(user).join("lab");
        fs::create_dir(&folder).unwrap();
        let Some(mount) = Faulty::mounted_on(test, &folder) else { return };
        mounts.push(mount);
    }
    let why = "cannot store /lab/f: it is on a different mount than the home";
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.begin_put("lab/f", Some(1 << 40)).await.unwrap();
    let reply = peer.reply().await.unwrap();
    assert_eq!((reply.status, reply.message.as_str()), (Status::Failed, why));
    fs::write(host.home("ann").join("f"), b"content").unwrap();
    // None of them is sent any input.
    for line in ["put lab/f", "cp f lab/f", "cp f lab"] {
        let outcome = Exec::start(&host, "ann", line).await.unwrap().finish().await.unwrap();
        assert_eq!(outcome.code, Some(1), "{line}: {outcome}");
        assert!(outcome.err().contains(why), "{line}: {outcome}");
    }
    let mut scp = Exec::start(&host, "ann", "scp -t lab/f").await.unwrap();
    scp.send(b"C0644 1000000 f\n").await.unwrap();
    assert_eq!(scp.read(1).await.unwrap(), b"\0");
    assert!(String::from_utf8(scp.line().await.unwrap()).unwrap().ends_with(why));
    let mut bob = SftpPeer::login(&host, "bob").await.unwrap();
    for flags in [ANEW, OpenFlags::WRITE | OpenFlags::CREAT] {
        let refusal = bob.open("lab/f", flags).await.unwrap().unwrap_err();
        assert_eq!(refusal.1, format!("Failure: {why}"));
    }
    // A copy would be refused as well, so the message must not advise it.
    let outcome = run(&host, "ann", "mv f lab/f", b"").await.unwrap();
    assert!(outcome.code == Some(1) && outcome.err().contains(why), "{outcome}");
    assert!(mounts.iter().all(|mount| fs::read_dir(mount.backing()).unwrap().next().is_none()));
    // Writing in place needs no rename.
    let mut ann = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(ann.put("lab/f", b"content").await.unwrap(), None);
    assert_eq!(ann.get("lab/f").await.unwrap().unwrap(), b"content");
    assert_eq!(fs::read(mounts[0].backing().join("f")).unwrap(), b"content");
    // Out of the mount, the message advises a copy.
    let outcome = run(&host, "ann", "mv lab/f g", b"").await.unwrap();
    assert!(
        outcome.code == Some(1) && outcome.err().contains("copy it, then remove the original"),
        "{outcome}"
    );
    assert_eq!(run(&host, "ann", "cp lab/f g", b"").await.unwrap().code, Some(0));
}
