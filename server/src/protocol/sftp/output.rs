use super::buffer_pool::READ_BUFFERS;
use bytes::Bytes;
use sshome_wire::sftp::{DATA_HEAD, Response, ServerPacket, StatusCode, TooLong, data_head};

/// Packets are merged into chunks of about this many bytes: each chunk has a cost.
const CHUNK_BYTES: usize = 256 << 10;

/// A read of at least this many bytes gets a chunk of its own with exactly its length, which need not be zeroed first.
const MIN_OWN_CHUNK_BYTES: usize = 64 << 10;

/// The output of a slice: encoded packets.
#[derive(Default)]
pub(super) struct SftpOutput {
    chunks: Vec<Bytes>,
    current: Vec<u8>,
    /// A buffer for a large read. It is reused if the file has fewer bytes.
    large: Vec<u8>,
    length: usize,
}

impl SftpOutput {
    /// Bytes of output.
    pub(super) fn len(&self) -> usize {
        self.length + self.current.len()
    }

    /// Takes all output, in order.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.gather();
        self.length = 0;
        std::mem::take(&mut self.chunks)
    }

    pub(super) fn packet(&mut self, packet: &ServerPacket) {
        // This is a bug: packets are bounded where they are made.
        if let Err(error) = packet.encode(&mut self.current) {
            tracing::error!(%error, "an answer is too long to be sent");
        }
    }

    pub(super) fn respond(&mut self, id: u32, response: &Response) {
        if let Err(TooLong(length)) = response.encode(id, &mut self.current) {
            tracing::error!(length, "an answer is too long to be sent");
            let message = Bytes::from_static(b"the answer is too long to be sent");
            let short = Response::Status { code: StatusCode::Failure, message };
            // Without a reply the client would wait forever. This one always fits.
            let _fits = short.encode(id, &mut self.current);
        }
        if self.current.len() >= CHUNK_BYTES {
            self.gather();
        }
    }

    /// Adds a DATA packet of up to `most` bytes. `read` appends them to the buffer and returns their number. If there
    /// are none or it fails, nothing is added.
    pub(super) fn data<E>(
        &mut self,
        id: u32,
        most: usize,
        read: impl FnOnce(&mut Vec<u8>, usize) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let needed = DATA_HEAD + most;
        if most >= MIN_OWN_CHUNK_BYTES {
            if self.large.capacity() != needed {
                self.large = READ_BUFFERS.buffer(needed);
            }
            let result = put_data(&mut self.large, id, most, read);
            match self.large.len() {
                few if few < MIN_OWN_CHUNK_BYTES => self.current.append(&mut self.large),
                _ => {
                    self.gather();
                    let piece = std::mem::take(&mut self.large);
                    self.keep(piece);
                }
            }
            return result;
        }
        if self.current.capacity() - self.current.len() < needed {
            let before = std::mem::replace(&mut self.current, READ_BUFFERS.buffer(CHUNK_BYTES));
            self.keep(before);
        }
        put_data(&mut self.current, id, most, read)
    }

    fn gather(&mut self) {
        let piece = std::mem::take(&mut self.current);
        self.keep(piece);
    }

    fn keep(&mut self, piece: Vec<u8>) {
        if !piece.is_empty() {
            self.length += piece.len();
            let is_large = piece.capacity() >= MIN_OWN_CHUNK_BYTES;
            self.chunks.push(if is_large { READ_BUFFERS.share(piece) } else { Bytes::from(piece) });
        }
    }
}

/// Appends a DATA packet unless `read` returns nothing.
fn put_data<E>(
    out: &mut Vec<u8>,
    id: u32,
    most: usize,
    read: impl FnOnce(&mut Vec<u8>, usize) -> Result<usize, E>,
) -> Result<usize, E> {
    let start = out.len();
    out.extend_from_slice(&[0; DATA_HEAD]);
    let result = read(out, most);
    match &result {
        Ok(length) if *length > 0 => {
            if let Some(head) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
                *head = data_head(id, *length as u32);
            }
        }
        _ => out.truncate(start),
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::sftp::{Data, SftpDecoder};

    fn packets(chunks: Vec<Bytes>) -> Vec<ServerPacket> {
        let mut decoder = SftpDecoder::new();
        chunks.into_iter().for_each(|piece| decoder.push(piece));
        let next = || decoder.next().unwrap().map(|packet| ServerPacket::decode(packet).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn output_of_every_size_keeps_its_order() {
        let mut output = SftpOutput::default();
        let mut expected = Vec::new();
        let sizes = [
            1,
            4000,
            32768,
            MIN_OWN_CHUNK_BYTES - 1,
            MIN_OWN_CHUNK_BYTES,
            0,
            261_120,
            5,
            MIN_OWN_CHUNK_BYTES - 1,
            32768,
            32768,
            32768,
            7,
        ];
        for (id, size) in (0..).zip(sizes) {
            let read = |buffer: &mut Vec<u8>, most: usize| {
                assert_eq!(most, size);
                buffer.resize(buffer.len() + most, id as u8);
                Ok::<_, ()>(most)
            };
            assert_eq!(output.data(id, size, read), Ok(size));
            if size > 0 {
                let response = Response::Data(Data::from(Bytes::from(vec![id as u8; size])));
                expected.push(ServerPacket::Response { id, response });
            }
            let response = Response::Handle(Bytes::from_static(b"h"));
            output.respond(id, &response);
            expected.push(ServerPacket::Response { id, response });
        }
        let refused = |buffer: &mut Vec<u8>, _| {
            buffer.push(1);
            Err("the disk")
        };
        for most in [10, MIN_OWN_CHUNK_BYTES] {
            assert_eq!(output.data(99, most, refused), Err("the disk"));
        }
        // More is requested than there is.
        let few = |buffer: &mut Vec<u8>, _| {
            buffer.extend_from_slice(b"few");
            Ok::<_, ()>(3)
        };
        assert_eq!(output.data(98, MIN_OWN_CHUNK_BYTES, few), Ok(3));
        let response = Response::Data(Data::from(Bytes::from_static(b"few")));
        expected.push(ServerPacket::Response { id: 98, response });
        let length = output.len();
        let chunks = output.take();
        assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), length);
        assert!(packets(chunks) == expected);
        assert_eq!(output.len(), 0);
        assert!(output.take().is_empty());
    }

    #[test]
    fn an_answer_that_is_too_long_is_replaced_by_a_failure() {
        let mut output = SftpOutput::default();
        output.respond(7, &Response::Extended(Bytes::from(vec![0; 300 << 10])));
        let packets = packets(output.take());
        let [ServerPacket::Response { id: 7, response: Response::Status { code, .. } }] = &packets[..] else {
            panic!("{packets:?}")
        };
        assert_eq!(*code, StatusCode::Failure);
    }
}
