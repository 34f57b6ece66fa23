//! A server that keeps its files in memory, and fails where a test wants it to.

use crate::conversation::peer::{ScriptedPeer, Talk, connect, hello};
use sshome_wire::{
    Chunk, Description, Digest, End, Entries, Entry, Features, FileKind, Frame, Hashed, Header, Hello,
    Payload, Progress, Put, Reply, Request, Status, StoredFile, Time,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// The files on the server; `None` is a directory.
pub(super) type Files = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The server, seen from the test.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) files: Arc<Mutex<Files>>,
    /// The number of gets that were answered with data.
    pub(super) sent: Arc<Mutex<usize>>,
    /// Puts of this name are refused before their data.
    pub(super) refuses: Option<&'static [u8]>,
    /// Gets of this name arrive with a flipped bit.
    pub(super) spoils: Option<&'static [u8]>,
    /// Raised when the data of a file of this name begin.
    pub(super) interrupts: Option<&'static [u8]>,
    pub(super) cancel: CancellationToken,
    /// The lengths that every header and every end announce, whatever comes between.
    pub(super) lengths: Option<(u64, u64)>,
    /// Answers to gets and puts are preceded by progress.
    pub(super) works: bool,
    /// This many puts and directories are refused because the server is busy.
    pub(super) busy: Arc<Mutex<usize>>,
    /// The status with which puts are answered.
    pub(super) answers: Option<Status>,
    /// Additional entries of listings, with any names.
    pub(super) lies: Vec<Entry>,
    pub(super) features: Features,
    /// The numbers of files whose stored digests were asked for, for each question.
    pub(super) asked: Arc<Mutex<Vec<usize>>>,
    /// How deltas fail: with 410 before their data, or with any other status after it.
    pub(super) deltas: Status,
    /// The number of deltas that have failed.
    pub(super) failed_deltas: Arc<Mutex<usize>>,
    /// The answer to `SetAttributes`.
    pub(super) attributes: Arc<Mutex<Status>>,
}

impl Default for Model {
    fn default() -> Model {
        Model {
            files: Arc::default(),
            sent: Arc::default(),
            refuses: None,
            spoils: None,
            interrupts: None,
            cancel: CancellationToken::new(),
            lengths: None,
            works: false,
            busy: Arc::default(),
            answers: None,
            lies: Vec::new(),
            features: Features::default(),
            asked: Arc::default(),
            deltas: Status::Changed,
            failed_deltas: Arc::default(),
            attributes: Arc::new(Mutex::new(Status::Done)),
        }
    }
}

pub(super) fn entry(name: &[u8], kind: FileKind, size: u64) -> Entry {
    let mtime = Time { seconds: 1_000_000_000, nanoseconds: 0 };
    Entry { name: name.to_vec(), kind, size, mtime, mode: 0o640, links: 1, target: Vec::new() }
}

fn busy() -> Reply {
    Reply::new(Status::Busy, "your home is being counted, 7 entries so far")
}

impl Model {
    /// A server with files of these paths and contents; a path with a slash at its end is a directory.
    pub(super) fn with(files: &[(&str, &[u8])]) -> Model {
        let model = Model::default();
        for (path, content) in files {
            let content = (!path.ends_with('/')).then(|| content.to_vec());
            let path = path.trim_end_matches('/').as_bytes().to_vec();
            model.files.lock().unwrap().insert(path, content);
        }
        model
    }

    pub(super) fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(path.as_bytes()).cloned().flatten()
    }

    pub(super) async fn start(&self) -> Talk {
        let model = self.clone();
        let hello = Hello { features: self.features, ..hello(4096) };
        connect(hello, |peer| async move { model.serve(peer).await }).await.unwrap()
    }

    async fn serve(self, mut peer: ScriptedPeer) {
        while let Some(frame) = peer.hear().await {
            match frame {
                Frame::Request(Request::Put(put)) => self.put(&mut peer, put).await,
                Frame::Request(Request::Get { path, .. }) => self.get(&peer, &path).await,
                Frame::Request(Request::Ls { path, .. }) => self.list(&peer, &path).await,
                Frame::Request(Request::StoredDigests { directory, paths }) => {
                    peer.say(Frame::StoredFiles(self.stored(&directory, &paths))).await;
                    peer.reply(Status::Done).await;
                }
                Frame::Request(Request::Describe { .. }) => {
                    let chunks = vec![Chunk { digest: [0; 10], length: 20_000 }];
                    peer.say(Frame::Description(Description { chunks })).await;
                    peer.reply(Status::Done).await;
                }
                Frame::Request(Request::PutDelta(_)) => self.fail_put(&mut peer).await,
                Frame::Request(Request::GetDelta { path, chunks, .. }) => {
                    self.fail_get(&mut peer, &path, chunks as usize).await;
                }
                Frame::Request(request) => peer.say(Frame::Reply(self.answer(request))).await,
                Frame::Cancel => peer.reply(Status::Done).await,
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn answer(&self, request: Request) -> Reply {
        let mut files = self.files.lock().unwrap();
        let found = |path: &[u8]| match path {
            b"/" => Some(None),
            path => files.get(path).cloned(),
        };
        match request {
            Request::Stat { path, .. } => match found(&path) {
                Some(Some(file)) => {
                    Reply::with(Payload::Stat(entry(b"x", FileKind::File, file.len() as u64)))
                }
                Some(None) => Reply::with(Payload::Stat(entry(b"x", FileKind::Directory, 0))),
                None => Reply::new(Status::NoSuchFile, ""),
            },
            Request::Hash { path, .. } => match found(&path) {
                Some(Some(file)) => {
                    let digest = Digest(*blake3::hash(&file).as_bytes());
                    Reply::with(Payload::Hash(Hashed { digest, size: file.len() as u64, stored: None }))
                }
                _ => Reply::new(Status::NoSuchFile, ""),
            },
            Request::Mkdir { .. } if self.is_busy() => busy(),
            Request::Mkdir { path, .. } => match found(&path) {
                Some(None) => Reply::new(Status::DirectoryExists, ""),
                Some(Some(_)) => Reply::new(Status::FileExists, ""),
                None => {
                    files.insert(path, None);
                    Reply::new(Status::Done, "")
                }
            },
            Request::SetAttributes { .. } => Reply::new(*self.attributes.lock().unwrap(), ""),
            Request::FinishDirectory { .. } | Request::Symlink { .. } => Reply::new(Status::Done, ""),
            Request::Parts => Reply::new(Status::Done, ""),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn stored(&self, directory: &[u8], paths: &[u8]) -> Vec<StoredFile> {
        let files = self.files.lock().unwrap();
        let names: Vec<&[u8]> = paths.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).collect();
        self.asked.lock().unwrap().push(names.len());
        let found = |(number, name): (u32, &&[u8])| {
            let content = files.get(&[directory, *name].concat()).cloned().flatten()?;
            let (size, digest) = (content.len() as u64, Some(Digest(*blake3::hash(&content).as_bytes())));
            Some(StoredFile { number, size, mtime: entry(b"", FileKind::File, 0).mtime, mode: 0o640, digest })
        };
        (0..).zip(&names).filter_map(found).collect()
    }

    async fn put(&self, peer: &mut ScriptedPeer, put: Put) {
        let refused = self.refuses.is_some_and(|name| put.path.ends_with(name));
        let in_no_directory = !self.has_parent(&put.path);
        if refused || in_no_directory || self.is_busy() {
            peer.say(Frame::Reply(match (refused, in_no_directory) {
                (true, _) => Reply::new(Status::QuotaExceeded, "full\x1b"),
                (_, true) => Reply::new(Status::NoSuchDirectory, ""),
                (false, false) => busy(),
            }))
            .await;
            loop {
                match peer.hear().await {
                    Some(Frame::Data(_)) => {}
                    Some(Frame::End(_) | Frame::Abort) => return,
                    Some(Frame::Cancel) => return peer.reply(Status::Done).await,
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
        let mut body = Vec::new();
        let end = loop {
            match peer.hear().await {
                Some(Frame::Data(data)) => {
                    body.extend_from_slice(&data);
                    self.interrupt_at(&put.path);
                }
                Some(Frame::End(end)) => break end,
                Some(Frame::Cancel) => {
                    peer.reply(Status::Cancelled).await;
                    return peer.reply(Status::Done).await;
                }
                None => return,
                other => panic!("unexpected {other:?}"),
            }
        };
        if end.status.is_error() {
            return peer.reply(end.status).await;
        }
        let whole = end.digest.0 == *blake3::hash(&body).as_bytes() && put.size == Some(body.len() as u64);
        if whole {
            self.files.lock().unwrap().insert(put.path, Some(body));
        }
        self.work(peer).await;
        peer.reply(if whole { self.answers.unwrap_or(Status::Done) } else { Status::DigestMismatch }).await;
    }

    async fn fail_put(&self, peer: &mut ScriptedPeer) {
        *self.failed_deltas.lock().unwrap() += 1;
        if self.deltas == Status::Changed {
            peer.reply(Status::Changed).await;
        }
        while !matches!(peer.hear().await, Some(Frame::End(_) | Frame::Abort) | None) {}
        if self.deltas != Status::Changed {
            peer.reply(self.deltas).await;
        }
    }

    async fn fail_get(&self, peer: &mut ScriptedPeer, path: &[u8], mut chunks: usize) {
        *self.failed_deltas.lock().unwrap() += 1;
        while chunks > 0 {
            match peer.hear().await {
                Some(Frame::Description(more)) => chunks -= more.chunks.len(),
                other => panic!("unexpected {other:?}"),
            }
        }
        match self.deltas {
            Status::Changed => peer.reply(Status::Changed).await,
            _ => Model { spoils: Some(b""), ..self.clone() }.get(peer, path).await,
        }
    }

    /// Whether the next change is refused because the server is busy.
    fn is_busy(&self) -> bool {
        let mut left = self.busy.lock().unwrap();
        let is_busy = *left > 0;
        *left = left.saturating_sub(1);
        is_busy
    }

    fn has_parent(&self, path: &[u8]) -> bool {
        match path.iter().rposition(|byte| *byte == b'/') {
            Some(0) | None => true,
            Some(at) => matches!(self.files.lock().unwrap().get(&path[..at]), Some(None)),
        }
    }

    async fn get(&self, peer: &ScriptedPeer, path: &[u8]) {
        let Some(Some(file)) = self.files.lock().unwrap().get(path).cloned() else {
            return peer.reply(Status::NoSuchFile).await;
        };
        *self.sent.lock().unwrap() += 1;
        let length = file.len() as u64;
        let mtime = Time { seconds: 1_000_000_000, nanoseconds: 0 };
        self.work(peer).await;
        let (size, end_size) = self.lengths.unwrap_or((length, length));
        peer.say(Frame::Header(Header { size, offset: 0, mtime, mode: 0o640 })).await;
        let digest = Digest(*blake3::hash(&file).as_bytes());
        self.interrupt_at(path);
        for (number, piece) in file.chunks(200_001).enumerate() {
            let mut piece = piece.to_vec();
            if number == 0 && self.spoils.is_some_and(|name| path.ends_with(name)) {
                piece[0] ^= 1;
            }
            peer.say(Frame::Data(piece.into())).await;
        }
        let end = End { status: Status::Done, message: String::new(), digest, size: end_size };
        peer.say(Frame::End(end)).await;
    }

    async fn work(&self, peer: &ScriptedPeer) {
        for done in 0..if self.works { 3 } else { 0 } {
            peer.say(Frame::Progress(Progress { done, total: 0 })).await;
        }
    }

    fn interrupt_at(&self, path: &[u8]) {
        if self.interrupts.is_some_and(|name| path.ends_with(name)) {
            self.cancel.cancel();
        }
    }

    async fn list(&self, peer: &ScriptedPeer, path: &[u8]) {
        let files = self.files.lock().unwrap().clone();
        let prefix = [path.strip_suffix(b"/").unwrap_or(path), b"/"].concat();
        let mut directories: BTreeMap<Vec<u8>, Vec<Entry>> =
            BTreeMap::from([(Vec::new(), self.lies.clone())]);
        for (path, content) in files.iter().filter(|(path, _)| path.starts_with(&prefix)) {
            let below = &path[prefix.len()..];
            let slash = below.iter().rposition(|byte| *byte == b'/');
            let (directory, name) = slash.map_or((&b""[..], below), |at| (&below[..at], &below[at + 1..]));
            let of = match content {
                Some(content) => entry(name, FileKind::File, content.len() as u64),
                None => entry(name, FileKind::Directory, 0),
            };
            directories.entry(directory.to_vec()).or_default().push(of);
        }
        for (directory, entries) in directories {
            peer.say(Frame::Entries(Entries { directory, entries })).await;
        }
        peer.say(Frame::Reply(Reply::with(Payload::Stat(entry(b"x", FileKind::Directory, 0))))).await;
    }
}
