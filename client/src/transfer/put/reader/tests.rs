use super::super::walk::UploadWalk;
use super::*;
use crate::transfer::TransferOptions;
use crate::transfer::pool::{WorkPool, WorkShare};
use bytes::Bytes;
use sshome_delta::Index;
use sshome_wire::{Decoder, MAX_FRAME, Payload};
use std::fs::File;
use std::path::PathBuf;

fn manner() -> ReaderOptions {
    ReaderOptions {
        delta: None,
        divider: FileDivider::new(&Arc::default(), TransferOptions::default(), None),
        max_frame: MAX_FRAME as usize,
        max_requests: 2,
        preserve: false,
        skip: None,
        candidates: Arc::default(),
        settled: Arc::default(),
        progress: ProgressDisplay::new(false),
    }
}

fn items(path: &Path) -> UploadItems {
    let walk = UploadWalk::new(vec![(PathBuf::from(path), RemotePath::root())], TransferOptions::default());
    UploadItems::new(Arc::new(WorkShare::new(&Arc::new(WorkPool::new(walk)))))
}

/// The first message of a file, after the question that comes before it.
fn begun(messages: &mut mpsc::Receiver<UploadMessage>) -> bool {
    let Some(UploadMessage::Question { answer, .. }) = messages.blocking_recv() else { return false };
    answer
        .send(QuestionAnswer {
            status: Status::Done,
            payload: Payload::None,
            digests: vec![],
            parts: vec![],
            description: Index::default(),
            files: vec![],
        })
        .unwrap();
    matches!(messages.blocking_recv(), Some(UploadMessage::First { .. }))
}

fn end_of(bytes: Bytes) -> End {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    match decoder.next().unwrap() {
        Some(Frame::End(end)) => end,
        other => panic!("not an end: {other:?}"),
    }
}

#[test]
fn a_large_file_that_changes_ends_with_410() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    std::fs::write(&path, vec![1; 5 << 20]).unwrap();
    let (out, mut messages) = mpsc::channel(1);
    let items = items(&path);
    let reading = std::thread::spawn(move || read(items, manner(), DataCompressor::default(), out));
    assert!(begun(&mut messages));
    // The reader is at most three pieces ahead, and a quarter of the file has five.
    File::options().write(true).open(&path).unwrap().set_len(5 << 18).unwrap();
    let last = std::iter::from_fn(|| messages.blocking_recv()).last();
    let Some(UploadMessage::Last { bytes, failed: Some(failure), .. }) = last else { panic!("{last:?}") };
    assert_eq!((end_of(bytes).status, failure.status), (Status::Changed, Some(Status::Changed)));
    reading.join().unwrap();
}

#[test]
fn a_refused_file_is_not_read_any_further() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    std::fs::write(&path, vec![1; 5 << 20]).unwrap();
    let manner = manner();
    let settled = Arc::clone(&manner.settled);
    let (out, mut messages) = mpsc::channel(1);
    let items = items(&path);
    let reading = std::thread::spawn(move || read(items, manner, DataCompressor::default(), out));
    assert!(begun(&mut messages));
    settled.store(1, Ordering::Relaxed);
    assert!(std::iter::from_fn(|| messages.blocking_recv()).count() < 10);
    reading.join().unwrap();
}
