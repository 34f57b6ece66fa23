use super::*;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const SIZE: u64 = 2 * BLOCK_BYTES + 9;

/// What a sink has been told.
#[derive(Debug, Default)]
struct Told {
    /// The offset of each write, and its first byte.
    writes: Mutex<Vec<(u64, u8)>>,
    kept: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct FakeSink(Arc<Told>, RemotePath);

impl BlockSink for FakeSink {
    fn logged_path(&self) -> &RemotePath {
        &self.1
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> StoreResult<()> {
        self.0.writes.lock().unwrap().push((offset, data[0]));
        Ok(())
    }

    fn keep_on_drop(&self, bytes: u64) {
        self.0.kept.store(bytes, SeqCst);
    }

    fn finish(self: Box<Self>, digest: Digest) -> StoreResult<PublishItem> {
        Ok(PublishItem::new(self.1.clone(), SIZE, Some(digest), ()))
    }
}

impl Drop for FakeSink {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

fn begin(kept: Vec<Digest>) -> (Arc<BlockUpload>, Arc<Told>) {
    let told = Arc::<Told>::default();
    let sink = FakeSink(Arc::clone(&told), RemotePath::root());
    (BlockUpload::new(Box::new(sink), &RemotePath::root(), SIZE, kept), told)
}

fn block(number: u64, byte: u8) -> (Vec<u8>, Digest) {
    let bytes = vec![byte; usize::try_from(BLOCK_BYTES.min(SIZE - number * BLOCK_BYTES)).unwrap()];
    let mut hasher = BlockHasher::at(number);
    hasher.update(&bytes);
    (bytes, hasher.subtrees()[0])
}

fn write(upload: &Arc<BlockUpload>, number: u64, byte: u8) -> StoreResult<()> {
    let mut writer = upload.begin_block(number)?;
    for piece in block(number, byte).0.chunks(1_000_000) {
        writer.write(piece)?;
    }
    Ok(())
}

fn digest_of(bytes: [u8; 3]) -> Digest {
    let digests = (0..).zip(bytes).map(|(number, byte)| block(number, byte).1).collect();
    BlockHasher::after(digests).finish()
}

fn is_ended<T>(result: StoreResult<T>) -> bool {
    matches!(result, Err(StoreError::UploadEnded(_)))
}

fn is_mismatch<T>(result: StoreResult<T>) -> bool {
    matches!(result, Err(StoreError::Mismatch { .. }))
}

#[test]
fn blocks_arrive_in_any_order() {
    let (upload, told) = begin(Vec::new());
    write(&upload, 2, 2).unwrap();
    assert_eq!(told.kept.load(SeqCst), 0, "the last block is not whole");
    write(&upload, 0, 0).unwrap();
    assert_eq!(told.kept.load(SeqCst), BLOCK_BYTES);
    assert!(is_mismatch(upload.finish(digest_of([0, 1, 2]))), "a block is missing");
    write(&upload, 1, 1).unwrap();
    upload.finish(digest_of([0, 1, 2])).unwrap();
    assert!(is_ended(upload.finish(digest_of([0, 1, 2]))), "only once");
    assert!(is_ended(upload.begin_block(0)));
}

#[test]
fn kept_blocks_count_unless_they_arrive_anew() {
    let (upload, told) = begin(vec![block(0, 0).1, block(1, 1).1]);
    assert_eq!(told.kept.load(SeqCst), 2 * BLOCK_BYTES);
    write(&upload, 2, 2).unwrap();
    write(&upload, 1, 7).unwrap();
    upload.finish(digest_of([0, 7, 2])).unwrap();
    // One that begins to arrive and does not is missing.
    let (upload, told) = begin(vec![block(0, 0).1, block(1, 1).1]);
    write(&upload, 2, 2).unwrap();
    let mut writer = upload.begin_block(1).unwrap();
    writer.write(b"x").unwrap();
    drop(writer);
    assert!(is_mismatch(upload.finish(digest_of([0, 1, 2]))));
    drop(upload);
    assert_eq!((told.dropped.load(SeqCst), told.kept.load(SeqCst)), (1, BLOCK_BYTES));
}

#[test]
fn a_block_is_written_once_and_compared_when_it_arrives_again() {
    let (upload, told) = begin(Vec::new());
    write(&upload, 0, 0).unwrap();
    let writes = told.writes.lock().unwrap().len();
    write(&upload, 0, 0).unwrap();
    assert!(is_mismatch(write(&upload, 0, 1)));
    assert_eq!(told.writes.lock().unwrap().len(), writes);
    write(&upload, 1, 1).unwrap();
    write(&upload, 2, 2).unwrap();
    upload.finish(digest_of([0, 1, 2])).unwrap();
}

#[test]
fn the_latest_writer_of_a_block_has_it() {
    let (upload, told) = begin(Vec::new());
    let mut first = upload.begin_block(0).unwrap();
    first.write(&[1; 10]).unwrap();
    let mut second = upload.begin_block(0).unwrap();
    assert!(is_ended(first.write(&[1; 10])));
    // The end of the first does not concern the second.
    drop(first);
    assert!(!second.write(&vec![2; BLOCK_BYTES as usize - 1]).unwrap());
    assert!(second.write(&[2]).unwrap());
    let writes = told.writes.lock().unwrap().clone();
    assert_eq!(writes, [(0, 1), (0, 2), (BLOCK_BYTES - 1, 2)]);
    write(&upload, 1, 1).unwrap();
    write(&upload, 2, 2).unwrap();
    upload.finish(digest_of([2, 1, 2])).unwrap();
}

#[test]
fn nothing_is_written_after_the_end() {
    for discard in [false, true] {
        let (upload, told) = begin(Vec::new());
        write(&upload, 0, 0).unwrap();
        let mut writer = upload.begin_block(1).unwrap();
        writer.write(&[1; 10]).unwrap();
        if discard {
            upload.discard();
        } else {
            upload.end();
        }
        let writes = told.writes.lock().unwrap().len();
        assert_eq!(told.dropped.load(SeqCst), 1);
        assert_eq!(told.kept.load(SeqCst), if discard { 0 } else { BLOCK_BYTES });
        assert!(is_ended(writer.write(&[1; 10])) && is_ended(write(&upload, 2, 2)));
        assert_eq!(told.writes.lock().unwrap().len(), writes);
    }
}

#[test]
fn a_wrong_digest_and_what_is_beyond_the_end_are_refused() {
    let (upload, told) = begin(Vec::new());
    assert!(is_mismatch(upload.begin_block(3)) && is_mismatch(upload.begin_block(u64::MAX)));
    assert!(is_mismatch(upload.begin_block(2).unwrap().write(&[0; 10])));
    assert!(is_mismatch(upload.begin_block(0).unwrap().write(&vec![0; BLOCK_BYTES as usize + 1])));
    for number in 0..3 {
        write(&upload, number, 0).unwrap();
    }
    assert!(is_mismatch(upload.finish(digest_of([0, 1, 0]))));
    assert_eq!((told.dropped.load(SeqCst), told.kept.load(SeqCst)), (1, 0), "nothing is kept");
}

#[test]
fn memory_is_used_for_blocks_that_arrive_and_not_for_what_was_announced() {
    let sink = FakeSink(Arc::default(), RemotePath::root());
    let upload = BlockUpload::new(Box::new(sink), &RemotePath::root(), u64::MAX, Vec::new());
    let last = upload.block_count() - 1;
    assert_eq!(last, u64::MAX / BLOCK_BYTES);
    assert!(!upload.begin_block(last).unwrap().write(b"x").unwrap());
    assert!(is_mismatch(upload.begin_block(last + 1)) && is_mismatch(upload.finish(Digest([0; 32]))));
}
