//! A light client, the same for both servers: one process holds thousands of sessions.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Preferred, cipher};
use sshome_wire::sftp::{
    ClientPacket, Data, OpenFlags, Response, SFTP_VERSION, ServerPacket, SftpAttributes, SftpRequest,
    StatusCode,
};
use sshome_wire::{Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Status, sftp};
use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

/// The size of sftp's requests, in bytes.
const REQUEST_BYTES: u32 = 32 << 10;

/// The number of outstanding requests: half of sftp's, and together less than any window.
const UNDER_WAY: usize = 32;

/// The protocol of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Sftp,
    /// Our own protocol.
    Native,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Way::Sftp => "sftp",
            Way::Native => sshome_wire::SUBSYSTEM,
        })
    }
}

/// The server and the key for logins.
#[derive(Clone)]
pub(crate) struct LoginSource {
    port: u16,
    key: Arc<PrivateKey>,
    config: Arc<client::Config>,
}

/// A connection with one conversation on it. It ends when it is dropped.
pub(crate) struct LoadSession {
    _connection: Handle<AnyHostKey>,
    sender: ChannelWriteHalf<Msg>,
    receiver: ChannelReadHalf,
    decoder: ReplyDecoder,
    id: u32,
}

enum ReplyDecoder {
    Sftp(sftp::SftpDecoder),
    Native(sshome_wire::Decoder),
}

/// Trusts every host key: the server is the bench's own.
struct AnyHostKey;

impl client::Handler for AnyHostKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

impl LoginSource {
    /// The server on this port, and the private key of all its users.
    pub(crate) fn new(port: u16, key: &Path) -> Result<LoginSource> {
        let key = load_secret_key(key, None).with_context(|| format!("reading {}", key.display()))?;
        let preferred = Preferred { cipher: Cow::Borrowed(&[cipher::AES_128_GCM]), ..Preferred::default() };
        let config = client::Config { preferred, nodelay: true, ..client::Config::default() };
        Ok(LoginSource { port, key: Arc::new(key), config: Arc::new(config) })
    }

    /// Logs in and starts a conversation.
    pub(crate) async fn enter(&self, user: &str, way: Way) -> Result<LoadSession> {
        let address = (Ipv4Addr::LOCALHOST, self.port);
        let mut connection = client::connect(Arc::clone(&self.config), address, AnyHostKey).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), None);
        ensure!(connection.authenticate_publickey(user, key).await?.success(), "{user} is not let in");
        let channel = connection.channel_open_session().await?;
        channel.request_subsystem(true, &way.to_string()).await?;
        let (receiver, sender) = channel.split();
        let decoder = match way {
            Way::Sftp => ReplyDecoder::Sftp(sftp::SftpDecoder::new()),
            Way::Native => ReplyDecoder::Native(sshome_wire::Decoder::new()),
        };
        let mut session = LoadSession { _connection: connection, sender, receiver, decoder, id: 0 };
        session.greet().await?;
        Ok(session)
    }
}

impl LoadSession {
    /// Lists a folder as `ls` does. Returns the number of names.
    pub(crate) async fn ls(&mut self, folder: &str) -> Result<usize> {
        match self.decoder {
            ReplyDecoder::Sftp(_) => self.ls_by_sftp(folder).await,
            ReplyDecoder::Native(_) => self.ls_natively(folder).await,
        }
    }

    /// Reads a file of `length` bytes repeatedly, with many outstanding requests, while `more` returns `true`. It gets
    /// the number of received bytes.
    pub(crate) async fn get(&mut self, path: &str, length: u64, more: impl FnMut(u64) -> bool) -> Result<()> {
        let handle = self.open(path, OpenFlags::READ).await?;
        let request = |handle, offset| SftpRequest::Read { handle, offset, length: REQUEST_BYTES };
        self.pipeline(handle, length, request, more).await
    }

    /// The same in the other direction: writes a file repeatedly.
    pub(crate) async fn put(&mut self, path: &str, length: u64, more: impl FnMut(u64) -> bool) -> Result<()> {
        let handle = self.open(path, OpenFlags::WRITE | OpenFlags::CREAT).await?;
        let piece = Bytes::from(vec![7; REQUEST_BYTES as usize]);
        let request = |handle, offset| SftpRequest::Write { handle, offset, data: Data::from(piece.clone()) };
        self.pipeline(handle, length, request, more).await
    }

    async fn pipeline(
        &mut self,
        handle: Bytes,
        length: u64,
        request: impl Fn(Bytes, u64) -> SftpRequest,
        mut more: impl FnMut(u64) -> bool,
    ) -> Result<()> {
        let step = u64::from(REQUEST_BYTES);
        let mut offsets = (0..length / step).map(|number| number * step).cycle();
        let mut next = || offsets.next().context("a file shorter than one request");
        for _ in 0..UNDER_WAY {
            self.ask(request(handle.clone(), next()?)).await?;
        }
        let mut under_way = UNDER_WAY;
        while under_way > 0 {
            let moved = match self.answer().await? {
                Response::Data(data) => data.len() as u64,
                Response::Status { code: StatusCode::Ok, .. } => step,
                other => bail!("{other:?} in place of data"),
            };
            if more(moved) {
                self.ask(request(handle.clone(), next()?)).await?;
            } else {
                under_way -= 1;
            }
        }
        self.close(handle).await
    }

    async fn ls_by_sftp(&mut self, folder: &str) -> Result<usize> {
        self.ask(SftpRequest::Opendir { path: text(folder) }).await?;
        let handle = self.handle().await?;
        let mut count = 0;
        loop {
            self.ask(SftpRequest::Readdir { handle: handle.clone() }).await?;
            match self.answer().await? {
                Response::Name(names) => count += names.len(),
                Response::Status { code: StatusCode::Eof, .. } => break,
                other => bail!("{other:?} in place of names"),
            }
        }
        self.close(handle).await?;
        Ok(count)
    }

    async fn ls_natively(&mut self, folder: &str) -> Result<usize> {
        let request = sshome_wire::Request::Ls { path: folder.as_bytes().to_vec(), recursive: false };
        self.frame(&Frame::Request(request)).await?;
        let mut count = 0;
        loop {
            match self.next_frame().await? {
                Frame::Entries(entries) => count += entries.entries.len(),
                Frame::Reply(reply) if reply.status == Status::Done => return Ok(count),
                other => bail!("{other:?} in place of names"),
            }
        }
    }

    async fn greet(&mut self) -> Result<()> {
        if let ReplyDecoder::Sftp(_) = self.decoder {
            self.packet(&ClientPacket::Init { version: SFTP_VERSION, extensions: Vec::new() }).await?;
            let answer = self.next_packet().await?;
            ensure!(matches!(answer, ServerPacket::Version { .. }), "{answer:?} in place of a version");
            return Ok(());
        }
        let answer = self.next_frame().await?;
        ensure!(matches!(answer, Frame::Hello(_)), "{answer:?} in place of a hello");
        let hello = Hello {
            version: PROTOCOL_VERSION,
            features: Features::default(),
            max_frame: MAX_FRAME,
            max_outstanding: 64,
            status: Status::Authenticated,
            message: "bench".to_owned(),
        };
        self.frame(&Frame::Hello(hello)).await
    }

    async fn open(&mut self, path: &str, flags: OpenFlags) -> Result<Bytes> {
        let attributes = SftpAttributes::default();
        self.ask(SftpRequest::Open { path: text(path), flags, attributes }).await?;
        self.handle().await.with_context(|| format!("opening {path}"))
    }

    async fn close(&mut self, handle: Bytes) -> Result<()> {
        self.ask(SftpRequest::Close { handle }).await?;
        let answer = self.answer().await?;
        ensure!(matches!(answer, Response::Status { code: StatusCode::Ok, .. }), "{answer:?} to a close");
        Ok(())
    }

    async fn handle(&mut self) -> Result<Bytes> {
        match self.answer().await? {
            Response::Handle(handle) => Ok(handle),
            other => bail!("{other:?} in place of a handle"),
        }
    }

    async fn ask(&mut self, request: SftpRequest) -> Result<()> {
        self.id = self.id.wrapping_add(1);
        self.packet(&ClientPacket::Request { id: self.id, request }).await
    }

    async fn answer(&mut self) -> Result<Response> {
        match self.next_packet().await? {
            ServerPacket::Response { response, .. } => Ok(response),
            other => bail!("{other:?} in place of an answer"),
        }
    }

    async fn packet(&mut self, packet: &ClientPacket) -> Result<()> {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes)?;
        Ok(self.sender.data_bytes(bytes).await?)
    }

    async fn frame(&mut self, frame: &Frame) -> Result<()> {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes)?;
        Ok(self.sender.data_bytes(bytes.freeze()).await?)
    }

    async fn next_packet(&mut self) -> Result<ServerPacket> {
        loop {
            if let ReplyDecoder::Sftp(decoder) = &mut self.decoder
                && let Some(packet) = decoder.next()?
            {
                return Ok(ServerPacket::decode(packet)?);
            }
            self.hear().await?;
        }
    }

    async fn next_frame(&mut self) -> Result<Frame> {
        loop {
            if let ReplyDecoder::Native(decoder) = &mut self.decoder
                && let Some(frame) = decoder.next()?
            {
                return Ok(frame);
            }
            self.hear().await?;
        }
    }

    /// Receives the next message.
    async fn hear(&mut self) -> Result<()> {
        match self.receiver.wait().await {
            Some(ChannelMsg::Data { data }) => match &mut self.decoder {
                ReplyDecoder::Sftp(decoder) => decoder.push(data),
                ReplyDecoder::Native(decoder) => decoder.push(data),
            },
            None | Some(ChannelMsg::Close) => bail!("the server has ended the session"),
            Some(_) => {}
        }
        Ok(())
    }
}

fn text(path: &str) -> Bytes {
    Bytes::copy_from_slice(path.as_bytes())
}
