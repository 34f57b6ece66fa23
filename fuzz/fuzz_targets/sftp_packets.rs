//! Any bytes, in any pieces, into the decoder of SFTP's packets, as requests and as answers. It must not panic, and
//! must not hold more than its input. The sizes of the pieces must not matter. A decoded packet must be the same after
//! it was encoded and decoded again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sshome_wire::sftp::{ClientPacket, Malformed, PacketError, ServerPacket, SftpDecoder};

type Packets<T> = (Vec<Result<T, Malformed>>, Option<PacketError>);

// The first byte is the number of sizes of pieces that follow it; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let (sizes, stream) = rest.split_at(usize::from(count % 8).min(rest.len()));
    let requests = decode(stream, sizes, ClientPacket::decode);
    assert_eq!(requests, decode(stream, &[], ClientPacket::decode));
    for request in requests.0.into_iter().flatten() {
        let mut again = Vec::new();
        request.encode(&mut again).expect("what fitted into a packet fits again");
        assert_eq!(decode(&again, sizes, ClientPacket::decode), (vec![Ok(request)], None));
    }
    let answers = decode(stream, sizes, ServerPacket::decode);
    assert_eq!(answers, decode(stream, &[], ServerPacket::decode));
    for answer in answers.0.into_iter().flatten() {
        let mut again = Vec::new();
        // Encoding adds a language to a status, so it may become longer than a packet.
        if answer.encode(&mut again).is_ok() {
            assert_eq!(decode(&again, sizes, ServerPacket::decode), (vec![Ok(answer)], None));
        }
    }
});

/// The packets of `stream` up to the first error of the stream. It is pushed in pieces of these sizes, repeatedly, or
/// in one piece if there are none.
fn decode<T>(
    stream: &[u8],
    sizes: &[u8],
    read: impl Fn(sshome_wire::sftp::Packet) -> Result<T, Malformed>,
) -> Packets<T> {
    let mut decoder = SftpDecoder::new();
    let mut packets = Vec::new();
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            assert!(decoder.buffered() <= stream.len() - rest.len());
            match decoder.next() {
                Ok(Some(packet)) => packets.push(read(packet)),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}
