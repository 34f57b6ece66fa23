use super::attributes::SftpAttributes;
use super::decoder::Packet;
use super::fields::{
    Data, Fields, Flaw, Malformed, TooLong, put_data, put_extensions, put_packet, put_string,
};
use super::status::StatusCode;
use super::{Extension, kind};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

/// A packet of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerPacket {
    /// Its first packet, section 4.
    Version {
        /// The protocol version.
        version: u32,
        /// Its extensions.
        extensions: Vec<Extension>,
    },
    /// Any other.
    Response {
        /// The id of the request.
        id: u32,
        /// The answer.
        response: Response,
    },
}

/// An answer, section 7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// How the request ended.
    Status {
        /// The code.
        code: StatusCode,
        /// The message, in UTF-8.
        message: Bytes,
    },
    /// The handle of an opened file or directory: at most [`super::MAX_HANDLE`] opaque bytes.
    Handle(Bytes),
    /// Bytes of a file. For large data use [`data_head`], which does not copy.
    Data(Data),
    /// Names of files.
    Name(Vec<SftpName>),
    /// Attributes of a file.
    Attrs(SftpAttributes),
    /// The answer to an extension; its request determines the format.
    Extended(Bytes),
}

/// One file of a [`Response::Name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpName {
    /// Its name.
    pub name: Bytes,
    /// A line for display, as of `ls -l`.
    pub long_name: Bytes,
    /// Its attributes.
    pub attributes: SftpAttributes,
}

/// Bytes of a DATA packet before its data: length, kind, id, length of the data.
pub const DATA_HEAD: usize = 13;

/// The head of a packet with `length` bytes of data, at most [`super::MAX_DATA`].
#[must_use]
pub fn data_head(id: u32, length: u32) -> [u8; DATA_HEAD] {
    let [a, b, c, d] = (length + 9).to_be_bytes();
    let [e, f, g, h] = id.to_be_bytes();
    let [i, j, k, l] = length.to_be_bytes();
    [a, b, c, d, kind::DATA, e, f, g, h, i, j, k, l]
}

impl ServerPacket {
    /// Reads a packet.
    ///
    /// # Errors
    /// If it does not decode as its kind, or has trailing bytes.
    pub fn decode(packet: Packet) -> Result<ServerPacket, Malformed> {
        let kind = packet.kind();
        if kind == kind::VERSION {
            return packet.read(|fields| {
                Ok(ServerPacket::Version { version: fields.u32()?, extensions: fields.extensions()? })
            });
        }
        let (id, response) = packet.read_with_id(|fields| {
            let response = Response::decode(kind, fields)?;
            fields.end()?;
            Ok(response)
        })?;
        Ok(ServerPacket::Response { id, response })
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// If it is too long; `out` is then unchanged.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            ServerPacket::Version { version, extensions } => put_packet(out, kind::VERSION, |out| {
                out.put_u32(*version);
                put_extensions(out, extensions);
            }),
            ServerPacket::Response { id, response } => response.encode(*id, out),
        }
    }
}

impl Response {
    /// Appends the packet that answers request `id` to `out`.
    ///
    /// # Errors
    /// If it is too long; `out` is then unchanged.
    pub fn encode(&self, id: u32, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_packet(out, self.kind(), |out| {
            out.put_u32(id);
            match self {
                Response::Status { code, message } => {
                    out.put_u32(*code as u32);
                    put_string(out, message);
                    put_string(out, b"en");
                }
                Response::Handle(handle) => put_string(out, handle),
                Response::Data(data) => put_data(out, data),
                Response::Name(names) => {
                    out.put_u32(names.len() as u32);
                    for name in names {
                        put_string(out, &name.name);
                        put_string(out, &name.long_name);
                        name.attributes.encode(out);
                    }
                }
                Response::Attrs(attributes) => attributes.encode(out),
                Response::Extended(body) => out.put_slice(body),
            }
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Response::Status { .. } => kind::STATUS,
            Response::Handle(_) => kind::HANDLE,
            Response::Data(_) => kind::DATA,
            Response::Name(_) => kind::NAME,
            Response::Attrs(_) => kind::ATTRS,
            Response::Extended(_) => kind::EXTENDED_REPLY,
        }
    }

    fn decode(kind: u8, fields: &mut Fields) -> Result<Response, Flaw> {
        Ok(match kind {
            kind::STATUS => {
                let (code, message) = (StatusCode::of(fields.u32()?), fields.string()?);
                // The language tag of the message.
                fields.string()?;
                Response::Status { code, message }
            }
            kind::HANDLE => Response::Handle(fields.handle()?),
            kind::DATA => Response::Data(fields.data()?),
            kind::NAME => {
                let mut names = Vec::new();
                for _ in 0..fields.u32()? {
                    names.push(SftpName {
                        name: fields.string()?,
                        long_name: fields.string()?,
                        attributes: SftpAttributes::decode(fields)?,
                    });
                }
                Response::Name(names)
            }
            kind::ATTRS => Response::Attrs(SftpAttributes::decode(fields)?),
            kind::EXTENDED_REPLY => Response::Extended(fields.rest()?),
            _ => return Err(Flaw::UnknownKind),
        })
    }
}
