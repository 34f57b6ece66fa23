use bytes::{Bytes, BytesMut};
use sshome_ssh::{CompressionMode, DataCompressor, LinkMeter};
use sshome_wire::frame::{DATA_BYTES, HEADER_BYTES, data_head};
use sshome_wire::{
    Blocks, Digest, End, Features, Frame, FrameError, Header, Hello, RangeHeader, Reply, Status,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Data shorter than this is merged with its neighbours, in bytes: a packet of its own costs more than the copy.
const MIN_OWN_CHUNK_BYTES: usize = 16 << 10;

/// The output of one step of a get, in bytes: small enough to be in the processor's cache when it is sent.
pub(super) const GET_STEP_BYTES: usize = 512 << 10;

/// The output of a slice: encoded frames.
#[derive(Default)]
pub(super) struct NativeOutput {
    chunks: Vec<Bytes>,
    small: BytesMut,
    length: usize,
    /// Whether the client understands [`Status::Protected`].
    has_protected: bool,
    /// Whether a file is being sent: its header was sent, and its end was not.
    sends_file: bool,
    compressor: DataCompressor,
    link: LinkMeter,
    /// Bytes that compression saved.
    saved: Arc<AtomicU64>,
}

impl NativeOutput {
    /// The output of a connection over this link.
    pub(super) fn new(link: LinkMeter) -> NativeOutput {
        NativeOutput { link, ..NativeOutput::default() }
    }

    /// Bytes of output.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Takes all output, in order.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.gather();
        self.length = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Takes how many bytes compression saved since the last call.
    pub(super) fn take_saved(&mut self) -> u64 {
        self.saved.swap(0, Ordering::Relaxed)
    }

    /// Records what the client understands.
    pub(super) fn announce(&mut self, hello: &Hello) {
        self.has_protected = hello.features.has(Features::KEY_ACCESS);
        let mode = CompressionMode::of_client(hello.features);
        let max_frame = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        self.compressor = DataCompressor::new(mode, max_frame, self.link.clone(), Arc::clone(&self.saved));
    }

    pub(super) fn reply(&mut self, mut reply: Reply) {
        if reply.status == Status::Protected && !self.has_protected {
            reply.status = Status::PermissionDenied;
        }
        self.frame(&Frame::Reply(reply));
    }

    /// Begins a file.
    pub(super) fn header(&mut self, header: Header) {
        self.sends_file = true;
        self.frame(&Frame::Header(header));
    }

    /// Begins a range of a file.
    pub(super) fn range_header(&mut self, header: RangeHeader) {
        self.sends_file = true;
        self.frame(&Frame::RangeHeader(header));
    }

    /// Ends a file.
    pub(super) fn end(&mut self, end: End) {
        self.sends_file = false;
        self.frame(&Frame::End(end));
    }

    /// Refuses or cancels a request. If its file is being sent, the client discards the data that it has.
    pub(super) fn fail(&mut self, status: Status, message: String) {
        match self.sends_file {
            true => self.end(End { status, message, digest: Digest([0; 32]), size: 0 }),
            false => self.reply(Reply::new(status, message)),
        }
    }

    /// Sends block digests, split into frames.
    pub(super) fn blocks(&mut self, digests: &[Digest]) {
        for digests in digests.chunks(Blocks::MAX_PER_FRAME) {
            self.frame(&Frame::Blocks(Blocks { digests: digests.to_vec() }));
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame) {
        let before = self.small.len();
        if let Err(FrameError::Unsendable(kind)) = frame.encode(&mut self.small) {
            // This is a bug: frames are bounded where they are made. But without a reply the client would wait forever.
            tracing::error!(?kind, "a frame is too long to be sent");
            let short = Frame::Reply(Reply::new(Status::Failed, "the answer is too long to be sent"));
            let _always_fits = short.encode(&mut self.small);
        }
        self.length += self.small.len() - before;
    }

    /// A buffer for the frame's head and up to `length` bytes of data, limited to the size of one frame, and to `most` if that
    /// is more than a short one.
    pub(super) fn data_buffer(&self, length: u64, most: usize) -> Vec<u8> {
        let longest = self.compressor.data_bytes().min(most.max(DATA_BYTES));
        let length = usize::try_from(length).unwrap_or(longest).min(longest);
        let mut buffer = Vec::with_capacity(HEADER_BYTES + length);
        buffer.extend_from_slice(&[0; HEADER_BYTES]);
        buffer
    }

    /// Adds a frame of data, compressed if that pays off. `buffer` begins with room for the frame's head, see
    /// [`data_buffer`](NativeOutput::data_buffer).
    pub(super) fn data(&mut self, mut buffer: Vec<u8>) {
        let head = data_head((buffer.len() - HEADER_BYTES.min(buffer.len())) as u32);
        if let Some(room) = buffer.first_chunk_mut::<HEADER_BYTES>() {
            *room = head;
        }
        let buffer = self.compressor.frame(buffer);
        self.length += buffer.len();
        if buffer.len() < MIN_OWN_CHUNK_BYTES {
            self.small.extend_from_slice(&buffer);
        } else {
            self.gather();
            self.chunks.push(Bytes::from(buffer));
        }
    }

    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push(self.small.split().freeze());
        }
    }
}
