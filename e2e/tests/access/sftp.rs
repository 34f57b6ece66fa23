//! Each request of SFTP with each access.

use crate::world::{ACCESSES, Became, Scene, host};
use bytes::Bytes;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_wire::sftp::{
    CheckFile, Extended, OpenFlags, Response, SftpAttributes, SftpRequest, StatusCode, Subject,
};

/// A request in a scene, or several.
enum Step {
    Ask(SftpRequest),
    /// Opens a file, writes a byte if it is opened for that, and closes it.
    Open(&'static str, OpenFlags),
    /// Opens a file for reading, and sets attributes of the handle.
    SetOpen(&'static str, SftpAttributes),
    /// Copies a file to another through handles.
    CopyData(&'static str, &'static str),
}
use Step::{Ask, Open};

type Operation = (&'static str, &'static str, fn(&dyn Fn(&str) -> Bytes) -> Step);

const WRITE: OpenFlags = OpenFlags::WRITE;
const UPDATE: OpenFlags = OpenFlags(OpenFlags::READ.0 | OpenFlags::WRITE.0);
const APPEND: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::APPEND.0 | OpenFlags::CREAT.0);
const NEW: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREAT.0 | OpenFlags::EXCL.0);
const BOTH: OpenFlags = OpenFlags(UPDATE.0 | OpenFlags::CREAT.0);
const READ_OR_MAKE: OpenFlags = OpenFlags(OpenFlags::READ.0 | OpenFlags::CREAT.0);

fn mode(mode: u32) -> SftpAttributes {
    SftpAttributes { permissions: Some(mode), ..SftpAttributes::default() }
}

fn size(size: u64) -> SftpAttributes {
    SftpAttributes { size: Some(size), ..SftpAttributes::default() }
}

/// The name, its result with each access, and the request.
const OPERATIONS: &[Operation] = &[
    ("open to read", "yyyd", |_| Open("old", OpenFlags::READ)),
    ("open to read or make", "ydyd", |_| Open("old", READ_OR_MAKE)),
    ("open to write", "ydpp", |_| Open("old", WRITE)),
    ("open to update", "ydpp", |_| Open("old", UPDATE)),
    ("open anew", "ydpp", |_| Open("old", ANEW)),
    ("open to append", "ydpp", |_| Open("old", APPEND)),
    ("open exclusively", "xdpp", |_| Open("old", NEW)),
    ("open a link", "ydpp", |_| Open("link", ANEW)),
    ("open a new file", "ydyy", |_| Open("new", ANEW)),
    ("open a new file exclusively", "ydyy", |_| Open("new", NEW)),
    ("open a new file to append", "ydyy", |_| Open("new", APPEND)),
    ("open a new file to read and write", "ydyy", |_| Open("new", BOTH)),
    ("fsetstat", "ydpd", |_| Step::SetOpen("old", mode(0o600))),
    ("setstat", "ydpp", |at| Ask(SftpRequest::Setstat { path: at("old"), attributes: mode(0o600) })),
    ("setstat of a size", "ydpp", |at| Ask(SftpRequest::Setstat { path: at("old"), attributes: size(1) })),
    ("setstat of a folder", "ydpp", |at| {
        Ask(SftpRequest::Setstat { path: at("dir"), attributes: mode(0o700) })
    }),
    ("lsetstat", "ydpp", |at| {
        Ask(SftpRequest::Extended(Extended::Lsetstat { path: at("old"), attributes: mode(0o600) }))
    }),
    ("opendir", "yyyd", |at| Ask(SftpRequest::Opendir { path: at("dir") })),
    ("mkdir", "ydyy", |at| Ask(SftpRequest::Mkdir { path: at("new"), attributes: mode(0o755) })),
    ("rmdir", "ydpp", |at| Ask(SftpRequest::Rmdir { path: at("empty") })),
    ("remove", "ydpp", |at| Ask(SftpRequest::Remove { path: at("old") })),
    ("rename", "ydpp", |at| Ask(SftpRequest::Rename { from: at("old"), to: at("new") })),
    ("posix-rename over", "ydpp", |at| {
        Ask(SftpRequest::Extended(Extended::PosixRename { from: at("old"), to: at("dir/f") }))
    }),
    ("hardlink", "ydpp", |at| {
        Ask(SftpRequest::Extended(Extended::Hardlink { from: at("old"), to: at("new") }))
    }),
    ("symlink", "ydyy", |at| Ask(SftpRequest::Symlink { target: Bytes::from("old"), path: at("new") })),
    ("symlink over", "xdpp", |at| Ask(SftpRequest::Symlink { target: Bytes::from("dir"), path: at("old") })),
    ("readlink", "yyyd", |at| Ask(SftpRequest::Readlink { path: at("link") })),
    ("stat", "yyyy", |at| Ask(SftpRequest::Stat { path: at("old") })),
    ("lstat", "yyyy", |at| Ask(SftpRequest::Lstat { path: at("link") })),
    ("realpath", "yyyy", |at| Ask(SftpRequest::Realpath { path: at("link") })),
    ("statvfs", "yyyy", |at| Ask(SftpRequest::Extended(Extended::Statvfs { path: at("old") }))),
    ("copy-data", "ydyd", |_| Step::CopyData("old", "new")),
    ("check-file", "yyyd", |at| {
        let (subject, algorithms) = (Subject::Path(at("old")), Bytes::from("sha256"));
        let check = CheckFile { subject, algorithms, offset: 0, length: 0, block_size: 0 };
        Ask(SftpRequest::Extended(Extended::CheckFile(check)))
    }),
];

fn became(response: &Response) -> Became {
    match response {
        Response::Status { code: StatusCode::Ok, .. } => Became::Done,
        Response::Status { message, .. } => Became::refused(&String::from_utf8_lossy(message)),
        _ => Became::Done,
    }
}

async fn run(peer: &mut SftpPeer, scene: &Scene, step: Step) -> Became {
    match step {
        Ask(request) => became(&peer.ask(request).await.unwrap()),
        Open(name, flags) => match peer.open(scene.path(name), flags).await.unwrap() {
            Err((_, message)) => Became::refused(&message),
            Ok(handle) => {
                if flags.contains(WRITE) {
                    assert!(peer.write(&handle, 0, b"1").await.unwrap().is_none());
                }
                became(&peer.ask(SftpRequest::Close { handle }).await.unwrap())
            }
        },
        Step::SetOpen(name, attributes) => {
            match peer.open(scene.path(name), OpenFlags::READ).await.unwrap() {
                Err((_, message)) => Became::refused(&message),
                Ok(handle) => {
                    let set = SftpRequest::Fsetstat { handle: handle.clone(), attributes };
                    let response = peer.ask(set).await.unwrap();
                    peer.close(handle).await.unwrap();
                    became(&response)
                }
            }
        }
        Step::CopyData(from, to) => {
            let source = peer.open(scene.path(from), OpenFlags::READ).await.unwrap();
            let target = peer.open(scene.path(to), ANEW).await.unwrap();
            match (source, target) {
                (Ok(from), Ok(to)) => {
                    let copy =
                        Extended::CopyData { from, from_offset: 0, length: 0, to: to.clone(), to_offset: 0 };
                    let response = peer.ask(SftpRequest::Extended(copy)).await.unwrap();
                    peer.close(to).await.unwrap();
                    became(&response)
                }
                (Err((_, message)), _) | (_, Err((_, message))) => Became::refused(&message),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_access_allows_its_sftp_requests_only() {
    for uploads in ["in-place", "atomic"] {
        for (access, name) in ACCESSES.into_iter().enumerate() {
            let host = host(name, &format!("sftp-uploads = \"{uploads}\"")).await;
            let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
            for (number, (operation, letters, step)) in OPERATIONS.iter().enumerate() {
                let scene = Scene::plant(&host, number);
                let step = step(&|name| Bytes::from(scene.path(name)));
                let became = run(&mut peer, &scene, step).await;
                scene.check(operation, access, became, letters);
            }
        }
    }
}
