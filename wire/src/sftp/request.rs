use super::attributes::Attributes;
use super::decoder::Packet;
use super::extended::Extended;
use super::fields::{
    Data, Fields, Flaw, Malformed, TooLong, put_data, put_extensions, put_packet, put_string,
};
use super::{Extension, kind};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPacket {
    /// Its first packet, section 4.
    Init {
        /// The newest version that it speaks.
        version: u32,
        /// What it can do besides.
        extensions: Vec<Extension>,
    },
    /// Any other.
    Request {
        /// For the answer.
        id: u32,
        /// What is asked for.
        request: Request,
    },
}

/// How a file is to be opened, section 6.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// For reading.
    pub const READ: OpenFlags = OpenFlags(0x01);
    /// For writing.
    pub const WRITE: OpenFlags = OpenFlags(0x02);
    /// Every write goes to the end.
    pub const APPEND: OpenFlags = OpenFlags(0x04);
    /// Made if it is not there.
    pub const CREAT: OpenFlags = OpenFlags(0x08);
    /// Emptied if it is.
    pub const TRUNC: OpenFlags = OpenFlags(0x10);
    /// With CREAT: refused if it is there.
    pub const EXCL: OpenFlags = OpenFlags(0x20);

    /// Whether all of `flags` are set.
    #[must_use]
    pub fn contains(self, flags: OpenFlags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl core::ops::BitOr for OpenFlags {
    type Output = OpenFlags;

    fn bitor(self, other: OpenFlags) -> OpenFlags {
        OpenFlags(self.0 | other.0)
    }
}

/// What a client asks for, section 6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are the draft's
pub enum Request {
    /// Opens a file, 6.3.
    Open { path: Bytes, flags: OpenFlags, attributes: Attributes },
    /// Closes a file or a directory, 6.3.
    Close { handle: Bytes },
    /// Reads, 6.4.
    Read { handle: Bytes, offset: u64, length: u32 },
    /// Writes, 6.4.
    Write { handle: Bytes, offset: u64, data: Data },
    /// Tells of a link itself, 6.8.
    Lstat { path: Bytes },
    /// Tells of an open file, 6.8.
    Fstat { handle: Bytes },
    /// Sets attributes, 6.9.
    Setstat { path: Bytes, attributes: Attributes },
    /// Sets an open file's attributes, 6.9.
    Fsetstat { handle: Bytes, attributes: Attributes },
    /// Opens a directory, 6.7.
    Opendir { path: Bytes },
    /// Reads on in a directory, 6.7.
    Readdir { handle: Bytes },
    /// Removes a file, 6.5.
    Remove { path: Bytes },
    /// Makes a directory, 6.6.
    Mkdir { path: Bytes, attributes: Attributes },
    /// Removes an empty directory, 6.6.
    Rmdir { path: Bytes },
    /// Makes a path absolute and plain, 6.11.
    Realpath { path: Bytes },
    /// Tells of what a path stands for, 6.8.
    Stat { path: Bytes },
    /// Renames, 6.5.
    Rename { from: Bytes, to: Bytes },
    /// Where a link points, 6.10.
    Readlink { path: Bytes },
    /// Makes a link, 6.10. The target stands first on the wire, as OpenSSH has it and everybody after
    /// it; the draft has it the other way round.
    Symlink { target: Bytes, path: Bytes },
    /// An extension, section 8.
    Extended(Extended),
}

impl ClientPacket {
    /// Reads a packet. What stands behind a request's last field is left alone, as OpenSSH does: rclone
    /// 1.60 sends its whole buffer behind the data of a WRITE that did not fill it. So is what follows the
    /// version in an INIT and is no extension.
    ///
    /// # Errors
    /// If it is not what its kind says.
    pub fn decode(packet: Packet) -> Result<ClientPacket, Malformed> {
        let kind = packet.kind();
        if kind == kind::INIT {
            return packet.read(|fields| {
                let version = fields.u32()?;
                let mut extensions = Vec::new();
                while let Ok(extension) = fields.extension() {
                    extensions.push(extension);
                }
                Ok(ClientPacket::Init { version, extensions })
            });
        }
        let (id, request) = packet.read_with_id(|fields| Request::decode(kind, fields))?;
        Ok(ClientPacket::Request { id, request })
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// If it is too long; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            ClientPacket::Init { version, extensions } => put_packet(out, kind::INIT, |out| {
                out.put_u32(*version);
                put_extensions(out, extensions);
            }),
            ClientPacket::Request { id, request } => put_packet(out, request.kind(), |out| {
                out.put_u32(*id);
                request.encode(out);
            }),
        }
    }
}

impl Request {
    /// The kind of packet that it travels in, see [`super::kind`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Request::Open { .. } => kind::OPEN,
            Request::Close { .. } => kind::CLOSE,
            Request::Read { .. } => kind::READ,
            Request::Write { .. } => kind::WRITE,
            Request::Lstat { .. } => kind::LSTAT,
            Request::Fstat { .. } => kind::FSTAT,
            Request::Setstat { .. } => kind::SETSTAT,
            Request::Fsetstat { .. } => kind::FSETSTAT,
            Request::Opendir { .. } => kind::OPENDIR,
            Request::Readdir { .. } => kind::READDIR,
            Request::Remove { .. } => kind::REMOVE,
            Request::Mkdir { .. } => kind::MKDIR,
            Request::Rmdir { .. } => kind::RMDIR,
            Request::Realpath { .. } => kind::REALPATH,
            Request::Stat { .. } => kind::STAT,
            Request::Rename { .. } => kind::RENAME,
            Request::Readlink { .. } => kind::READLINK,
            Request::Symlink { .. } => kind::SYMLINK,
            Request::Extended(_) => kind::EXTENDED,
        }
    }

    fn decode(kind: u8, fields: &mut Fields) -> Result<Request, Flaw> {
        Ok(match kind {
            kind::OPEN => Request::Open {
                path: fields.path()?,
                flags: OpenFlags(fields.u32()?),
                attributes: Attributes::decode(fields)?,
            },
            kind::CLOSE => Request::Close { handle: fields.handle()? },
            kind::READ => {
                Request::Read { handle: fields.handle()?, offset: fields.u64()?, length: fields.u32()? }
            }
            kind::WRITE => {
                Request::Write { handle: fields.handle()?, offset: fields.u64()?, data: fields.data()? }
            }
            kind::LSTAT => Request::Lstat { path: fields.path()? },
            kind::FSTAT => Request::Fstat { handle: fields.handle()? },
            kind::SETSTAT => {
                Request::Setstat { path: fields.path()?, attributes: Attributes::decode(fields)? }
            }
            kind::FSETSTAT => {
                Request::Fsetstat { handle: fields.handle()?, attributes: Attributes::decode(fields)? }
            }
            kind::OPENDIR => Request::Opendir { path: fields.path()? },
            kind::READDIR => Request::Readdir { handle: fields.handle()? },
            kind::REMOVE => Request::Remove { path: fields.path()? },
            kind::MKDIR => Request::Mkdir { path: fields.path()?, attributes: Attributes::decode(fields)? },
            kind::RMDIR => Request::Rmdir { path: fields.path()? },
            kind::REALPATH => Request::Realpath { path: fields.path()? },
            kind::STAT => Request::Stat { path: fields.path()? },
            kind::RENAME => Request::Rename { from: fields.path()?, to: fields.path()? },
            kind::READLINK => Request::Readlink { path: fields.path()? },
            kind::SYMLINK => Request::Symlink { target: fields.path()?, path: fields.path()? },
            kind::EXTENDED => Request::Extended(Extended::decode(fields)?),
            _ => return Err(Flaw::UnknownKind),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Request::Open { path, flags, attributes } => {
                put_string(out, path);
                out.put_u32(flags.0);
                attributes.encode(out);
            }
            Request::Close { handle } | Request::Fstat { handle } | Request::Readdir { handle } => {
                put_string(out, handle);
            }
            Request::Read { handle, offset, length } => {
                put_string(out, handle);
                out.put_u64(*offset);
                out.put_u32(*length);
            }
            Request::Write { handle, offset, data } => {
                put_string(out, handle);
                out.put_u64(*offset);
                put_data(out, data);
            }
            Request::Fsetstat { handle: name, attributes }
            | Request::Setstat { path: name, attributes }
            | Request::Mkdir { path: name, attributes } => {
                put_string(out, name);
                attributes.encode(out);
            }
            Request::Lstat { path }
            | Request::Opendir { path }
            | Request::Remove { path }
            | Request::Rmdir { path }
            | Request::Realpath { path }
            | Request::Stat { path }
            | Request::Readlink { path } => put_string(out, path),
            Request::Rename { from: first, to: second }
            | Request::Symlink { target: first, path: second } => {
                put_string(out, first);
                put_string(out, second);
            }
            Request::Extended(extended) => extended.encode(out),
        }
    }
}
