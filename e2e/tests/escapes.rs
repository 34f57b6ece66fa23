//! Escapes from a home: no command may lead out, with any path.

use sshome_e2e::siege::{
    SECRET, STAGING, assert_untouched, attacks, besieged, besieged_view, finds, replaced,
};
use sshome_e2e::{Host, Peer};
use sshome_wire::{FileKind, Frame, Payload, Put, Reply, Request, Status, Time};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// All requests that take this path.
fn requests(path: &[u8]) -> Vec<Request> {
    let path = path.to_vec();
    let name = b"/made".to_vec();
    vec![
        Request::Stat { path: path.clone(), follow: true },
        Request::Stat { path: path.clone(), follow: false },
        Request::Hash { path: path.clone(), verify: true },
        Request::Mkdir { path: path.clone(), parents: false, mode: Some(0o777) },
        Request::Mkdir { path: path.clone(), parents: true, mode: None },
        Request::Cp { from: path.clone(), to: name.clone(), recursive: true },
        Request::Cp { from: b"/real".to_vec(), to: path.clone(), recursive: true },
        Request::Cp { from: b"/made".to_vec(), to: path.clone(), recursive: false },
        Request::Mv { from: path.clone(), to: name.clone() },
        Request::Mv { from: b"/real".to_vec(), to: path.clone() },
        Request::BackUp { from: path.clone(), to: name.clone(), remove: false },
        Request::BackUp { from: b"/real".to_vec(), to: path.clone(), remove: false },
        Request::SetAttributes {
            path: path.clone(),
            mode: Some(0o777),
            mtime: Some(Time { seconds: 1, nanoseconds: 0 }),
        },
        Request::Describe { path: path.clone(), key: [0; 32] },
        Request::StoredDigests { directory: path.clone(), paths: b"secret\0passwd\0".to_vec() },
        Request::StoredDigests { directory: b"/".to_vec(), paths: [path.as_slice(), b"\0"].concat() },
        Request::Rmdir { path: path.clone() },
        Request::Rm { path: path.clone(), recursive: false },
        Request::Rm { path: path.clone(), recursive: true },
        Request::Cd { path: path.clone() },
        Request::Cd { path: b"/".to_vec() },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_on_any_command() {
    attack_with("", besieged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_folder_of_a_key_on_any_command() {
    attack_with("view", besieged_view).await;
}

/// Tries every attack on a host of its own. Its user's files are in this folder of the home.
async fn attack_with(folder: &str, besiege: impl AsyncFn() -> (Host, TempDir)) {
    let (_, outside) = besiege().await;
    let secret_digest = blake3::hash(SECRET);
    for attack in attacks(outside.path()) {
        let shown = String::from_utf8_lossy(&attack).into_owned();
        // A new home for each: an attack must not be prevented by what an earlier one removed.
        let (host, here) = besiege().await;
        let home = host.home("ann").join(folder);
        let attack: Vec<u8> = replaced(&attack, outside.path(), here.path());
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        if let Ok(content) = peer.get(&attack).await.unwrap() {
            assert_ne!(content, SECRET, "get {shown}");
        }
        let (listed, _) = peer.list(&attack, true).await.unwrap();
        for frame in listed {
            let leaked = frame.entries.iter().any(|entry| {
                entry.name == b"secret" || entry.name == b"passwd" || entry.name == b".sshome-staging"
            });
            assert!(!leaked, "ls {shown} shows {frame:?}");
        }
        for request in requests(&attack) {
            let name = format!("{request:?}");
            let reply = ask(&mut peer, request).await;
            if let Payload::Hash(hashed) = &reply.payload {
                assert_ne!(hashed.digest.0, *secret_digest.as_bytes(), "{name}");
            }
        }
        let reply = peer.put(&attack, b"planted").await.unwrap();
        assert_untouched(here.path());
        if reply.status == Status::Done && attack.len() < 1000 {
            assert!(finds(&home, b"planted"), "put {shown} went somewhere else");
        }
        assert!(!finds(&home, SECRET), "{shown}: the secret was copied in");
    }
    assert_untouched(outside.path());
}

/// Sends a request. No answer may tell of a file that is as long as the secret.
async fn ask(peer: &mut Peer, request: Request) -> Reply {
    peer.send(&Frame::Request(request.clone())).await.unwrap();
    loop {
        let sizes: Vec<u64> = match peer.next().await.unwrap() {
            Frame::Reply(reply) => return reply,
            Frame::Progress(_) => continue,
            Frame::Description(told) => told.chunks.iter().map(|chunk| chunk.length.into()).collect(),
            Frame::StoredFiles(files) => files.iter().map(|file| file.size).collect(),
            other => panic!("{request:?} is answered with {other:?}"),
        };
        assert!(!sizes.contains(&(SECRET.len() as u64)), "{request:?} tells of {sizes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staging_folder_is_406_for_everyone_and_never_listed() {
    let (host, _outside) = besieged().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"makes the folder").await.unwrap().status, Status::Done);
    for path in STAGING {
        assert_eq!(peer.get(path).await.unwrap().unwrap_err().0, Status::PermissionDenied, "get {path}");
        assert_eq!(peer.list(path, false).await.unwrap().1.status, Status::PermissionDenied, "ls {path}");
        assert_eq!(peer.put(path, b"x").await.unwrap().status, Status::PermissionDenied, "put {path}");
        for request in [
            Request::Stat { path: path.into(), follow: true },
            Request::Mkdir { path: path.into(), parents: true, mode: None },
            Request::Rm { path: path.into(), recursive: true },
            Request::Mv { from: path.into(), to: b"/elsewhere".to_vec() },
            Request::Mv { from: b"/f".to_vec(), to: path.into() },
            Request::Cp { from: b"/f".to_vec(), to: path.into(), recursive: true },
        ] {
            let name = format!("{request:?}");
            assert_eq!(peer.ask(request).await.unwrap().status, Status::PermissionDenied, "{name}");
        }
    }
    for link in ["to-staging", "to-staging-relative"] {
        assert_eq!(peer.list(link, true).await.unwrap().1.status, Status::PermissionDenied);
        assert_eq!(
            peer.ask(Request::Cd { path: link.into() }).await.unwrap().status,
            Status::PermissionDenied
        );
    }
    let (frames, _) = peer.list("/", true).await.unwrap();
    assert!(frames.iter().all(|f| f.entries.iter().all(|e| e.name != b".sshome-staging")));
    assert_eq!(peer.get("f").await.unwrap().unwrap(), b"makes the folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_work_as_in_a_chroot() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    std::fs::create_dir_all(home.join("a/b")).unwrap();
    std::fs::write(home.join("a/file"), b"here").unwrap();
    symlink("/a/file", home.join("a/b/absolute")).unwrap();
    symlink("../file", home.join("a/b/relative")).unwrap();
    symlink("../../../../../a/file", home.join("a/b/above")).unwrap();
    symlink("/a/new", home.join("dangling")).unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    for link in ["a/b/absolute", "a/b/relative", "a/b/above"] {
        assert_eq!(peer.get(link).await.unwrap().unwrap(), b"here", "{link}");
    }
    // A put onto a link replaces or creates the link's target.
    assert_eq!(peer.put("a/b/above", b"written through").await.unwrap().status, Status::Done);
    assert_eq!(std::fs::read(home.join("a/file")).unwrap(), b"written through");
    assert!(home.join("a/b/above").is_symlink());
    assert_eq!(peer.put("dangling", b"made through").await.unwrap().status, Status::Done);
    assert_eq!(std::fs::read(home.join("a/new")).unwrap(), b"made through");
    // rm removes the link, not its target.
    let rm = Request::Rm { path: b"a/b/relative".to_vec(), recursive: true };
    assert_eq!(peer.ask(rm).await.unwrap().status, Status::Done);
    assert!(home.join("a/file").exists());
    let (frames, _) = peer.list("a/b", false).await.unwrap();
    let link = frames[0].entries.iter().find(|e| e.name == b"absolute").unwrap();
    assert_eq!((link.kind, &link.target[..]), (FileKind::Symlink, &b"/a/file"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_swapped_in_while_in_use_never_leads_out() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), SECRET).unwrap();
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    std::fs::create_dir(home.join("swap")).unwrap();
    std::fs::write(home.join("swap/file"), b"inside").unwrap();
    symlink(outside.path(), home.join("link")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = {
        let (home, stop) = (home.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            let mut swaps = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let (a, b) = (home.join("swap"), home.join("link"));
                rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &b, exchange).unwrap();
                swaps += 1;
            }
            swaps
        })
    };
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let mut inside = 0;
    for _ in 0..1500 {
        if let Ok(content) = peer.get("swap/file").await.unwrap() {
            assert_eq!(content, b"inside");
            inside += 1;
        }
        // Each of these must fail or stay inside: the folder outside is checked below.
        peer.put("swap/new", b"new").await.unwrap();
        for request in [
            Request::Mkdir { path: b"swap/made".to_vec(), parents: false, mode: None },
            Request::Rm { path: b"swap/new".to_vec(), recursive: true },
            Request::Rmdir { path: b"swap/made".to_vec() },
        ] {
            peer.ask(request).await.unwrap();
        }
        let (frames, _) = peer.list("swap", true).await.unwrap();
        assert!(
            frames.iter().all(|frame| frame.entries.iter().all(|entry| entry.size != SECRET.len() as u64))
        );
    }
    stop.store(true, Ordering::Relaxed);
    assert!(swapping.join().unwrap() > 100, "the swapping thread did not get to run");
    assert!(inside > 0, "the file was never there to be read");
    let names: Vec<_> = std::fs::read_dir(outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_bytes_and_the_longest_ones_work() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let names: [&[u8]; 6] =
        [b"\xff\xfe\x80", b"new\nline", b"\x1b[2J", "日本語".as_bytes(), b" ", &[b'n'; 255]];
    for name in names {
        assert_eq!(peer.put(name, name).await.unwrap().status, Status::Done, "{name:?}");
        assert_eq!(peer.get(name).await.unwrap().unwrap(), name);
        assert_eq!(std::fs::read(host.home("ann").join(std::ffi::OsStr::from_bytes(name))).unwrap(), name);
    }
    let (frames, _) = peer.list("", false).await.unwrap();
    let mut listed: Vec<_> = frames.into_iter().flat_map(|f| f.entries).map(|e| e.name).collect();
    let mut wanted: Vec<_> = names.iter().map(|name| name.to_vec()).collect();
    listed.sort();
    wanted.sort();
    assert_eq!(listed, wanted);
    let reply = peer.put([b'n'; 256], b"x").await.unwrap();
    assert_eq!(reply.status, Status::Failed);
    assert!(reply.message.ends_with("the name is too long"), "{reply}");
    assert_eq!(peer.put(b"nul\0", b"x").await.unwrap().status, Status::BadCommand);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_the_home_blocks_nobody() {
    let host = Host::with_user("ann", "").await.unwrap();
    let pipe = host.home("ann").join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.get("pipe").await.unwrap().unwrap_err().0, Status::WrongType);
    assert_eq!(peer.put("pipe", b"x").await.unwrap().status, Status::WrongType);
    let put = Put { path: b"pipe".to_vec(), size: None, mtime: None, source: None, mode: None, resume: 0 };
    peer.send(&Frame::Request(Request::Put(put))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::WrongType);
    peer.send(&Frame::Abort).await.unwrap();
    let stat = peer.ask(Request::Stat { path: b"pipe".to_vec(), follow: true }).await.unwrap();
    assert!(matches!(stat.payload, Payload::Stat(entry) if entry.kind == FileKind::Special));
}
