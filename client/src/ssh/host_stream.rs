//! The stream below SSH: a TCP connection, a command, or a channel of a jump host.

use super::eager_reader::EagerReader;
use super::error::LoginError;
use super::happy_eyeballs::{self, AddressRules};
use super::host_key::HostCheck;
use super::proxy_command;
use super::settings::{Proxy, Settings};
use crate::messages::warn;
use russh::ChannelStream;
use russh::client::{Handle, Msg};
use sshome_ssh::TcpOptions;
use sshome_wire::display::Escaped;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, WriteHalf};

/// Cap on unsent bytes in the kernel. Later messages, such as a cancel, wait for them.
const MAX_UNSENT_BYTES: u32 = 1 << 20;

/// A stream in both directions.
pub(super) trait TwoWayStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> TwoWayStream for S {}

/// The stream below SSH.
pub(super) struct HostStream {
    /// The stream.
    pub stream: Box<dyn TwoWayStream>,
    /// Whether its other end is on this machine.
    pub is_local: bool,
}

impl HostStream {
    /// Connects over TCP, or starts the command of `ProxyCommand`.
    ///
    /// # Errors
    /// If no address answers within `limit`, or the command cannot be started.
    pub(super) async fn open(settings: &Settings, limit: Duration) -> Result<HostStream, LoginError> {
        match &settings.proxy {
            Proxy::Command(command) => {
                let started = proxy_command::start(command);
                let stream =
                    started.map_err(|error| LoginError::ProxyCommand { command: command.clone(), error })?;
                if settings.verbose {
                    warn(format_args!("connecting by ProxyCommand {}", Escaped(command.as_bytes())));
                }
                Ok(HostStream { stream: Box::new(stream), is_local: false })
            }
            _ => HostStream::open_tcp(settings, limit).await,
        }
    }

    async fn open_tcp(settings: &Settings, limit: Duration) -> Result<HostStream, LoginError> {
        let place = settings.place();
        // Its own limit is a little shorter, so that it can report the addresses that did not answer.
        let early = limit.saturating_sub(limit / 20);
        let rules =
            AddressRules { family: settings.address_family, bind_address: settings.bind_address.as_deref() };
        let connected = happy_eyeballs::connect(&settings.host, settings.port, rules, early).await;
        let socket = connected.map_err(|error| match error.is_silence() {
            true => LoginError::TimeOut { place: place.clone(), limit },
            false => LoginError::Connect { place: place.clone(), error },
        })?;
        let peer_timeout = settings.keepalive.limit();
        TcpOptions { max_unsent_bytes: MAX_UNSENT_BYTES, peer_timeout }.apply(&socket);
        if settings.verbose
            && let Ok(address) = socket.peer_addr()
        {
            warn(format_args!("connected to {address}"));
        }
        let is_local =
            matches!((socket.peer_addr(), socket.local_addr()), (Ok(a), Ok(b)) if a.ip() == b.ip());
        Ok(HostStream { stream: Box::new(socket), is_local })
    }

    /// A channel of a connection to a jump host, which ends with the channel.
    pub(super) fn through(jump: Handle<HostCheck>, channel: ChannelStream<Msg>) -> HostStream {
        let (reading, writing) = tokio::io::split(channel);
        let stream = JumpStream { reading: EagerReader::new(reading), writing, _jump: jump };
        HostStream { stream: Box::new(stream), is_local: false }
    }
}

struct JumpStream {
    reading: EagerReader,
    writing: WriteHalf<ChannelStream<Msg>>,
    _jump: Handle<HostCheck>,
}

impl AsyncRead for JumpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reading).poll_read(cx, buf)
    }
}

impl AsyncWrite for JumpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        // russh's channels refuse to write nothing.
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.writing).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writing).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writing).poll_shutdown(cx)
    }
}
