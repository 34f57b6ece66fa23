use super::model::Model;
use super::*;
use sshome_wire::Features;
use std::sync::atomic::{AtomicI64, Ordering};

/// Counts the bytes that are shown as transferred.
#[derive(Debug, Default)]
struct ByteCounter(AtomicI64);

impl ByteCounter {
    fn add(&self, bytes: u64) {
        self.0.fetch_add(i64::try_from(bytes).unwrap(), Ordering::Relaxed);
    }
}

impl Observer for ByteCounter {
    fn begin(&self, _: u64, _: Option<u64>) {}
    fn grow(&self, _: u64, _: Option<u64>) {}
    fn advance(&self, bytes: u64) {
        self.add(bytes);
    }
    fn resume_at(&self, _: &[u8], offset: u64) {
        self.add(offset);
    }
    fn rewind(&self, bytes: u64) {
        self.0.fetch_sub(i64::try_from(bytes).unwrap(), Ordering::Relaxed);
    }
    fn done(&self, _: &FinishedFile<'_>) {}
    fn linked(&self, _: &FinishedLink<'_>) {}
    fn retry(&self, _: &Retry<'_>) {}
}

#[tokio::test]
async fn a_file_whose_delta_fails_counts_once() {
    let options = TransferOptions { delta: Delta::Always, ..FORCE };
    let (old, new) = (content(2 << 20), [&content(3 << 20)[..], b"new"].concat());
    // The old version has changed; the result is wrong.
    for failure in [Status::Changed, Status::DigestMismatch] {
        let mut model = Model::with(&[("/f", &old), ("/g", b"small")]);
        (model.features, model.deltas) = (Features::DELTA, failure);
        let mut world = World::with(&model).await;
        let counter = Arc::new(ByteCounter::default());
        world.progress = ProgressDisplay::new(false).observed_by(Arc::clone(&counter) as Arc<dyn Observer>);
        world.write("f", &new);
        world.write("g", b"small");
        let summary = world.put(&["f", "g"], "/", options).await.unwrap();
        assert_eq!((summary.files, summary.failures.count()), (2, 0), "{failure}");
        assert!(model.file("/f").unwrap() == new);
        let shown = || counter.0.swap(0, Ordering::Relaxed);
        assert_eq!(shown(), new.len() as i64 + 5, "put: {failure}");
        world.write("f", &old);
        world.write("g", b"old");
        let summary = world.get(&["/f", "/g"], "", options).await.unwrap();
        assert_eq!((summary.files, summary.failures.count()), (2, 0), "{failure}");
        assert!(world.read("f") == new);
        assert_eq!(shown(), new.len() as i64 + 5, "get: {failure}");
        assert_eq!(*model.failed_deltas.lock().unwrap(), 2);
    }
}
