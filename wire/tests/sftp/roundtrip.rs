//! Any request and any response, decoded from what it was encoded to.

use super::{answered, packet, sent};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sshome_wire::sftp::{
    CheckFile, ClientPacket, Extended, Extension, OpenFlags, Owner, Response, ServerPacket, SftpAttributes,
    SftpDecoder, SftpName, SftpRequest, StatusCode, Subject, Times, Vendor,
};

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from)
}

fn extension() -> impl Strategy<Value = Extension> {
    (bytes(20), bytes(20)).prop_map(|(name, data)| Extension { name, data })
}

fn attributes() -> impl Strategy<Value = SftpAttributes> {
    let owner = any::<(u32, u32)>().prop_map(|(uid, gid)| Owner { uid, gid });
    let times = any::<(u32, u32)>().prop_map(|(atime, mtime)| Times { atime, mtime });
    let numbers = (any::<Option<u64>>(), option::of(owner), any::<Option<u32>>(), option::of(times));
    (numbers, vec(extension(), 0..3)).prop_map(|((size, owner, permissions, times), extended)| {
        SftpAttributes { size, owner, permissions, times, extended }
    })
}

fn request() -> impl Strategy<Value = SftpRequest> {
    let path = || bytes(40);
    prop_oneof![
        (path(), any::<u32>(), attributes()).prop_map(|(path, flags, attributes)| SftpRequest::Open {
            path,
            flags: OpenFlags(flags),
            attributes
        }),
        path().prop_map(|handle| SftpRequest::Close { handle }),
        (path(), any::<u64>(), any::<u32>()).prop_map(|(handle, offset, length)| SftpRequest::Read {
            handle,
            offset,
            length
        }),
        (path(), any::<u64>(), bytes(300)).prop_map(|(handle, offset, data)| SftpRequest::Write {
            handle,
            offset,
            data: data.into()
        }),
        (path(), attributes()).prop_map(|(path, attributes)| SftpRequest::Mkdir { path, attributes }),
        (path(), attributes()).prop_map(|(handle, attributes)| SftpRequest::Fsetstat { handle, attributes }),
        (path(), path()).prop_map(|(from, to)| SftpRequest::Rename { from, to }),
        (path(), path()).prop_map(|(target, path)| SftpRequest::Symlink { target, path }),
        extended().prop_map(SftpRequest::Extended),
    ]
}

fn extended() -> impl Strategy<Value = Extended> {
    let path = || bytes(40);
    let subject = (path(), 0..3).prop_map(|(name, which)| match which {
        0 => Subject::Path(name),
        1 => Subject::Handle(name),
        _ => Subject::HandleNamed(name),
    });
    prop_oneof![
        (path(), path()).prop_map(|(from, to)| Extended::PosixRename { from, to }),
        (path(), attributes()).prop_map(|(path, attributes)| Extended::Lsetstat { path, attributes }),
        (vec(any::<u32>(), 0..5), vec(any::<u32>(), 0..5))
            .prop_map(|(users, groups)| Extended::UsersGroupsById { users, groups }),
        (path(), any::<(u64, u64, u64)>(), path()).prop_map(
            |(from, (from_offset, length, to_offset), to)| {
                Extended::CopyData { from, from_offset, length, to, to_offset }
            }
        ),
        (subject, path(), any::<(u64, u64, u32)>()).prop_map(
            |(subject, algorithms, (offset, length, block_size))| Extended::CheckFile(CheckFile {
                subject,
                algorithms,
                offset,
                length,
                block_size
            })
        ),
        (path(), path(), path(), any::<u64>()).prop_map(|(vendor, product, version, build)| {
            Extended::VendorId(Vendor { vendor, product, version, build })
        }),
        extension()
            .prop_filter("a name that is known", |extension| {
                !Extended::KNOWN.iter().any(|(name, _)| *name == extension.name)
            })
            .prop_map(Extended::Unknown),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    let name = (bytes(40), bytes(80), attributes()).prop_map(|(name, long_name, attributes)| SftpName {
        name,
        long_name,
        attributes,
    });
    prop_oneof![
        (0..9_u32, bytes(80))
            .prop_map(|(code, message)| Response::Status { code: StatusCode::of(code), message }),
        bytes(256).prop_map(Response::Handle),
        bytes(300).prop_map(|data| Response::Data(data.into())),
        vec(name, 0..5).prop_map(Response::Name),
        attributes().prop_map(Response::Attrs),
        bytes(80).prop_map(Response::Extended),
    ]
}

proptest! {
    #[test]
    fn any_request_decodes_to_itself(id: u32, request in request()) {
        let whole = ClientPacket::Request { id, request };
        prop_assert_eq!(ClientPacket::decode(packet(&sent(&whole)).unwrap()), Ok(whole));
    }

    #[test]
    fn any_response_decodes_to_itself(id: u32, response in response()) {
        let whole = ServerPacket::Response { id, response };
        prop_assert_eq!(ServerPacket::decode(packet(&answered(&whole)).unwrap()), Ok(whole));
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(input in vec(any::<u8>(), 0..300)) {
        let mut decoder = SftpDecoder::new();
        decoder.push(input.into());
        while let Ok(Some(packet)) = decoder.next() {
            drop(ClientPacket::decode(packet));
        }
    }
}
