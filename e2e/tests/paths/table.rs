//! Operations on some hundred spellings, compared with the kernel and with OpenSSH's server.

use crate::reference::{Reference, kernel};
use anyhow::{Result, bail};
use bytes::Bytes;
use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::{Host, Peer};
use sshome_wire::Status;
use sshome_wire::sftp::{Data, Extended, OpenFlags, Response, SftpAttributes, SftpRequest, StatusCode};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Names in the tree, and missing ones: `none`, `missing`, `a/none`.
const NAMES: [&str; 20] = [
    "f",
    "d",
    "full",
    "full/y",
    "l",
    "lf",
    "dangling",
    "loop",
    "none",
    "a/real",
    "a/real/r",
    "a/none",
    "l/r",
    "l/none",
    "l/../x",
    "a/../f",
    "none/../f",
    "f/../x",
    "a//x",
    "a/./x",
];

const ENDS: [&str; 7] = ["", "/", "//", "/.", "/..", "/./", "/../"];

/// An operation on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Stat,
    Lstat,
    Readlink,
    Realpath,
    Opendir,
    OpenRead,
    OpenWrite,
    OpenCreate,
    OpenExclusive,
    Mkdir,
    Rmdir,
    Remove,
    RenameFrom,
    RenameFileTo,
    RenameDirectoryTo,
    Symlink,
    HardlinkFrom,
    HardlinkTo,
}

impl Op {
    /// The content that is written to files.
    pub(crate) const CONTENT: &[u8] = b"written";

    const ALL: [Op; 18] = [
        Op::Stat,
        Op::Lstat,
        Op::Readlink,
        Op::Realpath,
        Op::Opendir,
        Op::OpenRead,
        Op::OpenWrite,
        Op::OpenCreate,
        Op::OpenExclusive,
        Op::Mkdir,
        Op::Rmdir,
        Op::Remove,
        Op::RenameFrom,
        Op::RenameFileTo,
        Op::RenameDirectoryTo,
        Op::Symlink,
        Op::HardlinkFrom,
        Op::HardlinkTo,
    ];

    fn flags(self) -> Option<OpenFlags> {
        let write = OpenFlags::WRITE.0;
        Some(OpenFlags(match self {
            Op::OpenRead => OpenFlags::READ.0,
            Op::OpenWrite => write,
            Op::OpenCreate => write | OpenFlags::CREAT.0 | OpenFlags::TRUNC.0,
            Op::OpenExclusive => write | OpenFlags::CREAT.0 | OpenFlags::EXCL.0,
            _ => return None,
        }))
    }

    /// The SFTP request. A rename replaces, as the kernel's does.
    fn request(self, path: &str) -> SftpRequest {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let (path, attributes) = (bytes(path), SftpAttributes::default());
        match self {
            Op::Stat => SftpRequest::Stat { path },
            Op::Lstat => SftpRequest::Lstat { path },
            Op::Readlink => SftpRequest::Readlink { path },
            Op::Realpath => SftpRequest::Realpath { path },
            Op::Opendir => SftpRequest::Opendir { path },
            Op::OpenRead | Op::OpenWrite | Op::OpenCreate | Op::OpenExclusive => {
                SftpRequest::Open { path, flags: self.flags().unwrap(), attributes }
            }
            Op::Mkdir => SftpRequest::Mkdir { path, attributes },
            Op::Rmdir => SftpRequest::Rmdir { path },
            Op::Remove => SftpRequest::Remove { path },
            Op::RenameFrom => SftpRequest::Extended(Extended::PosixRename { from: path, to: bytes("new") }),
            Op::RenameFileTo => SftpRequest::Extended(Extended::PosixRename { from: bytes("f"), to: path }),
            Op::RenameDirectoryTo => {
                SftpRequest::Extended(Extended::PosixRename { from: bytes("d"), to: path })
            }
            Op::Symlink => SftpRequest::Symlink { target: bytes("text"), path },
            Op::HardlinkFrom => SftpRequest::Extended(Extended::Hardlink { from: path, to: bytes("new") }),
            Op::HardlinkTo => SftpRequest::Extended(Extended::Hardlink { from: bytes("f"), to: path }),
        }
    }

    /// The native request, if it means the same. A put is tested elsewhere.
    fn native(self, path: &str) -> Option<sshome_wire::Request> {
        use sshome_wire::Request;
        let path = path.as_bytes().to_vec();
        Some(match self {
            Op::Stat => Request::Stat { path, follow: true },
            Op::Lstat => Request::Stat { path, follow: false },
            Op::Mkdir => Request::Mkdir { path, parents: false, mode: None },
            Op::Rmdir => Request::Rmdir { path },
            Op::Remove => Request::Rm { path, recursive: false },
            Op::Symlink => Request::Symlink { path, target: b"text".to_vec() },
            _ => return None,
        })
    }
}

/// The result: SFTP's answer, and the state of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathOutcome {
    pub(crate) code: StatusCode,
    /// REALPATH's answer, relative to the top of the tree.
    pub(crate) name: Option<String>,
    pub(crate) after: BTreeMap<PathBuf, String>,
}

/// A folder with the same entries each time.
pub(crate) struct Tree(PathBuf);

impl Tree {
    pub(crate) fn new(top: PathBuf) -> Tree {
        let tree = Tree(top);
        tree.restore();
        tree
    }

    pub(crate) fn top(&self) -> &Path {
        &self.0
    }

    fn restore(&self) {
        for entry in fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap()) {
            match entry.file_type().unwrap().is_dir() {
                _ if entry.file_name() == ".sshome-staging" => {}
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
        for folder in ["a/real", "d", "full"] {
            fs::create_dir_all(self.0.join(folder)).unwrap();
        }
        for file in ["f", "x", "a/x", "a/real/r", "full/y"] {
            fs::write(self.0.join(file), file).unwrap();
        }
        for (link, target) in [
            ("l", "a/real"),
            ("lf", "f"),
            ("dangling", "missing"),
            ("loop", "loop"),
            ("abs", "/a"),
            ("up", "../.."),
        ] {
            symlink(target, self.0.join(link)).unwrap();
        }
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let (mut found, mut folders) = (BTreeMap::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let kind = path.symlink_metadata().unwrap().file_type();
                let what = if kind.is_symlink() {
                    format!("-> {}", fs::read_link(&path).unwrap().display())
                } else if kind.is_dir() {
                    if path.ends_with(".sshome-staging") {
                        continue;
                    }
                    folders.push(path.clone());
                    "directory".to_owned()
                } else {
                    fs::read_to_string(&path).unwrap()
                };
                found.insert(path.strip_prefix(&self.0).unwrap().to_owned(), what);
            }
        }
        found
    }
}

/// One that answers SFTP's requests.
enum Server<'a> {
    Ours(&'a mut SftpPeer),
    OpenSsh(&'a mut Reference),
}

impl Server<'_> {
    async fn ask(&mut self, request: SftpRequest) -> Result<Response> {
        match self {
            Server::Ours(peer) => peer.ask(request).await,
            Server::OpenSsh(reference) => reference.ask(request).await,
        }
    }

    /// Executes it, and leaves nothing open.
    async fn act(&mut self, tree: &Tree, op: Op, path: &str) -> Result<PathOutcome> {
        let (mut code, mut name) = (StatusCode::Ok, None);
        match self.ask(op.request(path)).await? {
            Response::Status { code: status, .. } => code = status,
            Response::Handle(handle) => {
                if op.flags().is_some_and(|flags| flags.contains(OpenFlags::WRITE)) {
                    let data = Data::from(Bytes::from_static(Op::CONTENT));
                    self.ask(SftpRequest::Write { handle: handle.clone(), offset: 0, data }).await?;
                }
                self.ask(SftpRequest::Close { handle }).await?;
            }
            Response::Name(names) if op == Op::Realpath => {
                let found = String::from_utf8(names[0].name.to_vec())?;
                let top = tree.top().to_str().unwrap();
                let below = if matches!(self, Server::Ours(_)) {
                    Some(found.as_str())
                } else {
                    found.strip_prefix(top)
                };
                name = below.map(|below| if below.is_empty() { "/" } else { below }.to_owned());
            }
            Response::Name(_) | Response::Attrs(_) => {}
            other => bail!("{op:?} {path}: {other:?}"),
        }
        Ok(PathOutcome { code, name, after: tree.snapshot() })
    }
}

/// Deliberate differences, which docs/paths.md lists. None of these operations changes anything.
fn is_chosen(op: Op, tree: &Tree, path: &str, ours: StatusCode, theirs: StatusCode) -> bool {
    let names_directory = path.ends_with(['/', '.']);
    let not_a_directory =
        || tree.top().join(path).metadata().is_err_and(|error| error.kind() == ErrorKind::NotADirectory);
    match op {
        // Only files can be opened.
        Op::OpenRead => (ours, theirs) == (StatusCode::Failure, StatusCode::Ok),
        // The kernel calls all such paths directories, even missing ones.
        Op::OpenCreate | Op::OpenExclusive => {
            names_directory && (ours, theirs) == (StatusCode::NoSuchFile, StatusCode::Failure)
        }
        // A name below a file does not exist, as for realpath(3).
        Op::Realpath => (ours, theirs) == (StatusCode::NoSuchFile, StatusCode::Ok) && not_a_directory(),
        // rmdir(2) fails with EINVAL for `.`.
        Op::Rmdir => names_directory && (ours, theirs) == (StatusCode::Failure, StatusCode::BadMessage),
        Op::HardlinkFrom => (ours, theirs) == (StatusCode::Failure, StatusCode::PermissionDenied),
        _ => false,
    }
}

fn spellings() -> impl Iterator<Item = String> {
    NAMES
        .into_iter()
        .flat_map(|name| ENDS.map(|end| format!("{name}{end}")))
        .chain([".".to_owned(), String::new()])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_means_the_same_as_to_the_kernel_and_openssh() {
    let test = "every_spelling_means_the_same_as_to_the_kernel_and_openssh";
    let host = Host::with_user("ann", "").await.unwrap();
    let (ours, other) = (Tree::new(host.home("ann")), tempfile::tempdir().unwrap());
    // Without links in its own path, because REALPATH returns the whole path.
    let theirs = Tree::new(other.path().canonicalize().unwrap());
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let mut reference = match sshome_e2e::foreign::installed(Reference::PROGRAM, test) {
        Some(_) => Some(Reference::start(theirs.top()).await.unwrap()),
        None => None,
    };
    let fresh = ours.snapshot();
    let mut different = Vec::new();
    for (path, op) in spellings().flat_map(|path| Op::ALL.map(|op| (path.clone(), op))) {
        let found = Server::Ours(&mut peer).act(&ours, op, &path).await.unwrap();
        let mut wanted = Vec::new();
        if op != Op::Realpath {
            wanted.push(("the kernel", kernel(&theirs, op, &path)));
            if wanted.iter().any(|(_, outcome)| outcome.after != fresh) {
                theirs.restore();
            }
        }
        if let Some(reference) = &mut reference {
            wanted.push(("OpenSSH", Server::OpenSsh(reference).act(&theirs, op, &path).await.unwrap()));
        }
        for (who, outcome) in &wanted {
            let chosen =
                is_chosen(op, &theirs, &path, found.code, outcome.code) && found.after == outcome.after;
            if found != *outcome && !chosen {
                let changed = if found.after == outcome.after { "" } else { ", and the trees differ" };
                let (ours, theirs) = ((found.code, &found.name), (outcome.code, &outcome.name));
                different.push(format!("{op:?} {path:?}: {ours:?}, {who}: {theirs:?}{changed}"));
            }
        }
        if found.after != fresh {
            ours.restore();
        }
        if wanted.iter().any(|(_, outcome)| outcome.after != fresh) {
            theirs.restore();
        }
    }
    assert!(different.is_empty(), "{} are different:\n{}", different.len(), different.join("\n"));
}

/// The native protocol compared with the kernel: only whether the operation succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_means_the_same_natively_as_to_the_kernel() {
    let host = Host::with_user("ann", "").await.unwrap();
    let (ours, other) = (Tree::new(host.home("ann")), tempfile::tempdir().unwrap());
    let theirs = Tree::new(other.path().to_owned());
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let fresh = ours.snapshot();
    let mut different = Vec::new();
    // In this protocol, an empty path is the working directory.
    for (path, op) in
        spellings().filter(|path| !path.is_empty()).flat_map(|path| Op::ALL.map(|op| (path.clone(), op)))
    {
        let status = match (op, op.native(&path)) {
            (_, Some(request)) => peer.ask(request).await.unwrap().status,
            (Op::OpenCreate, _) => peer.put(&path, Op::CONTENT).await.unwrap().status,
            (Op::OpenRead, _) => {
                peer.get(&path).await.unwrap().map_or_else(|(status, _)| status, |_| Status::Done)
            }
            _ => continue,
        };
        let (after, wanted) = (ours.snapshot(), kernel(&theirs, op, &path));
        let done = !status.is_error() && status != Status::DirectoryExists;
        let is_directory = op == Op::OpenRead && ours.top().join(&path).is_dir();
        if after != wanted.after || (done != (wanted.code == StatusCode::Ok) && !is_directory) {
            different.push(format!("{op:?} {path:?}: {status}, the kernel: {:?}", wanted.code));
        }
        if after != fresh {
            ours.restore();
        }
        if wanted.after != fresh {
            theirs.restore();
        }
    }
    assert!(different.is_empty(), "{} are different:\n{}", different.len(), different.join("\n"));
}
