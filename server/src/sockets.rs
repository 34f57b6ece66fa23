//! The listening sockets. They are bound before privileges are dropped, because a port below 1024 may need root.

use crate::config::Config;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

/// The backlog of connections that the kernel queues before `accept`.
const LISTEN_BACKLOG: i32 = 1024;

/// Listening sockets. Clients that connect wait until the server serves.
#[derive(Debug)]
pub struct Sockets {
    /// For users.
    pub ssh: Vec<TcpListener>,
    /// For Prometheus, if enabled.
    pub metrics: Option<TcpListener>,
}

/// Why an address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; {}", hint(.error))]
pub struct ListenError {
    address: SocketAddr,
    error: io::Error,
}

impl Sockets {
    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// If an address is in use, not local, or needs root.
    pub fn bind(config: &Config) -> Result<Sockets, ListenError> {
        let one = |address: &SocketAddr| {
            listener(*address).map_err(|error| ListenError { address: *address, error })
        };
        let ssh = config.listen.iter().map(one).collect::<Result<_, _>>()?;
        let metrics = config.metrics.as_ref().map(one).transpose()?;
        Ok(Sockets { ssh, metrics })
    }
}

/// The addresses of the settings that cannot be bound now. Those in `held`, which the running server of the same folder
/// uses, are not tried.
#[must_use]
pub fn examine(config: &Config, held: &[String]) -> Vec<ListenError> {
    let addresses = config.listen.iter().chain(&config.metrics);
    let tried = addresses.filter(|address| !held.contains(&address.to_string()));
    let failed = |address: &SocketAddr| {
        let error = bound(*address).err()?;
        Some(ListenError { address: *address, error: error.into() })
    };
    tried.filter_map(failed).collect()
}

/// Checks whether a server could listen on an address now.
///
/// # Errors
/// If it is in use, not local, or needs root.
pub(crate) fn check_bind(address: SocketAddr) -> Result<(), ListenError> {
    bound(address).map(drop).map_err(|error| ListenError { address, error: error.into() })
}

impl ListenError {
    /// Whether the address is in use.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

/// A bound socket that does not listen.
fn bound(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    // The port of a server that has just ended may still be in use.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    listen(&socket, LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root: start as root with server.account set, or give the unit \
             AmbientCapabilities=CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrInUse => "another program listens there: `ss -ltnp` shows which",
        io::ErrorKind::AddrNotAvailable => {
            "this host does not have that address: `ip address` lists those that it has"
        }
        _ => "server.listen names the addresses",
    }
}
