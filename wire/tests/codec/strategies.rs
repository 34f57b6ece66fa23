//! Random values of everything that travels.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use sshome_wire::{
    Blocks, Chunk, CompressedData, CopyRange, CreditedUsage, Description, Digest, End, Entries, Entry,
    Features, FileKind, FileVersion, Frame, Hashed, Header, Hello, Key, Part, Payload, Progress, Put,
    RangeHeader, Reply, Request, Session, Status, Stored, StoredFile, StreamId, Time, UploadId, Usage,
};

/// Any frame; a data frame has at least a byte.
pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        hello().prop_map(Frame::Hello),
        request().prop_map(Frame::Request),
        Just(Frame::Cancel),
        Just(Frame::Abort),
        vec(any::<u8>(), 1..300).prop_map(|bytes| Frame::Data(Bytes::from(bytes))),
        end().prop_map(Frame::End),
        reply().prop_map(Frame::Reply),
        header().prop_map(Frame::Header),
        (name(), vec(entry(), 0..8))
            .prop_map(|(directory, entries)| Frame::Entries(Entries { directory, entries })),
        any::<(u64, u64)>().prop_map(|(done, total)| Frame::Progress(Progress { done, total })),
        vec(digest(), 0..8).prop_map(|digests| Frame::Blocks(Blocks { digests })),
        vec(part(), 0..8).prop_map(Frame::Parts),
        any::<u64>().prop_map(|bytes| Frame::Stored(Stored { bytes })),
        any::<(u64, u64)>().prop_map(|(offset, length)| Frame::Copy(CopyRange { offset, length })),
        vec(any::<([u8; 10], u32)>(), 0..8).prop_map(|chunks| {
            let chunk = |(digest, length)| Chunk { digest, length };
            Frame::Description(Description { chunks: chunks.into_iter().map(chunk).collect() })
        }),
        (version(), any::<u32>(), of(digest()))
            .prop_map(|(version, mode, stored)| Frame::RangeHeader(RangeHeader { version, mode, stored })),
        vec(stored_file(), 0..8).prop_map(Frame::StoredFiles),
        vec(any::<u8>(), 0..300).prop_map(|content| Frame::CompressedData(compressed(&content))),
        (any::<(bool, bool, bool)>(), time()).prop_map(|((reads, adds, changes), time)| {
            Frame::Session(Session { reads, adds, changes, time })
        }),
    ]
}

/// A zstd frame with any bytes behind its header, which has a window of 1 KiB and no length.
fn compressed(content: &[u8]) -> CompressedData {
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0], content].concat();
    CompressedData::new(content.len() as u32 + 1, zstd.into()).unwrap()
}

fn part() -> impl Strategy<Value = Part> {
    (name(), any::<(u64, u64)>(), time()).prop_map(|(path, (length, size), since)| Part {
        path,
        length,
        size,
        since,
    })
}

/// Bytes of a path or a name: mostly such as people use, some of any kind.
pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[a-zä./ ]{0,20}".prop_map(String::into_bytes), vec(any::<u8>(), 0..40)]
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<(u16, u64, u32, u32)>(), status(), any::<String>()).prop_map(
        |((version, features, max_frame, max_outstanding), status, message)| Hello {
            version,
            features: Features(features),
            max_frame,
            max_outstanding,
            status,
            message,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let flag = any::<bool>;
    prop_oneof![
        Just(Request::Pwd),
        name().prop_map(|path| Request::Cd { path }),
        (name(), flag()).prop_map(|(path, recursive)| Request::Ls { path, recursive }),
        (name(), flag()).prop_map(|(path, follow)| Request::Stat { path, follow }),
        (name(), flag(), any::<Option<u32>>()).prop_map(|(path, parents, mode)| Request::Mkdir {
            path,
            parents,
            mode
        }),
        (name(), any::<u32>()).prop_map(|(path, known)| Request::Get { path, known }),
        put().prop_map(Request::Put),
        (name(), flag()).prop_map(|(path, recursive)| Request::Rm { path, recursive }),
        name().prop_map(|path| Request::Rmdir { path }),
        (name(), name()).prop_map(|(from, to)| Request::Mv { from, to }),
        (name(), name(), flag()).prop_map(|(from, to, recursive)| Request::Cp { from, to, recursive }),
        (name(), flag()).prop_map(|(path, verify)| Request::Hash { path, verify }),
        Just(Request::Df),
        Just(Request::Sync),
        (name(), any::<u64>(), time()).prop_map(|(path, size, mtime)| Request::PartStatus {
            path,
            size,
            mtime
        }),
        Just(Request::Parts),
        of(name()).prop_map(|path| Request::Discard { path }),
        (name(), name()).prop_map(|(path, target)| Request::Symlink { path, target }),
        (stream_id(), put()).prop_map(|(id, put)| Request::PutStream { id, put }),
        (name(), stream_id()).prop_map(|(path, id)| Request::StreamStatus { path, id }),
        Just(Request::Keys),
        any::<String>().prop_map(|line| Request::InstallKey { line }),
        any::<String>().prop_map(|fingerprint| Request::RemoveKey { fingerprint }),
        (name(), time()).prop_map(|(path, mtime)| Request::FinishDirectory { path, mtime }),
        name().prop_map(|path| Request::RealPath { path }),
        (name(), any::<[u8; 32]>()).prop_map(|(path, key)| Request::Describe { path, key }),
        put().prop_map(Request::PutDelta),
        (name(), any::<(u32, u32, [u8; 32])>()).prop_map(|(path, (known, chunks, key))| Request::GetDelta {
            path,
            known,
            chunks,
            key
        }),
        put().prop_map(Request::OpenUpload),
        (upload_id(), any::<(u32, u32)>()).prop_map(|(id, (block, blocks))| Request::PutBlocks {
            id,
            block,
            blocks
        }),
        (upload_id(), end()).prop_map(|(id, end)| Request::FinishUpload { id, end }),
        (name(), any::<(u32, u32, bool)>(), of(version())).prop_map(
            |(path, (block, blocks, data), expect)| Request::GetRange { path, block, blocks, expect, data }
        ),
        (name(), vec(any::<u8>(), 0..60))
            .prop_map(|(directory, paths)| Request::StoredDigests { directory, paths }),
        (name(), any::<Option<u32>>(), of(time())).prop_map(|(path, mode, mtime)| Request::SetAttributes {
            path,
            mode,
            mtime
        }),
        (put(), name(), digest()).prop_map(|(put, from, digest)| Request::PutCopy {
            put: Box::new(put),
            from,
            digest
        }),
        (name(), name(), flag()).prop_map(|(from, to, remove)| Request::BackUp { from, to, remove }),
    ]
}

fn version() -> impl Strategy<Value = FileVersion> {
    (any::<u64>(), time(), any::<[u8; 16]>()).prop_map(|(size, mtime, id)| FileVersion { size, mtime, id })
}

fn stored_file() -> impl Strategy<Value = StoredFile> {
    (any::<(u32, u64, u32)>(), time(), of(digest()))
        .prop_map(|((number, size, mode), mtime, digest)| StoredFile { number, size, mtime, mode, digest })
}

fn put() -> impl Strategy<Value = Put> {
    (name(), any::<Option<u64>>(), of(time()), of(time()), any::<Option<u32>>(), any::<u32>())
        .prop_map(|(path, size, mtime, source, mode, resume)| Put { path, size, mtime, source, mode, resume })
}

fn upload_id() -> impl Strategy<Value = UploadId> {
    any::<[u8; 16]>().prop_map(UploadId)
}

fn stream_id() -> impl Strategy<Value = StreamId> {
    any::<[u8; 16]>().prop_map(StreamId)
}

fn reply() -> impl Strategy<Value = Reply> {
    let payload = prop_oneof![
        Just(Payload::None),
        name().prop_map(Payload::Path),
        entry().prop_map(Payload::Stat),
        (digest(), any::<u64>(), of(digest())).prop_map(|(digest, size, stored)| Payload::Hash(Hashed {
            digest,
            size,
            stored
        })),
        usage().prop_map(Payload::Usage),
        upload_id().prop_map(Payload::Upload),
        (usage(), any::<u64>())
            .prop_map(|(usage, credited)| Payload::CreditedUsage(CreditedUsage { usage, credited })),
        vec(key(), 0..4).prop_map(Payload::Keys),
    ];
    (status(), any::<String>(), payload).prop_map(|(status, message, payload)| Reply {
        status,
        message,
        payload,
    })
}

fn key() -> impl Strategy<Value = Key> {
    (any::<(String, String)>(), name(), any::<bool>())
        .prop_map(|((fingerprint, algorithm), comment, own)| Key { fingerprint, algorithm, comment, own })
}

fn usage() -> impl Strategy<Value = Usage> {
    any::<(u64, u64, Option<u64>, u64, Option<u64>, u64)>().prop_map(
        |(used, reserved, quota, entries, max_entries, disk_free)| Usage {
            used,
            reserved,
            quota,
            entries,
            max_entries,
            disk_free,
        },
    )
}

fn header() -> impl Strategy<Value = Header> {
    (any::<(u64, u64, u32)>(), time()).prop_map(|((size, offset, mode), mtime)| Header {
        size,
        offset,
        mtime,
        mode,
    })
}

fn end() -> impl Strategy<Value = End> {
    (status(), any::<String>(), digest(), any::<u64>()).prop_map(|(status, message, digest, size)| End {
        status,
        message,
        digest,
        size,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(FileKind::File),
        Just(FileKind::Directory),
        Just(FileKind::Symlink),
        Just(FileKind::Special),
    ];
    (name(), kind, any::<(u64, u32, u64)>(), time(), name()).prop_map(
        |(name, kind, (size, mode, links), mtime, target)| Entry {
            name,
            kind,
            size,
            mtime,
            mode,
            links,
            target,
        },
    )
}

fn time() -> impl Strategy<Value = Time> {
    (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn status() -> impl Strategy<Value = Status> {
    let codes: Vec<u16> = (200..=206).chain(400..=411).collect();
    prop::sample::select(codes).prop_map(|code| Status::try_from(code).unwrap())
}
