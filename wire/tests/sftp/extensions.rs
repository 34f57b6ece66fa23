//! Each extended request: its name, then a field a line.

use super::{ID, b, is_request, packed, packet};
use sshome_wire::sftp::{
    CheckFile, ClientPacket, Extended, Extension, SftpAttributes, SftpRequest, Subject, Vendor, kind,
};

const A: [u8; 5] = [0, 0, 0, 1, b'a'];
const B: [u8; 5] = [0, 0, 0, 1, b'b'];

#[track_caller]
fn is(extended: Extended, name: &str, body: &[u8]) {
    let name = [&(name.len() as u32).to_be_bytes()[..], name.as_bytes()].concat();
    is_request(SftpRequest::Extended(extended), &[&name, body].concat());
}

#[test]
fn extensions_with_paths() {
    let both = [A, B].concat();
    is(Extended::PosixRename { from: b("a"), to: b("b") }, "posix-rename@openssh.com", &both);
    is(Extended::Hardlink { from: b("a"), to: b("b") }, "hardlink@openssh.com", &both);
    is(Extended::Statvfs { path: b("a") }, "statvfs@openssh.com", &A);
    is(Extended::ExpandPath { path: b("a") }, "expand-path@openssh.com", &A);
}

#[test]
fn extensions_with_a_handle_or_a_user() {
    is(Extended::Fstatvfs { handle: b("a") }, "fstatvfs@openssh.com", &A);
    is(Extended::Fsync { handle: b("a") }, "fsync@openssh.com", &A);
    is(Extended::HomeDirectory { user: b("a") }, "home-directory", &A);
}

#[test]
fn lsetstat() {
    let attributes = SftpAttributes { permissions: Some(0o700), ..SftpAttributes::default() };
    let body = [&A[..], &[0, 0, 0, 4, 0, 0, 1, 0xc0]].concat();
    is(Extended::Lsetstat { path: b("a"), attributes }, "lsetstat@openssh.com", &body);
}

#[test]
fn limits() {
    is(Extended::Limits, "limits@openssh.com", &[]);
}

#[test]
fn users_groups_by_id() {
    is(
        Extended::UsersGroupsById { users: vec![0, 1000], groups: vec![100] },
        "users-groups-by-id@openssh.com",
        &[
            0, 0, 0, 8, // users
            0, 0, 0, 0, 0, 0, 3, 0xe8, // 0 and 1000
            0, 0, 0, 4, // groups
            0, 0, 0, 100,
        ],
    );
}

#[test]
fn copy_data() {
    is(
        Extended::CopyData { from: b("a"), from_offset: 1, length: 2, to: b("b"), to_offset: 3 },
        "copy-data",
        &[
            0, 0, 0, 1, b'a', // from
            0, 0, 0, 0, 0, 0, 0, 1, // its offset
            0, 0, 0, 0, 0, 0, 0, 2, // length
            0, 0, 0, 1, b'b', // to
            0, 0, 0, 0, 0, 0, 0, 3, // its offset
        ],
    );
}

#[test]
fn check_file() {
    let check = |subject| {
        Extended::CheckFile(CheckFile {
            subject,
            algorithms: b("md5"),
            offset: 1,
            length: 2,
            block_size: 256,
        })
    };
    let body = [
        0, 0, 0, 1, b'a', // the file
        0, 0, 0, 3, b'm', b'd', b'5', // algorithms
        0, 0, 0, 0, 0, 0, 0, 1, // offset
        0, 0, 0, 0, 0, 0, 0, 2, // length
        0, 0, 1, 0, // block size
    ];
    is(check(Subject::Path(b("a"))), "check-file-name", &body);
    is(check(Subject::Handle(b("a"))), "check-file-handle", &body);
    is(check(Subject::HandleNamed(b("a"))), "check-file", &body);
}

#[test]
fn vendor_id() {
    is(
        Extended::VendorId(Vendor { vendor: b("a"), product: b("b"), version: b("1"), build: 9 }),
        "vendor-id",
        &[
            0, 0, 0, 1, b'a', // vendor
            0, 0, 0, 1, b'b', // product
            0, 0, 0, 1, b'1', // version
            0, 0, 0, 0, 0, 0, 0, 9, // build
        ],
    );
}

#[test]
fn an_unknown_extension_keeps_its_name() {
    let wire = packed(kind::EXTENDED, &[0, 0, 0, 1, b'a', 1, 2, 3]);
    let extension = Extension { name: b("a"), data: [1, 2, 3][..].to_vec().into() };
    let request = SftpRequest::Extended(Extended::Unknown(extension));
    assert_eq!(ClientPacket::decode(packet(&wire).unwrap()), Ok(ClientPacket::Request { id: ID, request }));
}
