//! A home of any store, for benchmarks of small files.

use sshome_store::quota::QuotaLimits;
use sshome_store::{
    Ctx, Home, HomeSettings, HomeStore, OpenMode, PublishResult, Takeover, UploadPermissions, UploadSpec,
};
use sshome_wire::{Digest, RemotePath};
use std::path::PathBuf;
use std::sync::Arc;

/// Files in a benchmark.
const FILES: usize = 64;

/// Bytes of each.
const FILE_BYTES: usize = 4096;

/// A channel to a home, with the names of the files.
pub(crate) struct Session {
    home: Arc<dyn Home>,
    names: Vec<RemotePath>,
    content: Vec<u8>,
    digest: Digest,
    /// Kept as long as the channel, and dropped outside of the count.
    _store: Arc<dyn HomeStore>,
}

impl Session {
    /// A home with one file. What is done only once has been done.
    pub(crate) fn new(store: Arc<dyn HomeStore>, root: PathBuf) -> Session {
        let (user, limits) = ("ann".to_owned(), QuotaLimits { bytes: Some(1 << 30), entries: Some(10_000) });
        let settings = HomeSettings { user, root, make_root: true, unfit: None, writable: true, limits };
        store.serve(std::slice::from_ref(&settings)).unwrap();
        let home = store.open(&Ctx::default(), &settings).unwrap();
        home.counting().into_iter().for_each(|counting| counting.end.block());
        let content = vec![7; FILE_BYTES];
        let digest = Digest(blake3::hash(&content).into());
        let mut session = Session { home, names: vec![path("first")], content, digest, _store: store };
        session.put();
        session.get();
        session.names = (0..FILES).map(|number| path(&format!("file {number}"))).collect();
        session
    }

    /// Puts the files in one batch.
    pub(crate) fn put(&self) {
        let size = self.content.len() as u64;
        let permissions = UploadPermissions::Exact(0o644);
        let spec = UploadSpec {
            size: Some(size),
            mtime: None,
            source: None,
            permissions,
            resume: 0,
            exclusive: false,
        };
        let takeover = Takeover::new(|| {});
        let upload = |name| {
            let mut upload = self.home.begin_upload(name, &spec, None, &takeover).unwrap();
            upload.write(&self.content).unwrap();
            upload.finish(size, Some(self.digest)).unwrap()
        };
        let published = self.home.publish(self.names.iter().map(upload).collect(), Vec::new());
        assert!(published.items.iter().all(|result| matches!(result, PublishResult::Done { .. })));
    }

    /// Reads the files with their stored digests.
    pub(crate) fn get(&self) {
        let mut buffer = Vec::with_capacity(64 << 10);
        for name in &self.names {
            let file = self.home.open_file(name, OpenMode::READ_ONLY, false).unwrap();
            let info = file.info().unwrap();
            buffer.clear();
            let room = buffer.capacity();
            while file.read_at(buffer.len() as u64, &mut buffer, room).unwrap() > 0 {}
            assert_eq!(buffer.len(), FILE_BYTES);
            std::hint::black_box((file.stored_digest(&info), file.version()));
        }
    }
}

fn path(name: &str) -> RemotePath {
    RemotePath::root().join(name.as_bytes()).unwrap()
}
