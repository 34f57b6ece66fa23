//! The changes that are made while the disk fails, each over its protocol.

use bytes::Bytes;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::noise;
use sshome_e2e::{Host, Peer, end_of, run};
use sshome_wire::sftp::{Extended, OpenFlags, SftpAttributes, SftpRequest as Sftp, Times};
use sshome_wire::{Frame, Put, Reply, Request, StreamId, Time};
use std::path::Path;

/// The length of `f`, which is replaced. A home also has `source` and a tree.
const OLD: usize = 100_000;
/// The length of the new content, and of `source`, in bytes.
const NEW: usize = 300_000;
/// Long enough for a partial upload with a record.
const LARGE: usize = (5 << 20) + 17;

/// A change of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Put,
    PutLarge,
    PutMany,
    PutStream,
    SftpInPlace,
    SftpAtomic,
    Scp,
    ExecPut,
    Cp,
    CpTree,
    Mkdir,
    Symlink,
    Hardlink,
    CopyData,
    SetSize,
    SetModeAndTimes,
    Mv,
    Rm,
    RmTree,
}

impl Change {
    /// All changes that create or replace something.
    pub const BUILDING: [Change; 17] = [
        Change::Put,
        Change::PutLarge,
        Change::PutMany,
        Change::PutStream,
        Change::SftpInPlace,
        Change::SftpAtomic,
        Change::Scp,
        Change::ExecPut,
        Change::Cp,
        Change::CpTree,
        Change::Mkdir,
        Change::Symlink,
        Change::Hardlink,
        Change::CopyData,
        Change::SetSize,
        Change::SetModeAndTimes,
        Change::Mv,
    ];

    /// The user who makes it.
    pub fn user(self) -> &'static str {
        if self == Change::SftpAtomic { "bob" } else { "ann" }
    }

    /// Whether it changes one name, so that it is done completely or not at all.
    pub fn is_one(self) -> bool {
        !matches!(self, Change::PutMany | Change::CpTree | Change::Mkdir | Change::RmTree)
            && !self.is_in_place(Path::new("f"))
    }

    /// Whether it writes to a file in place, so that it may be done in part.
    pub fn is_in_place(self, path: &Path) -> bool {
        path == Path::new("f") && matches!(self, Change::SftpInPlace | Change::CopyData | Change::SetSize)
    }

    /// Makes it. The error is the refusal.
    pub async fn make(self, host: &Host) -> Result<(), String> {
        match self {
            Change::SftpInPlace
            | Change::SftpAtomic
            | Change::Hardlink
            | Change::CopyData
            | Change::SetSize
            | Change::SetModeAndTimes => self.by_sftp(host).await,
            Change::Scp => {
                let content = [format!("C0644 {NEW} f\n").as_bytes(), &noise(NEW, "new"), b"\0"].concat();
                by_command(host, "scp -t f", &content).await
            }
            Change::ExecPut => by_command(host, "put f", &noise(NEW, "new")).await,
            _ => self.by_peer(host).await,
        }
    }

    async fn by_peer(self, host: &Host) -> Result<(), String> {
        let mut peer = Peer::login(host, "ann").await.unwrap();
        let request = match self {
            Change::Put => return done(peer.put("f", &noise(NEW, "new")).await.unwrap()),
            Change::PutLarge => return put_large(&mut peer).await,
            Change::PutMany => return put_many(&mut peer).await,
            Change::PutStream => return put_stream(&mut peer).await,
            Change::Cp => Request::Cp { from: b("source"), to: b("f"), recursive: false },
            Change::CpTree => Request::Cp { from: b("tree"), to: b("copy"), recursive: true },
            Change::Mkdir => Request::Mkdir { path: b("made/below"), parents: true, mode: None },
            Change::Symlink => Request::Symlink { path: b("link"), target: b("source") },
            Change::Mv => Request::Mv { from: b("source"), to: b("f") },
            Change::Rm => Request::Rm { path: b("f"), recursive: false },
            Change::RmTree => Request::Rm { path: b("tree"), recursive: true },
            other => panic!("{other:?} is not of this protocol"),
        };
        done(peer.ask(request).await.unwrap())
    }

    async fn by_sftp(self, host: &Host) -> Result<(), String> {
        let mut peer = SftpPeer::login(host, self.user()).await.unwrap();
        let size = SftpAttributes { size: Some(OLD as u64 / 2), ..SftpAttributes::default() };
        let times = Some(Times { atime: 1_000_000_000, mtime: 1_000_000_000 });
        let mode = SftpAttributes { permissions: Some(0o640), times, ..SftpAttributes::default() };
        let refusal = match self {
            Change::SftpInPlace | Change::SftpAtomic => peer.put("f", &noise(NEW, "new")).await.unwrap(),
            Change::Hardlink => {
                let (from, to) = (Bytes::from("source"), Bytes::from("hard"));
                peer.refusal(Sftp::Extended(Extended::Hardlink { from, to })).await.unwrap()
            }
            Change::SetSize => {
                peer.refusal(Sftp::Setstat { path: "f".into(), attributes: size }).await.unwrap()
            }
            Change::SetModeAndTimes => {
                peer.refusal(Sftp::Setstat { path: "f".into(), attributes: mode }).await.unwrap()
            }
            Change::CopyData => return copy_data(&mut peer).await,
            other => panic!("{other:?} is not of this protocol"),
        };
        refusal.map_or(Ok(()), |(code, text)| Err(format!("{code:?}: {text}")))
    }
}

/// Restores a home to its state before each change.
pub async fn prepare(host: &Host, user: &str) {
    let mut peer = Peer::login(host, user).await.unwrap();
    for name in ["copy", "made", "link", "hard", "many", "tree"] {
        drop(peer.ask(Request::Rm { path: b(name), recursive: true }).await.unwrap());
    }
    for folder in ["tree/below", "many"] {
        done(peer.ask(Request::Mkdir { path: b(folder), parents: true, mode: None }).await.unwrap()).unwrap();
    }
    for (name, length, seed) in [
        ("f", OLD, "old"),
        ("source", NEW, "source"),
        ("tree/first", 5000, "first"),
        ("tree/below/second", 7000, "second"),
    ] {
        done(peer.put(name, &noise(length, seed)).await.unwrap()).unwrap();
    }
}

fn b(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn done(reply: Reply) -> Result<(), String> {
    if reply.status.is_error() { Err(reply.to_string()) } else { Ok(()) }
}

async fn by_command(host: &Host, line: &str, input: &[u8]) -> Result<(), String> {
    let outcome = run(host, "ann", line, input).await.unwrap();
    if outcome.code == Some(0) { Ok(()) } else { Err(outcome.to_string()) }
}

async fn put_large(peer: &mut Peer) -> Result<(), String> {
    let (content, time) = (noise(LARGE, "large"), Time { seconds: 1_700_000_000, nanoseconds: 0 });
    let (size, source) = (Some(LARGE as u64), Some(time));
    let put = Put { path: b("f"), size, mtime: source, source, mode: Some(0o600), resume: 0 };
    peer.send(&Frame::Request(Request::Put(put))).await.unwrap();
    peer.send_data(&content).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    done(peer.reply().await.unwrap())
}

/// More files than are synced one by one; the answers are read afterwards.
async fn put_many(peer: &mut Peer) -> Result<(), String> {
    let content = |number: usize| noise(3000 + number, "many");
    for number in 0..5 {
        peer.begin_put(format!("many/{number}"), Some(content(number).len() as u64)).await.unwrap();
        peer.send_data(&content(number)).await.unwrap();
        peer.send(&Frame::End(end_of(&content(number)))).await.unwrap();
    }
    let mut refused = Vec::new();
    for _ in 0..5 {
        refused.extend(done(peer.reply().await.unwrap()).err());
    }
    if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
}

async fn put_stream(peer: &mut Peer) -> Result<(), String> {
    let content = noise(NEW, "new");
    let put = Put { path: b("f"), size: None, mtime: None, source: None, mode: None, resume: 0 };
    peer.send(&Frame::Request(Request::PutStream { id: StreamId(rand::random()), put })).await.unwrap();
    peer.send_data(&content).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    loop {
        match peer.next().await.unwrap() {
            Frame::Stored(_) => {}
            Frame::Reply(reply) => return done(reply),
            other => panic!("{other:?}"),
        }
    }
}

async fn copy_data(peer: &mut SftpPeer) -> Result<(), String> {
    let told = |(code, text)| format!("{code:?}: {text}");
    let from = peer.open("source", OpenFlags::READ).await.unwrap().map_err(told)?;
    let to = peer.open("f", ANEW).await.unwrap().map_err(told)?;
    let copy = Extended::CopyData { from, from_offset: 0, length: 0, to, to_offset: 0 };
    peer.refusal(Sftp::Extended(copy)).await.unwrap().map_or(Ok(()), |refusal| Err(told(refusal)))
}
