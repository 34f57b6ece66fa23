//! The packets of SFTP from outside: byte by byte, cut in every way, and at random.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a failure is the test failing

mod extensions;
mod requests;
mod responses;
mod roundtrip;
mod stream;

use bytes::Bytes;
use sshome_wire::sftp::{
    ClientPacket, Flaw, Malformed, Packet, Response, ServerPacket, SftpDecoder, SftpRequest,
};

/// Every request in these tests has this id.
const ID: u32 = 0x0102_0304;

fn sent(packet: &ClientPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out).unwrap();
    out
}

fn answered(packet: &ServerPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out).unwrap();
    out
}

/// The one packet of a stream, or none if more is waited for.
fn packet(stream: &[u8]) -> Option<Packet> {
    let mut decoder = SftpDecoder::new();
    decoder.push(Bytes::copy_from_slice(stream));
    let packet = decoder.next().unwrap();
    assert!(decoder.next().unwrap().is_none());
    packet
}

/// A stream of one packet of this kind and id, and `body` as it is.
fn packed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 5;
    [&length.to_be_bytes()[..], &[kind, 1, 2, 3, 4], body].concat()
}

/// The request is encoded as exactly these bytes after its id, and they decode to it. An incomplete packet waits for
/// more. A body without its last byte is refused. A body with more bytes at its end means the same, as for OpenSSH.
#[track_caller]
fn is_request(request: SftpRequest, body: &[u8]) {
    let kind = request.kind();
    let wire = packed(kind, body);
    let whole = ClientPacket::Request { id: ID, request };
    assert_eq!(sent(&whole), wire, "as it travels");
    for more in [&b""[..], b"\0", b"and more"] {
        let long = packed(kind, &[body, more].concat());
        assert_eq!(ClientPacket::decode(packet(&long).unwrap()).as_ref(), Ok(&whole), "and {more:?}");
    }
    for end in 0..wire.len() {
        assert!(packet(&wire[..end]).is_none(), "cut after {end} bytes");
    }
    let refused = |flaw| Err(Malformed { kind, id: Some(ID), flaw });
    for end in 0..body.len() {
        let short = ClientPacket::decode(packet(&packed(kind, &body[..end])).unwrap());
        assert_eq!(short, refused(Flaw::Short), "a body of {end} bytes");
    }
}

/// The same of a response.
#[track_caller]
fn is_response(response: Response, kind: u8, body: &[u8]) {
    let wire = packed(kind, body);
    let whole = ServerPacket::Response { id: ID, response };
    assert_eq!(answered(&whole), wire, "as it travels");
    assert_eq!(ServerPacket::decode(packet(&wire).unwrap()), Ok(whole));
    let refused = |flaw| Err(Malformed { kind, id: Some(ID), flaw });
    for end in 0..body.len() {
        let short = ServerPacket::decode(packet(&packed(kind, &body[..end])).unwrap());
        assert_eq!(short, refused(Flaw::Short), "a body of {end} bytes");
    }
    let long = packed(kind, &[body, &[0]].concat());
    assert_eq!(ServerPacket::decode(packet(&long).unwrap()), refused(Flaw::Trailing), "a byte too many");
}

fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
