use crate::Host;
use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg};
use sshome_wire::{
    Decoder, Digest, End, Entries, Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Put, Reply, Request,
    SUBSYSTEM, Status,
};
use std::sync::Arc;

/// A minimal client of the native protocol: tests send single frames, also those that our client never sends.
pub struct Peer {
    connection: Arc<Handle<Trusting>>,
    channel: Channel<Msg>,
    decoder: Decoder,
}

/// Accepts every host key.
pub struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

impl Peer {
    /// Logs in and exchanges hellos.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn login(host: &Host, user: &str) -> Result<Peer> {
        let mut peer = Peer::silent(host, user).await?;
        peer.send(&Frame::Hello(hello())).await?;
        Ok(peer)
    }

    /// Logs in and reads the server's hello, without sending one.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn silent(host: &Host, user: &str) -> Result<Peer> {
        Peer::open(Arc::new(connect(host, user).await?)).await
    }

    /// Logs in with this key, and exchanges hellos.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn login_with(host: &Host, user: &str, key: &PrivateKey) -> Result<Peer> {
        let config = client::Config { nodelay: true, ..Default::default() };
        let mut peer = Peer::open(Arc::new(connect_as(host, user, key, config).await?)).await?;
        peer.send(&Frame::Hello(hello())).await?;
        Ok(peer)
    }

    /// A second conversation on the same connection.
    ///
    /// # Errors
    /// If the server refuses one.
    pub async fn beside(&self) -> Result<Peer> {
        let mut peer = Peer::open(Arc::clone(&self.connection)).await?;
        peer.send(&Frame::Hello(hello())).await?;
        Ok(peer)
    }

    /// Opens a channel without starting anything on it.
    ///
    /// # Errors
    /// If the server refuses one.
    pub async fn open_silent(&self) -> Result<Channel<Msg>> {
        Ok(self.connection.channel_open_session().await?)
    }

    async fn open(connection: Arc<Handle<Trusting>>) -> Result<Peer> {
        let channel = connection.channel_open_session().await?;
        channel.request_subsystem(true, SUBSYSTEM).await?;
        let mut peer = Peer { connection, channel, decoder: Decoder::new() };
        match peer.next().await? {
            Frame::Hello(hello) => ensure!(hello.status == Status::Authenticated, "{hello:?}"),
            other => bail!("{other:?} in place of a hello"),
        }
        Ok(peer)
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn send(&mut self, frame: &Frame) -> Result<()> {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes)?;
        self.send_raw(bytes.freeze()).await
    }

    /// Sends bytes that need not be frames.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn send_raw(&mut self, bytes: Bytes) -> Result<()> {
        Ok(self.channel.data_bytes(bytes).await?)
    }

    /// The next frame.
    ///
    /// # Errors
    /// If the channel ends first.
    pub async fn next(&mut self) -> Result<Frame> {
        self.next_or_end().await?.context("the channel ended")
    }

    /// The next frame; `None` if the channel ends.
    ///
    /// # Errors
    /// If it is not a valid frame.
    pub async fn next_or_end(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(Some(frame));
            }
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => self.decoder.push(data),
                None | Some(ChannelMsg::Close) => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// Sends a request and receives its reply. Progress is ignored.
    ///
    /// # Errors
    /// If anything but a reply arrives.
    pub async fn ask(&mut self, request: Request) -> Result<Reply> {
        self.send(&Frame::Request(request)).await?;
        self.reply().await
    }

    /// The next reply.
    ///
    /// # Errors
    /// If anything but progress and a reply arrives.
    pub async fn reply(&mut self) -> Result<Reply> {
        loop {
            match self.next().await? {
                Frame::Reply(reply) => return Ok(reply),
                Frame::Progress(_) => {}
                other => bail!("{other:?} in place of a reply"),
            }
        }
    }

    /// Stores a file.
    ///
    /// # Errors
    /// If the protocol breaks; a refusal is a reply.
    pub async fn put(&mut self, path: impl AsRef<[u8]>, content: &[u8]) -> Result<Reply> {
        self.begin_put(path, Some(content.len() as u64)).await?;
        self.send_data(content).await?;
        self.send(&Frame::End(end_of(content))).await?;
        self.reply().await
    }

    /// Sends the request of a put, and nothing after it.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn begin_put(&mut self, path: impl AsRef<[u8]>, size: Option<u64>) -> Result<()> {
        let put =
            Put { path: path.as_ref().to_vec(), size, mtime: None, source: None, mode: None, resume: 0 };
        self.send(&Frame::Request(Request::Put(put))).await
    }

    /// Sends data frames.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn send_data(&mut self, content: &[u8]) -> Result<()> {
        for chunk in content.chunks(MAX_FRAME as usize - 1) {
            self.send(&Frame::Data(Bytes::copy_from_slice(chunk))).await?;
        }
        Ok(())
    }

    /// Fetches a file: its bytes, or the refusal.
    ///
    /// # Errors
    /// If the protocol breaks or the digest is not that of the bytes.
    pub async fn get(&mut self, path: impl AsRef<[u8]>) -> Result<Result<Vec<u8>, (Status, String)>> {
        self.send(&Frame::Request(Request::Get { path: path.as_ref().to_vec(), known: 0 })).await?;
        let header = match self.next().await? {
            Frame::Header(header) => header,
            Frame::Reply(reply) => return Ok(Err((reply.status, reply.message))),
            other => bail!("{other:?} in place of a header"),
        };
        let mut content = Vec::new();
        loop {
            match self.next().await? {
                Frame::Data(data) => content.extend_from_slice(&data),
                Frame::End(end) if end.status == Status::Done => {
                    ensure!(end.digest == end_of(&content).digest && end.size == header.size, "digest");
                    return Ok(Ok(content));
                }
                Frame::End(end) => return Ok(Err((end.status, end.message))),
                other => bail!("{other:?} in the middle of a get"),
            }
        }
    }

    /// Lists: the frames of entries, and the reply.
    ///
    /// # Errors
    /// If the protocol breaks.
    pub async fn list(&mut self, path: impl AsRef<[u8]>, recursive: bool) -> Result<(Vec<Entries>, Reply)> {
        self.send(&Frame::Request(Request::Ls { path: path.as_ref().to_vec(), recursive })).await?;
        let mut all = Vec::new();
        loop {
            match self.next().await? {
                Frame::Entries(entries) => all.push(entries),
                Frame::Reply(reply) => return Ok((all, reply)),
                other => bail!("{other:?} in a listing"),
            }
        }
    }

    /// Ends the connection immediately.
    ///
    /// # Errors
    /// If it is gone already.
    pub async fn vanish(self) -> Result<()> {
        Ok(self.connection.disconnect(russh::Disconnect::ByApplication, "", "").await?)
    }
}

/// Logs in without opening a channel.
///
/// # Errors
/// If the login is refused.
pub async fn connect(host: &Host, user: &str) -> Result<Handle<Trusting>> {
    // The largest window that a client may have, which the server has to cope with.
    connect_with(host, user, 64 << 20, 65_535).await
}

/// Logs in, with a window and packets of these sizes in bytes.
///
/// # Errors
/// If the login is refused.
pub async fn connect_with(
    host: &Host,
    user: &str,
    window_size: u32,
    maximum_packet_size: u32,
) -> Result<Handle<Trusting>> {
    // Without it, a small packet waits up to 40 ms for the acknowledgement of the previous one.
    let config = client::Config { window_size, maximum_packet_size, nodelay: true, ..Default::default() };
    connect_as(host, user, host.key(), config).await
}

async fn connect_as(
    host: &Host,
    user: &str,
    key: &PrivateKey,
    config: client::Config,
) -> Result<Handle<Trusting>> {
    let mut connection = client::connect(Arc::new(config), host.address(), Trusting).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
    ensure!(connection.authenticate_publickey(user, key).await?.success(), "login refused");
    Ok(connection)
}

/// A client's hello.
#[must_use]
pub fn hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        features: Features::default(),
        max_frame: MAX_FRAME,
        max_outstanding: 4096,
        status: Status::Authenticated,
        message: "a test".to_owned(),
    }
}

/// The End frame of a file with this content.
#[must_use]
pub fn end_of(content: &[u8]) -> End {
    let digest = Digest(*blake3::hash(content).as_bytes());
    End { status: Status::Done, message: String::new(), digest, size: content.len() as u64 }
}
