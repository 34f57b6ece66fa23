//! The memory that frames take while they wait.

use sshome_wire::Frame;

/// The memory cost of a waiting frame, in bytes. A client may send many small ones.
pub(super) fn cost(frame: &Frame) -> usize {
    let body = match frame {
        Frame::Data(data) => data.len(),
        // It is decompressed only when it is written.
        Frame::CompressedData(data) => data.zstd().len(),
        Frame::Request(request) => request.weight(),
        Frame::End(end) => end.message.len(),
        Frame::Blocks(blocks) => size_of_val(blocks.digests.as_slice()),
        Frame::Description(description) => size_of_val(description.chunks.as_slice()),
        _ => 0,
    };
    size_of::<Frame>() + body
}
