//! The stream: cut anywhere, too long, broken; and what the decoder holds of it.

use super::{b, sent};
use bytes::Bytes;
use sshome_wire::sftp::{ClientPacket, MAX_PACKET, PacketError, SftpDecoder, SftpRequest};

fn requests() -> Vec<ClientPacket> {
    let data: Vec<u8> = (0..600_u32).map(|n| n as u8).collect();
    let requests = [
        SftpRequest::Stat { path: b("/some/file") },
        SftpRequest::Write { handle: b("h"), offset: 7, data: Bytes::from(data).into() },
        SftpRequest::Write { handle: b("h"), offset: 8, data: Bytes::new().into() },
        SftpRequest::Close { handle: b("h") },
    ];
    let init = ClientPacket::Init { version: 3, extensions: Vec::new() };
    let numbered = (1..).zip(requests).map(|(id, request)| ClientPacket::Request { id, request });
    [init].into_iter().chain(numbered).collect()
}

fn stream() -> Bytes {
    requests().iter().flat_map(sent).collect::<Vec<_>>().into()
}

fn drain(decoder: &mut SftpDecoder) -> Vec<ClientPacket> {
    std::iter::from_fn(|| decoder.next().unwrap())
        .map(|packet| ClientPacket::decode(packet).unwrap())
        .collect()
}

#[test]
fn pieces_of_every_size_give_the_same_packets() {
    let stream = stream();
    for size in 1..=stream.len() {
        let mut decoder = SftpDecoder::new();
        let mut packets = Vec::new();
        for piece in stream.chunks(size) {
            decoder.push(Bytes::copy_from_slice(piece));
            packets.extend(drain(&mut decoder));
        }
        assert!(decoder.at_boundary(), "pieces of {size}");
        assert_eq!(packets, requests(), "pieces of {size}");
    }
}

#[test]
fn is_ready_predicts_whether_next_returns_anything() {
    let mut decoder = SftpDecoder::new();
    assert!(!decoder.is_ready());
    for byte in stream() {
        decoder.push(Bytes::from(vec![byte]));
        let ready = decoder.is_ready();
        assert_eq!(ready, decoder.next().unwrap().is_some());
    }
    decoder.push(Bytes::from_static(&[0; 4]));
    assert!(decoder.is_ready());
    assert_eq!(decoder.next().unwrap_err(), PacketError::Empty);
    assert!(decoder.is_ready());
}

#[test]
fn a_stream_may_end_only_between_packets() {
    let mut ends = vec![0];
    for request in requests() {
        ends.push(ends[ends.len() - 1] + sent(&request).len());
    }
    let stream = stream();
    for end in 0..=stream.len() {
        let mut decoder = SftpDecoder::new();
        decoder.push(stream.slice(..end));
        drain(&mut decoder);
        assert_eq!(decoder.at_boundary(), ends.contains(&end), "cut after {end} bytes");
    }
}

#[test]
fn data_are_returned_without_a_copy() {
    let stream = stream();
    let mut decoder = SftpDecoder::new();
    for piece in [stream.slice(..100), stream.slice(100..)] {
        decoder.push(piece);
    }
    let packets = drain(&mut decoder);
    let Some(ClientPacket::Request { request: SftpRequest::Write { data, .. }, .. }) = packets.get(2) else {
        panic!("{packets:?}")
    };
    let pieces: Vec<&Bytes> = data.pieces().collect();
    assert_eq!(pieces.len(), 2);
    let within = stream.as_ptr_range();
    assert!(pieces.iter().all(|piece| within.contains(&piece.as_ptr())));
}

#[test]
fn the_decoder_holds_pushed_bytes_less_those_handed_out() {
    let stream = stream();
    let mut decoder = SftpDecoder::new();
    let mut handed_out = 0;
    for (at, byte) in stream.iter().enumerate() {
        decoder.push(Bytes::copy_from_slice(&[*byte]));
        handed_out += drain(&mut decoder).iter().map(|packet| sent(packet).len()).sum::<usize>();
        let waiting = at + 1 - handed_out;
        // The length of a packet that is waited for has been read.
        assert_eq!(decoder.buffered(), if waiting < 4 { waiting } else { waiting - 4 });
        assert_eq!(decoder.pieces(), decoder.buffered());
    }
    assert!(decoder.at_boundary());
}

#[test]
fn a_length_over_the_limit_ends_the_stream() {
    let longest = MAX_PACKET.to_be_bytes();
    let mut decoder = SftpDecoder::new();
    decoder.push(Bytes::copy_from_slice(&longest));
    assert!(decoder.next().unwrap().is_none());
    for (length, error) in [
        (MAX_PACKET + 1, PacketError::TooLong(MAX_PACKET + 1)),
        (u32::MAX, PacketError::TooLong(u32::MAX)),
        (0, PacketError::Empty),
    ] {
        let mut decoder = SftpDecoder::new();
        decoder.push(Bytes::copy_from_slice(&length.to_be_bytes()));
        assert_eq!(decoder.next().unwrap_err(), error);
        // What follows is never taken for a packet.
        decoder.push(stream());
        assert_eq!(decoder.next().unwrap_err(), error);
        assert!(!decoder.at_boundary());
    }
}
