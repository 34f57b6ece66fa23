//! The thread that reads a stream and hashes it.

use super::ExpectedContent;
use crate::transfer::Failure;
use bytes::Bytes;
use sshome_wire::frame::{HEADER_BYTES, data_head};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, End, RemotePath, Status};
use std::io::{self, Read};
use tokio::sync::mpsc;

/// A part of the stream.
#[derive(Debug)]
pub(super) enum StreamMessage {
    /// A data frame that does not cross a block boundary, and the digests of the blocks that it completes.
    Piece { frame: Bytes, blocks: Vec<Digest> },
    /// The end, and the reason if nothing is to be published.
    Last { end: End, failed: Option<Failure> },
}

/// Reads to the end, or until the receiver has ended. No frame is longer than `max_frame`, counted from the kind on.
pub(super) fn read(
    mut input: impl Read,
    to: &RemotePath,
    max_frame: usize,
    expected: ExpectedContent,
    out: &mpsc::Sender<StreamMessage>,
) {
    let mut hasher = BlockHasher::new();
    let mut buffer = vec![0; HEADER_BYTES + max_frame.saturating_sub(1).max(1)];
    let failed = loop {
        let room = BLOCK_BYTES - hasher.length() % BLOCK_BYTES;
        let end = buffer.len().min(HEADER_BYTES + usize::try_from(room).unwrap_or(usize::MAX));
        let read = match input.read(buffer.get_mut(HEADER_BYTES..end).unwrap_or_default()) {
            Ok(0) => break mismatch(&hasher, expected),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Some((Status::Failed, format!("standard input cannot be read: {error}"))),
        };
        let before = hasher.blocks().len();
        hasher.update(buffer.get(HEADER_BYTES..HEADER_BYTES + read).unwrap_or_default());
        if expected.size.is_some_and(|size| hasher.length() > size) {
            break Some((Status::DigestMismatch, differs(&hasher, expected)));
        }
        if let Some(head) = buffer.first_chunk_mut::<HEADER_BYTES>() {
            *head = data_head(u32::try_from(read).unwrap_or(0));
        }
        let frame = Bytes::copy_from_slice(buffer.get(..HEADER_BYTES + read).unwrap_or_default());
        let blocks = hasher.blocks().get(before..).unwrap_or_default().to_vec();
        if out.blocking_send(StreamMessage::Piece { frame, blocks }).is_err() {
            return;
        }
    };
    let (status, message) = match &failed {
        None => (Status::Done, String::new()),
        Some((status, _)) => (*status, "the client abandons the stream".to_owned()),
    };
    let end = End { status, message, digest: hasher.finish(), size: hasher.length() };
    let failed = failed.map(|(_, why)| Failure::of(to.as_bytes(), why));
    // The receiver has ended if the transfer has.
    let _ = out.blocking_send(StreamMessage::Last { end, failed });
}

/// Why the content differs from the expected one.
fn mismatch(hasher: &BlockHasher, expected: ExpectedContent) -> Option<(Status, String)> {
    let other_size = expected.size.is_some_and(|size| size != hasher.length());
    let other_digest = expected.digest.is_some_and(|digest| digest != hasher.finish());
    (other_size || other_digest).then(|| (Status::DigestMismatch, differs(hasher, expected)))
}

fn differs(hasher: &BlockHasher, expected: ExpectedContent) -> String {
    let length = hasher.length();
    match expected.size {
        Some(size) if length < size => {
            format!("standard input ended after {length} of {size} bytes; nothing was published")
        }
        Some(size) if length > size => {
            format!("standard input has more than {size} bytes; nothing was published")
        }
        _ => {
            let digest = hasher.finish();
            format!("the BLAKE3 of standard input is {digest}, not that of --b3; nothing was published")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of the reader: the data of frames, the blocks, and the end.
    fn made(
        input: impl Read + Send + 'static,
        expected: ExpectedContent,
    ) -> (Vec<u8>, Vec<Digest>, End, Option<Failure>) {
        let (out, mut messages) = mpsc::channel(2);
        let reading = std::thread::spawn(move || read(input, &RemotePath::root(), 100_000, expected, &out));
        let (mut data, mut digests) = (Vec::new(), Vec::new());
        loop {
            match messages.blocking_recv().unwrap() {
                StreamMessage::Piece { frame, blocks } => {
                    let at = data.len() as u64;
                    data.extend_from_slice(&frame[HEADER_BYTES..]);
                    assert_eq!(
                        at / BLOCK_BYTES,
                        (data.len() as u64 - 1) / BLOCK_BYTES,
                        "a piece reaches over a border"
                    );
                    digests.extend(blocks);
                }
                StreamMessage::Last { end, failed } => {
                    reading.join().unwrap();
                    return (data, digests, end, failed);
                }
            }
        }
    }

    #[test]
    fn a_stream_is_split_into_blocks_and_digested() {
        let content = vec![3; 2 * BLOCK_BYTES as usize + 1];
        let (data, digests, end, failed) = made(io::Cursor::new(content.clone()), ExpectedContent::default());
        assert!(data == content && failed.is_none());
        assert_eq!((end.size, end.digest.0), (content.len() as u64, *blake3::hash(&content).as_bytes()));
        let mut hasher = BlockHasher::new();
        hasher.update(&content);
        assert_eq!(digests, hasher.blocks());
    }

    #[test]
    fn an_unexpected_length_or_digest_is_an_error() {
        let digest = |content: &[u8]| Some(Digest(*blake3::hash(content).as_bytes()));
        for (size, b3, words) in [
            (Some(3), digest(b"abc"), None),
            (Some(4), None, Some("ended after 3 of 4 bytes")),
            (Some(2), digest(b"abc"), Some("more than 2 bytes")),
            (None, digest(b"abd"), Some("not that of --b3")),
            (Some(3), digest(b"abd"), Some("not that of --b3")),
        ] {
            let (_, _, end, failed) = made(&b"abc"[..], ExpectedContent { size, digest: b3 });
            assert_eq!(end.status.is_error(), words.is_some());
            assert_eq!(failed.is_some(), words.is_some());
            assert!(failed.is_none_or(|failed| failed.why.contains(words.unwrap())));
        }
    }

    #[test]
    fn a_read_error_is_not_the_end_of_the_input() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::IsADirectory.into())
            }
        }
        let (data, _, end, failed) = made((&b"abc"[..]).chain(Failing), ExpectedContent::default());
        assert_eq!((data, end.status), (b"abc".to_vec(), Status::Failed));
        assert!(failed.unwrap().why.contains("cannot be read"));
    }
}
