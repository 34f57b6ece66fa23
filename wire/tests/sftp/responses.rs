//! Each response, a field a line.

use super::{ID, answered, b, is_response, packet};
use bytes::Bytes;
use sshome_wire::sftp::{
    CheckedFile, Extension, MAX_DATA, MAX_PACKET, Response, ServerPacket, SftpAttributes, SftpLimits,
    SftpName, StatusCode, Statvfs, TooLong, UsersGroups, Vendor, data_head,
};

#[test]
fn version() {
    let vendor = Vendor { vendor: b("v"), product: b("p"), version: b("1"), build: 2 };
    let extensions = vec![Extension { name: b("a"), data: b("b") }, vendor.announced()];
    let version = ServerPacket::Version { version: 3, extensions };
    let wire = [
        &[
            0, 0, 0, 55, 2, // length, kind
            0, 0, 0, 3, // version
            0, 0, 0, 1, b'a', 0, 0, 0, 1, b'b', // an extension
            0, 0, 0, 9,
        ][..],
        b"vendor-id",
        &[
            0, 0, 0, 23, // its data
            0, 0, 0, 1, b'v', 0, 0, 0, 1, b'p', 0, 0, 0, 1, b'1', // vendor, product, version
            0, 0, 0, 0, 0, 0, 0, 2, // build
        ],
    ]
    .concat();
    assert_eq!(answered(&version), wire);
    assert_eq!(ServerPacket::decode(packet(&wire).unwrap()), Ok(version));
}

#[test]
fn status() {
    is_response(
        Response::Status { code: StatusCode::NoSuchFile, message: b("/x") },
        101,
        &[
            0, 0, 0, 2, // code
            0, 0, 0, 2, b'/', b'x', // message
            0, 0, 0, 2, b'e', b'n', // language
        ],
    );
}

#[test]
fn every_code_has_its_number() {
    use StatusCode::*;
    let codes = [
        Ok,
        Eof,
        NoSuchFile,
        PermissionDenied,
        Failure,
        BadMessage,
        NoConnection,
        ConnectionLost,
        OpUnsupported,
    ];
    for (number, code) in codes.into_iter().enumerate() {
        assert_eq!(code as usize, number);
        assert_eq!(StatusCode::of(number as u32), code);
    }
    assert_eq!(StatusCode::of(9), Failure);
}

#[test]
fn handle() {
    is_response(Response::Handle(b("h1")), 102, &[0, 0, 0, 2, b'h', b'1']);
}

#[test]
fn data() {
    is_response(Response::Data(b("xy").into()), 103, &[0, 0, 0, 2, b'x', b'y']);
    let head = data_head(ID, 2);
    let whole = answered(&ServerPacket::Response { id: ID, response: Response::Data(b("xy").into()) });
    assert_eq!([&head[..], b"xy"].concat(), whole);
}

#[test]
fn name() {
    let attributes = SftpAttributes { size: Some(7), ..SftpAttributes::default() };
    let one = SftpName { name: b("a"), long_name: b("-a"), attributes };
    let two = SftpName {
        name: Bytes::from_static(b"\xff"),
        long_name: b(""),
        attributes: SftpAttributes::default(),
    };
    is_response(
        Response::Name(vec![one, two]),
        104,
        &[
            0, 0, 0, 2, // two
            0, 0, 0, 1, b'a', // name
            0, 0, 0, 2, b'-', b'a', // long name
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, // attributes: a size
            0, 0, 0, 1, 0xff, // name
            0, 0, 0, 0, // no long name
            0, 0, 0, 0, // no attributes
        ],
    );
}

#[test]
fn attrs() {
    let attributes = SftpAttributes { permissions: Some(0o755), ..SftpAttributes::default() };
    is_response(Response::Attrs(attributes), 105, &[0, 0, 0, 4, 0, 0, 1, 0xed]);
}

#[track_caller]
fn extended(response: &Response, body: &[u8]) -> Bytes {
    let wire = answered(&ServerPacket::Response { id: ID, response: response.clone() });
    assert_eq!(wire[4..9], [201, 1, 2, 3, 4]);
    assert_eq!(&wire[9..], body);
    let decoded = ServerPacket::decode(packet(&wire).unwrap());
    assert_eq!(decoded, Ok(ServerPacket::Response { id: ID, response: response.clone() }));
    Bytes::copy_from_slice(body)
}

#[test]
fn limits() {
    let limits = SftpLimits { packet: 1, read: 2, write: 3, handles: 256 };
    let body = [
        0, 0, 0, 0, 0, 0, 0, 1, // packet
        0, 0, 0, 0, 0, 0, 0, 2, // read
        0, 0, 0, 0, 0, 0, 0, 3, // write
        0, 0, 0, 0, 0, 0, 1, 0, // handles
    ];
    let body = extended(&limits.response(), &body);
    assert_eq!(SftpLimits::decode(body.clone()), Ok(limits));
    assert!(SftpLimits::decode(body.slice(1..)).is_err());
}

#[test]
fn statvfs() {
    let statvfs = Statvfs {
        bsize: 1,
        frsize: 2,
        blocks: 3,
        bfree: 4,
        bavail: 5,
        files: 6,
        ffree: 7,
        favail: 8,
        fsid: 9,
        flag: 10,
        namemax: 11,
    };
    let body: Vec<u8> = (1..=11_u64).flat_map(u64::to_be_bytes).collect();
    assert_eq!(Statvfs::decode(extended(&statvfs.response(), &body)), Ok(statvfs));
}

#[test]
fn users_groups() {
    let names = UsersGroups { users: vec![b("ann"), b("")], groups: vec![b("g")] };
    let body = [
        0, 0, 0, 11, // users
        0, 0, 0, 3, b'a', b'n', b'n', // ann
        0, 0, 0, 0, // nobody
        0, 0, 0, 5, // groups
        0, 0, 0, 1, b'g',
    ];
    assert_eq!(UsersGroups::decode(extended(&names.response(), &body)), Ok(names));
}

#[test]
fn checked_file() {
    let checked = CheckedFile { algorithm: b("md5"), digests: b("01") };
    let body = [0, 0, 0, 3, b'm', b'd', b'5', b'0', b'1'];
    assert_eq!(CheckedFile::decode(extended(&checked.response(false), &body)), Ok(checked.clone()));
    let named = [&[0, 0, 0, 10][..], b"check-file", &body].concat();
    extended(&checked.response(true), &named);
}

#[test]
fn a_packet_has_its_length() {
    let data = |length: u32| Response::Data(Bytes::from(vec![7; length as usize]).into());
    let mut out = b"before".to_vec();
    assert_eq!(data(MAX_DATA).encode(ID, &mut out), Ok(()));
    out.truncate(6);
    assert_eq!(data(MAX_PACKET).encode(ID, &mut out), Err(TooLong(MAX_PACKET as usize + 9)));
    assert_eq!(out, b"before");
}
