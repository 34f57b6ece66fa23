use super::attributes::SftpAttributes;
use super::decoder::Packet;
use super::extended::Extended;
use super::fields::{
    Data, Fields, Flaw, Malformed, TooLong, put_data, put_extensions, put_packet, put_string,
};
use super::{Extension, kind};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

/// A packet of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPacket {
    /// Its first packet, section 4.
    Init {
        /// The newest version that it supports.
        version: u32,
        /// Its extensions.
        extensions: Vec<Extension>,
    },
    /// Any other.
    Request {
        /// For the answer.
        id: u32,
        /// The request.
        request: SftpRequest,
    },
}

/// How to open a file, section 6.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// For reading.
    pub const READ: OpenFlags = OpenFlags(0x01);
    /// For writing.
    pub const WRITE: OpenFlags = OpenFlags(0x02);
    /// Every write appends.
    pub const APPEND: OpenFlags = OpenFlags(0x04);
    /// Create it if missing.
    pub const CREAT: OpenFlags = OpenFlags(0x08);
    /// Truncate it.
    pub const TRUNC: OpenFlags = OpenFlags(0x10);
    /// With CREAT: fail if it exists.
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

/// A request of the client, section 6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are the draft's
pub enum SftpRequest {
    /// Opens a file, 6.3.
    Open { path: Bytes, flags: OpenFlags, attributes: SftpAttributes },
    /// Closes a file or a directory, 6.3.
    Close { handle: Bytes },
    /// Reads, 6.4.
    Read { handle: Bytes, offset: u64, length: u32 },
    /// Writes, 6.4.
    Write { handle: Bytes, offset: u64, data: Data },
    /// Gets the attributes of a path, of a link itself, 6.8.
    Lstat { path: Bytes },
    /// Gets the attributes of an open file, 6.8.
    Fstat { handle: Bytes },
    /// Sets attributes, 6.9.
    Setstat { path: Bytes, attributes: SftpAttributes },
    /// Sets an open file's attributes, 6.9.
    Fsetstat { handle: Bytes, attributes: SftpAttributes },
    /// Opens a directory, 6.7.
    Opendir { path: Bytes },
    /// Reads the next entries of a directory, 6.7.
    Readdir { handle: Bytes },
    /// Removes a file, 6.5.
    Remove { path: Bytes },
    /// Makes a directory, 6.6.
    Mkdir { path: Bytes, attributes: SftpAttributes },
    /// Removes an empty directory, 6.6.
    Rmdir { path: Bytes },
    /// Makes a path absolute and plain, 6.11.
    Realpath { path: Bytes },
    /// Gets the attributes of a path, links followed, 6.8.
    Stat { path: Bytes },
    /// Renames, 6.5.
    Rename { from: Bytes, to: Bytes },
    /// Reads the target of a link, 6.10.
    Readlink { path: Bytes },
    /// Creates a symbolic link, 6.10. The target comes first on the wire, as in OpenSSH and all later implementations;
    /// the draft has the reverse order.
    Symlink { target: Bytes, path: Bytes },
    /// An extension, section 8.
    Extended(Extended),
}

impl ClientPacket {
    /// Reads a packet. Bytes after a request's last field are ignored, as in OpenSSH: rclone 1.60 sends its whole
    /// buffer after the data of a WRITE that did not fill it. So are bytes after the version of an INIT that are not an
    /// extension.
    ///
    /// # Errors
    /// If it does not decode as its kind.
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
        let (id, request) = packet.read_with_id(|fields| SftpRequest::decode(kind, fields))?;
        Ok(ClientPacket::Request { id, request })
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// If it is too long; `out` is then unchanged.
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

impl SftpRequest {
    /// The kind of its packet, see [`super::kind`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            SftpRequest::Open { .. } => kind::OPEN,
            SftpRequest::Close { .. } => kind::CLOSE,
            SftpRequest::Read { .. } => kind::READ,
            SftpRequest::Write { .. } => kind::WRITE,
            SftpRequest::Lstat { .. } => kind::LSTAT,
            SftpRequest::Fstat { .. } => kind::FSTAT,
            SftpRequest::Setstat { .. } => kind::SETSTAT,
            SftpRequest::Fsetstat { .. } => kind::FSETSTAT,
            SftpRequest::Opendir { .. } => kind::OPENDIR,
            SftpRequest::Readdir { .. } => kind::READDIR,
            SftpRequest::Remove { .. } => kind::REMOVE,
            SftpRequest::Mkdir { .. } => kind::MKDIR,
            SftpRequest::Rmdir { .. } => kind::RMDIR,
            SftpRequest::Realpath { .. } => kind::REALPATH,
            SftpRequest::Stat { .. } => kind::STAT,
            SftpRequest::Rename { .. } => kind::RENAME,
            SftpRequest::Readlink { .. } => kind::READLINK,
            SftpRequest::Symlink { .. } => kind::SYMLINK,
            SftpRequest::Extended(_) => kind::EXTENDED,
        }
    }

    fn decode(kind: u8, fields: &mut Fields) -> Result<SftpRequest, Flaw> {
        Ok(match kind {
            kind::OPEN => SftpRequest::Open {
                path: fields.path()?,
                flags: OpenFlags(fields.u32()?),
                attributes: SftpAttributes::decode(fields)?,
            },
            kind::CLOSE => SftpRequest::Close { handle: fields.handle()? },
            kind::READ => {
                SftpRequest::Read { handle: fields.handle()?, offset: fields.u64()?, length: fields.u32()? }
            }
            kind::WRITE => {
                SftpRequest::Write { handle: fields.handle()?, offset: fields.u64()?, data: fields.data()? }
            }
            kind::LSTAT => SftpRequest::Lstat { path: fields.path()? },
            kind::FSTAT => SftpRequest::Fstat { handle: fields.handle()? },
            kind::SETSTAT => {
                SftpRequest::Setstat { path: fields.path()?, attributes: SftpAttributes::decode(fields)? }
            }
            kind::FSETSTAT => SftpRequest::Fsetstat {
                handle: fields.handle()?,
                attributes: SftpAttributes::decode(fields)?,
            },
            kind::OPENDIR => SftpRequest::Opendir { path: fields.path()? },
            kind::READDIR => SftpRequest::Readdir { handle: fields.handle()? },
            kind::REMOVE => SftpRequest::Remove { path: fields.path()? },
            kind::MKDIR => {
                SftpRequest::Mkdir { path: fields.path()?, attributes: SftpAttributes::decode(fields)? }
            }
            kind::RMDIR => SftpRequest::Rmdir { path: fields.path()? },
            kind::REALPATH => SftpRequest::Realpath { path: fields.path()? },
            kind::STAT => SftpRequest::Stat { path: fields.path()? },
            kind::RENAME => SftpRequest::Rename { from: fields.path()?, to: fields.path()? },
            kind::READLINK => SftpRequest::Readlink { path: fields.path()? },
            kind::SYMLINK => SftpRequest::Symlink { target: fields.path()?, path: fields.path()? },
            kind::EXTENDED => SftpRequest::Extended(Extended::decode(fields)?),
            _ => return Err(Flaw::UnknownKind),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            SftpRequest::Open { path, flags, attributes } => {
                put_string(out, path);
                out.put_u32(flags.0);
                attributes.encode(out);
            }
            SftpRequest::Close { handle }
            | SftpRequest::Fstat { handle }
            | SftpRequest::Readdir { handle } => {
                put_string(out, handle);
            }
            SftpRequest::Read { handle, offset, length } => {
                put_string(out, handle);
                out.put_u64(*offset);
                out.put_u32(*length);
            }
            SftpRequest::Write { handle, offset, data } => {
                put_string(out, handle);
                out.put_u64(*offset);
                put_data(out, data);
            }
            SftpRequest::Fsetstat { handle: name, attributes }
            | SftpRequest::Setstat { path: name, attributes }
            | SftpRequest::Mkdir { path: name, attributes } => {
                put_string(out, name);
                attributes.encode(out);
            }
            SftpRequest::Lstat { path }
            | SftpRequest::Opendir { path }
            | SftpRequest::Remove { path }
            | SftpRequest::Rmdir { path }
            | SftpRequest::Realpath { path }
            | SftpRequest::Stat { path }
            | SftpRequest::Readlink { path } => put_string(out, path),
            SftpRequest::Rename { from: first, to: second }
            | SftpRequest::Symlink { target: first, path: second } => {
                put_string(out, first);
                put_string(out, second);
            }
            SftpRequest::Extended(extended) => extended.encode(out),
        }
    }
}
