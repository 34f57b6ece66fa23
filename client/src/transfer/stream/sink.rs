//! The thread that puts a file out and digests it.

use bytes::Bytes;
use sshome_wire::BlockHasher;
use std::io::{self, Write};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;

/// How many pieces, of 64 KiB at most, may wait to be put out.
const WRITE_QUEUE_CHUNKS: usize = 16;

/// Where a file is put out, and the digest of what was put out already.
pub(super) struct OutputWriter {
    output: Box<dyn Write + Send>,
    pub(super) hasher: BlockHasher,
    /// Whether it still takes something.
    pub(super) state: io::Result<()>,
}

impl OutputWriter {
    pub(super) fn new(output: Box<dyn Write + Send>) -> OutputWriter {
        OutputWriter { output, hasher: BlockHasher::new(), state: Ok(()) }
    }

    /// Puts out what comes, on a thread of its own, until no more comes or nobody takes it.
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
                    // Nothing more comes for a while: whoever reads is to have what there is.
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
