//! The thread that writes a file to the output and hashes it.

use bytes::Bytes;
use sshome_wire::BlockHasher;
use std::io::{self, Write};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;

/// The largest number of chunks, of at most 64 KiB, that wait to be written.
const WRITE_QUEUE_CHUNKS: usize = 16;

/// The output, and the digest of the bytes written so far.
pub(super) struct OutputWriter {
    output: Box<dyn Write + Send>,
    pub(super) hasher: BlockHasher,
    /// Whether writing has failed.
    pub(super) state: io::Result<()>,
}

impl OutputWriter {
    pub(super) fn new(output: Box<dyn Write + Send>) -> OutputWriter {
        OutputWriter { output, hasher: BlockHasher::new(), state: Ok(()) }
    }

    /// Writes chunks on its own thread, until there are no more or writing fails.
    pub(super) fn start(self) -> (mpsc::Sender<Bytes>, JoinHandle<OutputWriter>) {
        let (pieces, queue) = mpsc::channel(WRITE_QUEUE_CHUNKS);
        (pieces, tokio::task::spawn_blocking(move || self.run(queue)))
    }

    fn run(mut self, mut queue: Receiver<Bytes>) -> OutputWriter {
        self.state = self.write_all(&mut queue);
        self
    }

    fn write_all(&mut self, queue: &mut Receiver<Bytes>) -> io::Result<()> {
        loop {
            let piece = match queue.try_recv() {
                Ok(piece) => piece,
                Err(TryRecvError::Disconnected) => return self.output.flush(),
                Err(TryRecvError::Empty) => {
                    // There is a pause: the reader gets all bytes so far.
                    self.output.flush()?;
                    match queue.blocking_recv() {
                        Some(piece) => piece,
                        None => return Ok(()),
                    }
                }
            };
            self.output.write_all(&piece)?;
            self.hasher.update(&piece);
        }
    }
}
