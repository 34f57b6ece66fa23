//! Each request of the draft, a field a line.

use super::{ID, b, is_request, packed, packet, sent};
use bytes::Bytes;
use sshome_wire::sftp::{
    ClientPacket, Extension, Flaw, MAX_HANDLE, MAX_PATH, Malformed, OpenFlags, Owner, SftpAttributes,
    SftpRequest, Times, kind,
};

/// A string of one byte.
const A: [u8; 5] = [0, 0, 0, 1, b'a'];
const B: [u8; 5] = [0, 0, 0, 1, b'b'];

#[test]
fn init() {
    let bare = ClientPacket::Init { version: 3, extensions: Vec::new() };
    let wire = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    assert_eq!(sent(&bare), wire);
    assert_eq!(ClientPacket::decode(packet(&wire).unwrap()), Ok(bare));
    let extensions = vec![Extension { name: b("a"), data: b("b") }];
    let extended = ClientPacket::Init { version: 6, extensions };
    let wire = [&[0, 0, 0, 15, 1, 0, 0, 0, 6][..], &A, &B].concat();
    assert_eq!(sent(&extended), wire);
    assert_eq!(ClientPacket::decode(packet(&wire).unwrap()), Ok(extended.clone()));
    // What follows and is no extension is passed over, as OpenSSH's server does.
    let odd = [&[0, 0, 0, 17, 1, 0, 0, 0, 6][..], &A, &B, &[0, 9]].concat();
    assert_eq!(ClientPacket::decode(packet(&odd).unwrap()), Ok(extended));
    // There is no id to answer it with.
    let short = ClientPacket::decode(packet(&[0, 0, 0, 4, 1, 0, 0, 0]).unwrap());
    assert_eq!(short, Err(Malformed { kind: 1, id: None, flaw: Flaw::Short }));
}

#[test]
fn open() {
    let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::APPEND;
    let flags = flags | OpenFlags::CREAT | OpenFlags::TRUNC | OpenFlags::EXCL;
    is_request(
        SftpRequest::Open { path: b("a"), flags, attributes: SftpAttributes::default() },
        &[
            0, 0, 0, 1, b'a', // path
            0, 0, 0, 0x3f, // flags
            0, 0, 0, 0, // no attributes
        ],
    );
}

#[test]
fn attributes() {
    is_request(
        SftpRequest::Setstat {
            path: b("a"),
            attributes: SftpAttributes {
                size: Some(0x0102_0304_0506_0708),
                owner: Some(Owner { uid: 1000, gid: 100 }),
                permissions: Some(0o100_644),
                times: Some(Times { atime: 1, mtime: u32::MAX }),
                extended: vec![Extension { name: b("a"), data: b("b") }],
            },
        },
        &[
            0, 0, 0, 1, b'a', // path
            0x80, 0, 0, 0xf, // all of them
            1, 2, 3, 4, 5, 6, 7, 8, // size
            0, 0, 3, 0xe8, // uid
            0, 0, 0, 100, // gid
            0, 0, 0x81, 0xa4, // permissions
            0, 0, 0, 1, // atime
            0xff, 0xff, 0xff, 0xff, // mtime
            0, 0, 0, 1, // one extended
            0, 0, 0, 1, b'a', // its name
            0, 0, 0, 1, b'b', // its value
        ],
    );
}

#[test]
fn a_false_attribute_count_allocates_nothing() {
    let wire = packed(kind::SETSTAT, &[&A[..], &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat());
    let refused = ClientPacket::decode(packet(&wire).unwrap());
    assert_eq!(refused, Err(Malformed { kind: kind::SETSTAT, id: Some(ID), flaw: Flaw::Short }));
}

#[test]
fn read() {
    is_request(
        SftpRequest::Read { handle: b("a"), offset: 1 << 32, length: 32768 },
        &[
            0, 0, 0, 1, b'a', // handle
            0, 0, 0, 1, 0, 0, 0, 0, // offset
            0, 0, 0x80, 0, // length
        ],
    );
}

#[test]
fn write() {
    is_request(
        SftpRequest::Write { handle: b("a"), offset: 5, data: b("xyz").into() },
        &[
            0, 0, 0, 1, b'a', // handle
            0, 0, 0, 0, 0, 0, 0, 5, // offset
            0, 0, 0, 3, b'x', b'y', b'z', // data
        ],
    );
}

#[test]
fn requests_with_one_handle() {
    is_request(SftpRequest::Close { handle: b("a") }, &A);
    is_request(SftpRequest::Fstat { handle: b("a") }, &A);
    is_request(SftpRequest::Readdir { handle: b("a") }, &A);
}

#[test]
fn requests_with_one_path() {
    is_request(SftpRequest::Lstat { path: b("a") }, &A);
    is_request(SftpRequest::Opendir { path: b("a") }, &A);
    is_request(SftpRequest::Remove { path: b("a") }, &A);
    is_request(SftpRequest::Rmdir { path: b("a") }, &A);
    is_request(SftpRequest::Realpath { path: b("a") }, &A);
    is_request(SftpRequest::Stat { path: b("a") }, &A);
    is_request(SftpRequest::Readlink { path: b("a") }, &A);
    let name = Bytes::from_static(b"\xff\x80");
    is_request(SftpRequest::Stat { path: name }, &[0, 0, 0, 2, 0xff, 0x80]);
}

#[test]
fn requests_with_two_paths() {
    is_request(SftpRequest::Rename { from: b("a"), to: b("b") }, &[A, B].concat());
    // The target first, as OpenSSH has it.
    is_request(SftpRequest::Symlink { target: b("a"), path: b("b") }, &[A, B].concat());
}

#[test]
fn requests_with_attributes() {
    let attributes = SftpAttributes { permissions: Some(0o700), ..SftpAttributes::default() };
    let wire = [&A[..], &[0, 0, 0, 4, 0, 0, 1, 0xc0]].concat();
    is_request(SftpRequest::Mkdir { path: b("a"), attributes: attributes.clone() }, &wire);
    is_request(SftpRequest::Setstat { path: b("a"), attributes: attributes.clone() }, &wire);
    is_request(SftpRequest::Fsetstat { handle: b("a"), attributes }, &wire);
}

#[test]
fn packet_types_match_the_draft() {
    let numbers = [
        (SftpRequest::Close { handle: b("a") }, 4),
        (SftpRequest::Lstat { path: b("a") }, 7),
        (SftpRequest::Fstat { handle: b("a") }, 8),
        (SftpRequest::Opendir { path: b("a") }, 11),
        (SftpRequest::Readdir { handle: b("a") }, 12),
        (SftpRequest::Remove { path: b("a") }, 13),
        (SftpRequest::Rmdir { path: b("a") }, 15),
        (SftpRequest::Realpath { path: b("a") }, 16),
        (SftpRequest::Stat { path: b("a") }, 17),
        (SftpRequest::Rename { from: b("a"), to: b("b") }, 18),
        (SftpRequest::Readlink { path: b("a") }, 19),
        (SftpRequest::Symlink { target: b("a"), path: b("b") }, 20),
    ];
    for (request, number) in numbers {
        assert_eq!(request.kind(), number, "{request:?}");
    }
    let others = [kind::OPEN, kind::READ, kind::WRITE, kind::SETSTAT, kind::FSETSTAT, kind::MKDIR];
    assert_eq!(others, [3, 5, 6, 9, 10, 14]);
    assert_eq!(kind::EXTENDED, 200);
}

#[test]
fn paths_and_handles_have_a_maximum_length() {
    let string = |length: usize| [&(length as u32).to_be_bytes()[..], &vec![b'x'; length]].concat();
    let decode = |kind, body: &[u8]| ClientPacket::decode(packet(&packed(kind, body)).unwrap());
    let refused = |kind, flaw| Err(Malformed { kind, id: Some(ID), flaw });
    assert!(decode(kind::STAT, &string(MAX_PATH)).is_ok());
    assert_eq!(decode(kind::STAT, &string(MAX_PATH + 1)), refused(kind::STAT, Flaw::LongPath));
    assert!(decode(kind::CLOSE, &string(MAX_HANDLE)).is_ok());
    assert_eq!(decode(kind::CLOSE, &string(MAX_HANDLE + 1)), refused(kind::CLOSE, Flaw::LongHandle));
}

#[test]
fn an_invalid_request_is_refused_with_its_id() {
    for kind in [0, 2, 21, 101, 199, 201, 255] {
        let decoded = ClientPacket::decode(packet(&packed(kind, &A)).unwrap());
        assert_eq!(decoded, Err(Malformed { kind, id: Some(ID), flaw: Flaw::UnknownKind }));
    }
    // And if there is none, it cannot be.
    let decoded = ClientPacket::decode(packet(&[0, 0, 0, 4, 17, 0, 0, 0]).unwrap());
    assert_eq!(decoded, Err(Malformed { kind: 17, id: None, flaw: Flaw::Short }));
}
