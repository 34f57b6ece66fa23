//! Escapes from a home through every request that takes a path.

use bytes::Bytes;
use sshome_e2e::Host;
use sshome_e2e::sftp::{SftpPeer, refused};
use sshome_e2e::siege::{
    SECRET, STAGING, assert_untouched, attacks, besieged, besieged_view, finds, replaced,
};
use sshome_wire::sftp::{
    CheckFile, CheckedFile, Extended, OpenFlags, Owner, Response, SftpAttributes, SftpRequest, StatusCode,
    Subject, Times,
};
use tempfile::TempDir;

/// All requests with this path that are answered with a status or with information about a file.
fn requests(path: &[u8]) -> Vec<SftpRequest> {
    let path = || Bytes::copy_from_slice(path);
    let name = || Bytes::from_static(b"/made");
    let real = || Bytes::from_static(b"/real");
    let attributes = || SftpAttributes {
        permissions: Some(0o777),
        times: Some(Times { atime: 1, mtime: 1 }),
        owner: Some(Owner { uid: 1, gid: 1 }),
        ..SftpAttributes::default()
    };
    let size = SftpAttributes { size: Some(3), ..SftpAttributes::default() };
    vec![
        SftpRequest::Stat { path: path() },
        SftpRequest::Lstat { path: path() },
        SftpRequest::Realpath { path: path() },
        SftpRequest::Readlink { path: path() },
        SftpRequest::Extended(Extended::Statvfs { path: path() }),
        SftpRequest::Extended(Extended::ExpandPath { path: path() }),
        SftpRequest::Extended(Extended::HomeDirectory { user: path() }),
        SftpRequest::Setstat { path: path(), attributes: attributes() },
        SftpRequest::Setstat { path: path(), attributes: size },
        SftpRequest::Extended(Extended::Lsetstat { path: path(), attributes: attributes() }),
        SftpRequest::Extended(Extended::Hardlink { from: path(), to: name() }),
        SftpRequest::Remove { path: name() },
        SftpRequest::Symlink { target: path(), path: name() },
        SftpRequest::Open { path: name(), flags: OpenFlags(0x0a), attributes: attributes() },
        SftpRequest::Remove { path: name() },
        SftpRequest::Symlink { target: real(), path: path() },
        SftpRequest::Extended(Extended::Hardlink { from: name(), to: path() }),
        SftpRequest::Mkdir { path: path(), attributes: attributes() },
        SftpRequest::Rename { from: path(), to: name() },
        SftpRequest::Rename { from: real(), to: path() },
        SftpRequest::Extended(Extended::PosixRename { from: path(), to: name() }),
        SftpRequest::Extended(Extended::PosixRename { from: real(), to: path() }),
        SftpRequest::Rmdir { path: path() },
        SftpRequest::Remove { path: path() },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_on_any_request() {
    attack_with("", besieged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_folder_of_a_key_on_any_request() {
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
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        if let Ok(content) = peer.get(&attack).await.unwrap() {
            assert_ne!(content, SECRET, "get {shown}");
        }
        for name in peer.list(&attack).await.unwrap().unwrap_or_default() {
            let leaked = [&b"secret"[..], b"passwd", b".sshome-staging"].contains(&&name.name[..]);
            assert!(!leaked, "{shown} lists {name:?}");
        }
        let digest = CheckFile {
            subject: Subject::Path(attack.clone().into()),
            algorithms: Bytes::from_static(b"blake3"),
            offset: 0,
            length: 0,
            block_size: 0,
        };
        if let Response::Extended(body) = peer.extended(Extended::CheckFile(digest)).await.unwrap() {
            assert_ne!(CheckedFile::decode(body).unwrap().digests, secret_digest.as_bytes()[..], "{shown}");
        }
        for request in requests(&attack) {
            let told = format!("{request:?}");
            if let Response::Attrs(attributes) = peer.ask(request).await.unwrap() {
                assert_ne!(attributes.size, Some(SECRET.len() as u64), "{told}");
            }
        }
        let put = peer.put(&attack, b"planted").await.unwrap();
        assert_untouched(here.path());
        if put.is_none() && attack.len() < 1000 {
            assert!(finds(&home, b"planted"), "put {shown} went somewhere else");
        }
        assert!(!finds(&home, SECRET), "{shown}: the secret was copied in");
    }
    assert_untouched(outside.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staging_folder_is_refused_to_everyone_and_never_listed() {
    let (host, _outside) = besieged().await;
    let staging = host.home("ann").join(".sshome-staging");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert!(staging.is_dir());
    std::fs::write(staging.join("x"), b"staged").unwrap();
    for path in STAGING {
        assert_eq!(peer.get(path).await.unwrap().unwrap_err().0, StatusCode::PermissionDenied, "get {path}");
        assert_eq!(
            peer.list(path).await.unwrap().unwrap_err().0,
            StatusCode::PermissionDenied,
            "list {path}"
        );
        assert_eq!(peer.put(path, b"x").await.unwrap().unwrap().0, StatusCode::PermissionDenied, "{path}");
        let at = || Bytes::copy_from_slice(path.as_bytes());
        let elsewhere = || Bytes::from_static(b"/elsewhere");
        for request in [
            SftpRequest::Stat { path: at() },
            SftpRequest::Lstat { path: at() },
            SftpRequest::Remove { path: at() },
            SftpRequest::Rmdir { path: at() },
            SftpRequest::Mkdir { path: at(), attributes: SftpAttributes::default() },
            SftpRequest::Setstat { path: at(), attributes: SftpAttributes::default() },
            SftpRequest::Rename { from: at(), to: elsewhere() },
            SftpRequest::Extended(Extended::PosixRename { from: at(), to: elsewhere() }),
            SftpRequest::Extended(Extended::Hardlink { from: at(), to: elsewhere() }),
            SftpRequest::Symlink { target: elsewhere(), path: at() },
        ] {
            let shown = format!("{request:?}");
            let refusal = refused(peer.ask(request).await.unwrap()).unwrap();
            assert_eq!(refusal.0, StatusCode::PermissionDenied, "{shown}");
        }
    }
    for link in ["to-staging", "to-staging-relative"] {
        assert_eq!(peer.list(link).await.unwrap().unwrap_err().0, StatusCode::PermissionDenied);
    }
    assert!(peer.list("/").await.unwrap().unwrap().iter().all(|name| name.name != ".sshome-staging"));
    assert_eq!(std::fs::read(staging.join("x")).unwrap(), b"staged");
}
