//! A minimal SFTP client: tests send single packets, also those that no client sends.

use crate::Host;
use crate::peer::{Trusting, connect};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use sshome_wire::sftp::{
    ClientPacket, Data, Extended, Extension, OpenFlags, Response, SFTP_VERSION, ServerPacket, SftpAttributes,
    SftpDecoder, SftpName, SftpRequest, StatusCode, Statvfs,
};
use std::sync::Arc;

/// A refusal: its code and its message.
pub type Refusal = (StatusCode, String);

/// The flags to create or truncate a file for writing.
pub const ANEW: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREAT.0 | OpenFlags::TRUNC.0);

/// A client of the subsystem `sftp`.
pub struct SftpPeer {
    connection: Arc<Handle<Trusting>>,
    sender: Sender,
    receiver: Receiver,
    extensions: Vec<Extension>,
}

/// Sends requests.
pub struct Sender {
    half: ChannelWriteHalf<Msg>,
    id: u32,
}

/// Receives answers.
pub struct Receiver {
    half: ChannelReadHalf,
    decoder: SftpDecoder,
}

impl SftpPeer {
    /// Logs in and agrees on the version.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn login(host: &Host, user: &str) -> Result<SftpPeer> {
        let mut peer = SftpPeer::silent(host, user).await?;
        peer.sender.packet(&ClientPacket::Init { version: SFTP_VERSION, extensions: Vec::new() }).await?;
        let version = peer.version().await?;
        ensure!(version == SFTP_VERSION, "the server's version is {version}");
        Ok(peer)
    }

    /// Receives the answer to INIT: the server's version.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn version(&mut self) -> Result<u32> {
        match self.receiver.packet().await? {
            Some(ServerPacket::Version { version, extensions }) => {
                self.extensions = extensions;
                Ok(version)
            }
            other => bail!("{other:?} in place of a version"),
        }
    }

    /// Logs in and starts the subsystem, without sending INIT.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn silent(host: &Host, user: &str) -> Result<SftpPeer> {
        let connection = Arc::new(connect(host, user).await?);
        let channel = connection.channel_open_session().await?;
        channel.request_subsystem(true, "sftp").await?;
        let (reader, writer) = channel.split();
        let sender = Sender { half: writer, id: 0 };
        let receiver = Receiver { half: reader, decoder: SftpDecoder::new() };
        Ok(SftpPeer { connection, sender, receiver, extensions: Vec::new() })
    }

    /// The server's announced extensions.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Splits it into its two directions. The connection ends with the sender.
    #[must_use]
    pub fn split(&mut self) -> (&mut Sender, &mut Receiver) {
        (&mut self.sender, &mut self.receiver)
    }

    /// Sends a request. Returns its id.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn send(&mut self, request: SftpRequest) -> Result<u32> {
        self.sender.request(request).await
    }

    /// Sends bytes that need not be packets.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn send_raw(&mut self, bytes: impl Into<Bytes>) -> Result<()> {
        Ok(self.sender.half.data_bytes(bytes.into()).await?)
    }

    /// The next answer and its id; `None` if the channel ends.
    ///
    /// # Errors
    /// If it is not a valid answer.
    pub async fn next(&mut self) -> Result<Option<(u32, Response)>> {
        self.receiver.next().await
    }

    /// Sends a request and receives its answer.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn ask(&mut self, request: SftpRequest) -> Result<Response> {
        let id = self.send(request).await?;
        let (answered, response) = self.next().await?.context("the channel ended")?;
        ensure!(answered == id, "{response:?} is the answer of {answered}, not of {id}");
        Ok(response)
    }

    /// As [`SftpPeer::ask`], for an extension.
    ///
    /// # Errors
    /// As [`SftpPeer::ask`].
    pub async fn extended(&mut self, extended: Extended) -> Result<Response> {
        self.ask(SftpRequest::Extended(extended)).await
    }

    /// Sends a request that is answered with a status. `None` if it succeeded.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn refusal(&mut self, request: SftpRequest) -> Result<Option<Refusal>> {
        match refused(self.ask(request).await?)? {
            (StatusCode::Ok, _) => Ok(None),
            refusal => Ok(Some(refusal)),
        }
    }

    /// As [`SftpPeer::refusal`], for a request that must succeed.
    ///
    /// # Errors
    /// If it fails.
    pub async fn done(&mut self, request: SftpRequest) -> Result<()> {
        let shown = format!("{request:?}");
        let refusal = self.refusal(request).await?;
        ensure!(refusal.is_none(), "{shown}: {refusal:?}");
        Ok(())
    }

    /// Opens a file: its handle, or the refusal.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn open(&mut self, path: impl AsRef<[u8]>, flags: OpenFlags) -> Result<Result<Bytes, Refusal>> {
        let path = Bytes::copy_from_slice(path.as_ref());
        handle(self.ask(SftpRequest::Open { path, flags, attributes: SftpAttributes::default() }).await?)
    }

    /// Writes at an offset in one request. `None` if it succeeded.
    ///
    /// # Errors
    /// If anything but a status arrives.
    pub async fn write(&mut self, handle: &Bytes, offset: u64, data: &[u8]) -> Result<Option<Refusal>> {
        let data = Data::from(Bytes::copy_from_slice(data));
        self.refusal(SftpRequest::Write { handle: handle.clone(), offset, data }).await
    }

    /// Reads at an offset in one request: the bytes, empty at the end, or the refusal.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn read(
        &mut self,
        handle: &Bytes,
        offset: u64,
        length: u32,
    ) -> Result<Result<Vec<u8>, Refusal>> {
        match self.ask(SftpRequest::Read { handle: handle.clone(), offset, length }).await? {
            Response::Data(data) => Ok(Ok(joined(&data))),
            other => match refused(other)? {
                (StatusCode::Eof, _) => Ok(Ok(Vec::new())),
                refusal => Ok(Err(refusal)),
            },
        }
    }

    /// Closes a handle.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn close(&mut self, handle: Bytes) -> Result<()> {
        self.done(SftpRequest::Close { handle }).await
    }

    /// Writes a new file as clients do: open, writes, close. `None` if all requests succeeded.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn put(&mut self, path: impl AsRef<[u8]>, content: &[u8]) -> Result<Option<Refusal>> {
        let handle = match self.open(path, ANEW).await? {
            Ok(handle) => handle,
            Err(refusal) => return Ok(Some(refusal)),
        };
        let mut refusal = None;
        for (chunk, offset) in content.chunks(32768).zip((0..).step_by(32768)) {
            refusal = self.write(&handle, offset, chunk).await?;
            if refusal.is_some() {
                break;
            }
        }
        let closed = self.refusal(SftpRequest::Close { handle }).await?;
        Ok(refusal.or(closed))
    }

    /// The bytes of a file, or the refusal.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn get(&mut self, path: impl AsRef<[u8]>) -> Result<Result<Vec<u8>, Refusal>> {
        let handle = match self.open(path, OpenFlags::READ).await? {
            Ok(handle) => handle,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut content = Vec::new();
        loop {
            match self.read(&handle, content.len() as u64, 1 << 20).await? {
                Ok(data) if data.is_empty() => break,
                Ok(data) => content.extend_from_slice(&data),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        self.close(handle).await?;
        Ok(Ok(content))
    }

    /// The entries of a directory, including `.` and `..`, or the refusal.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn list(&mut self, path: impl AsRef<[u8]>) -> Result<Result<Vec<SftpName>, Refusal>> {
        let path = Bytes::copy_from_slice(path.as_ref());
        let handle = match handle(self.ask(SftpRequest::Opendir { path }).await?)? {
            Ok(handle) => handle,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut names = Vec::new();
        loop {
            match self.ask(SftpRequest::Readdir { handle: handle.clone() }).await? {
                Response::Name(some) => names.extend(some),
                other => match refused(other)? {
                    (StatusCode::Eof, _) => break,
                    refusal => return Ok(Err(refusal)),
                },
            }
        }
        self.close(handle).await?;
        Ok(Ok(names))
    }

    /// The attributes of a path, or the refusal.
    ///
    /// # Errors
    /// If anything else arrives.
    pub async fn stat(&mut self, path: impl AsRef<[u8]>) -> Result<Result<SftpAttributes, Refusal>> {
        match self.ask(SftpRequest::Stat { path: Bytes::copy_from_slice(path.as_ref()) }).await? {
            Response::Attrs(attributes) => Ok(Ok(attributes)),
            other => Ok(Err(refused(other)?)),
        }
    }

    /// The usage of the home.
    ///
    /// # Errors
    /// If the server does not answer it.
    pub async fn statvfs(&mut self) -> Result<Statvfs> {
        match self.extended(Extended::Statvfs { path: Bytes::from_static(b"/") }).await? {
            Response::Extended(body) => Ok(Statvfs::decode(body)?),
            other => bail!("{other:?} in place of what is left"),
        }
    }

    /// Sends EOF.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn eof(&mut self) -> Result<()> {
        self.sender.eof().await
    }

    /// Closes the channel, and keeps the connection.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn close_channel(&mut self) -> Result<()> {
        Ok(self.sender.half.close().await?)
    }

    /// Ends the connection immediately.
    ///
    /// # Errors
    /// If it is gone already.
    pub async fn vanish(self) -> Result<()> {
        Ok(self.connection.disconnect(russh::Disconnect::ByApplication, "", "").await?)
    }
}

impl Sender {
    /// Sends EOF.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn eof(&mut self) -> Result<()> {
        Ok(self.half.eof().await?)
    }

    /// Sends a request. Returns its id.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn request(&mut self, request: SftpRequest) -> Result<u32> {
        self.id += 1;
        self.packet(&ClientPacket::Request { id: self.id, request }).await?;
        Ok(self.id)
    }

    async fn packet(&mut self, packet: &ClientPacket) -> Result<()> {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes)?;
        Ok(self.half.data_bytes(Bytes::from(bytes)).await?)
    }
}

impl Receiver {
    /// The next answer and its id; `None` if the channel ends.
    ///
    /// # Errors
    /// If it is not a valid answer.
    pub async fn next(&mut self) -> Result<Option<(u32, Response)>> {
        match self.packet().await? {
            Some(ServerPacket::Response { id, response }) => Ok(Some((id, response))),
            None => Ok(None),
            Some(other) => bail!("{other:?} in place of an answer"),
        }
    }

    async fn packet(&mut self) -> Result<Option<ServerPacket>> {
        loop {
            if let Some(packet) = self.decoder.next()? {
                return Ok(Some(ServerPacket::decode(packet)?));
            }
            match self.half.wait().await {
                Some(ChannelMsg::Data { data }) => self.decoder.push(data),
                None | Some(ChannelMsg::Close) => return Ok(None),
                Some(_) => {}
            }
        }
    }
}

/// The status in an answer.
///
/// # Errors
/// If it is anything else.
pub fn refused(response: Response) -> Result<Refusal> {
    match response {
        Response::Status { code, message } => Ok((code, String::from_utf8(message.to_vec())?)),
        other => bail!("{other:?} in place of a status"),
    }
}

/// The handle in an answer, or the refusal.
///
/// # Errors
/// If it is anything else.
pub fn handle(response: Response) -> Result<Result<Bytes, Refusal>> {
    match response {
        Response::Handle(handle) => Ok(Ok(handle)),
        other => Ok(Err(refused(other)?)),
    }
}

/// The bytes of a DATA response in one piece.
#[must_use]
pub fn joined(data: &Data) -> Vec<u8> {
    data.pieces().flatten().copied().collect()
}
