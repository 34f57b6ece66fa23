//! SFTP version 3, draft-ietf-secsh-filexfer-02, and the extensions that its clients use.
//!
//! A packet is a big-endian `u32` length, a `u8` kind and a body (section 3). [`SftpDecoder`] splits a stream into
//! [`Packet`]s; [`ClientPacket`] and [`ServerPacket`] are their contents. Both sides are encoded and decoded here, so
//! that tests can drive each. Names are bytes.
//!
//! A stream ends with an error if a length exceeds [`MAX_PACKET`] or a request's id is missing; any other packet that
//! does not decode is [`Malformed`], which the server can answer.

mod attributes;
mod decoder;
mod extended;
mod fields;
mod reply;
mod request;
mod response;
mod status;

pub use attributes::{Owner, SftpAttributes, Times};
pub use decoder::{Packet, PacketError, SftpDecoder};
pub use extended::{CheckFile, Extended, Subject, Vendor};
pub use fields::{Data, Flaw, Malformed, TooLong};
pub use reply::{CheckedFile, SftpLimits, Statvfs, UsersGroups};
pub use request::{ClientPacket, OpenFlags, SftpRequest};
pub use response::{DATA_HEAD, Response, ServerPacket, SftpName, data_head};
pub use status::StatusCode;

use bytes::Bytes;

/// The protocol version.
pub const SFTP_VERSION: u32 = 3;

/// The longest packet that is read or written, in bytes, without its length: OpenSSH's limit.
pub const MAX_PACKET: u32 = 256 << 10;

/// The most data of one READ or WRITE, in bytes: a packet less space for its other fields.
pub const MAX_DATA: u32 = MAX_PACKET - 1024;

/// The longest accepted path, in bytes.
pub const MAX_PATH: usize = 4096;

/// The longest handle, in bytes (section 6.3).
pub const MAX_HANDLE: usize = 256;

/// Kinds of packets, section 3.
pub mod kind {
    #![allow(missing_docs)] // each is the draft's number of that name
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const REALPATH: u8 = 16;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

/// A name with data: in INIT and VERSION (section 4) and in attributes (section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The name of the extension.
    pub name: Bytes,
    /// Its data, as the extension defines it.
    pub data: Bytes,
}
