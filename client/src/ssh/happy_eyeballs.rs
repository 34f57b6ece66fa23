//! Connects to the first of a host's addresses that answers (RFC 8305, "Happy Eyeballs").
//!
//! The addresses are tried in the system's order, with alternating families, each shortly after the previous one. So a
//! dead address costs a moment, and not the whole time limit.

use sshome_wire::display::Escaped;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// The delay between two addresses (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Why no address of a host could be reached.
#[derive(Debug)]
pub enum ConnectError {
    /// The name has no address.
    Lookup(io::Error),
    /// No address could be connected to.
    Tried {
        /// The time limit.
        limit: Duration,
        /// Each address, and why not; `None` if there was no answer in time.
        addresses: Vec<(SocketAddr, Option<io::Error>)>,
    },
}

impl ConnectError {
    /// Whether there was at most one address, and no answer.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, ConnectError::Tried { addresses, .. } if matches!(addresses.as_slice(), [(_, None)] | []))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, addresses) = match self {
            ConnectError::Lookup(error) => return write!(f, "{error}"),
            ConnectError::Tried { limit, addresses } => (limit, addresses),
        };
        for (number, (address, error)) in addresses.iter().enumerate() {
            if addresses.len() > 1 {
                write!(f, "{}{}: ", if number > 0 { "; " } else { "" }, address.ip())?;
            }
            match error {
                None => write!(f, "no answer within {} s", limit.as_secs_f64())?,
                Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    write!(f, "connection refused")?
                }
                Some(error) => write!(f, "{error}")?,
            }
        }
        f.write_str(match addresses.iter().find_map(|(_, error)| error.as_ref()).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => {
                ". Is sshomed running, and is that its port? -P PORT sets a different port"
            }
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                ". Is this machine on the network?"
            }
            _ => "",
        })
    }
}

/// Connects to the first address of a host that answers.
///
/// # Errors
/// If the name has no address, or none of them answers within `limit`.
pub(super) async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
    let begun = Instant::now();
    let found = match timeout(limit, lookup_host((host, port))).await {
        Ok(found) => found.map_err(|error| ConnectError::Lookup(zone_explained(host, error)))?.collect(),
        Err(_) => return Err(ConnectError::Tried { limit, addresses: Vec::new() }),
    };
    let left = limit.saturating_sub(begun.elapsed());
    connect_any(in_turn(found), left).await.map_err(|addresses| ConnectError::Tried { limit, addresses })
}

/// A lookup error. If the host has a zone, that is the likely reason.
fn zone_explained(host: &str, error: io::Error) -> io::Error {
    match host.split_once('%') {
        Some((_, zone)) => io::Error::other(format!(
            "{error}. {} should be the interface of a link-local address (fe80::…): `ip address` lists both",
            Escaped(zone.as_bytes())
        )),
        None => error,
    }
}

/// Addresses with alternating families, otherwise in their order.
fn in_turn(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut all = VecDeque::new();
    while !first.is_empty() || !other.is_empty() {
        all.extend(first.pop_front());
        all.extend(other.pop_front());
    }
    all
}

/// Connects to the first of the addresses that answers. The other attempts are dropped.
async fn connect_any(
    mut addresses: VecDeque<SocketAddr>,
    limit: Duration,
) -> Result<TcpStream, Vec<(SocketAddr, Option<io::Error>)>> {
    let end = Instant::now().checked_add(limit);
    let mut tried: Vec<(SocketAddr, Option<io::Error>)> = Vec::new();
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = addresses.pop_front() {
            let number = tried.len();
            tried.push((address, None));
            attempts.spawn(async move { (number, TcpStream::connect(address).await) });
        }
        let next = Instant::now() + ATTEMPT_DELAY;
        let ended = tokio::select! {
            ended = attempts.join_next() => ended,
            () = sleep_until(next), if !addresses.is_empty() => continue,
            () = until(end) => return Err(tried),
        };
        match ended {
            Some(Ok((_, Ok(stream)))) => return Ok(stream),
            Some(Ok((number, Err(error)))) => {
                if let Some((_, why)) = tried.get_mut(number) {
                    *why = Some(error);
                }
            }
            // An attempt is neither cancelled nor does it panic.
            Some(Err(_)) => {}
            None if addresses.is_empty() => return Err(tried),
            None => {}
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const TEST_TIMEOUT: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn an_unknown_zone_is_reported() {
        let error = connect("fe80::1%nosuch", 22, TEST_TIMEOUT).await.unwrap_err().to_string();
        assert!(error.contains("nosuch should be the interface of a link-local address"), "{error}");
    }

    #[test]
    fn address_families_alternate() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|text| text.parse().unwrap());
        let turns: Vec<String> = in_turn(addresses.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert!(in_turn(Vec::new()).is_empty());
    }

    /// An address that does not answer: its queue of connections is full.
    #[cfg(target_os = "linux")]
    fn dead() -> (SocketAddr, socket2::Socket, Vec<std::net::TcpStream>) {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        let brief = Duration::from_millis(100);
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, brief) {
            queued.push(stream);
        }
        (address, socket, queued)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_silent_address_does_not_block_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (alive, (dead, _socket, _queued)) = (listener.local_addr().unwrap(), dead());
        let stream = connect_any([dead, alive].into(), TEST_TIMEOUT).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        let tried = connect_any([dead].into(), Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(tried.as_slice(), [(address, None)] if *address == dead));
    }

    #[tokio::test]
    async fn all_failed_addresses_are_listed() {
        let refused = |listener: TcpListener| listener.local_addr().unwrap();
        let one = refused(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let other = refused(TcpListener::bind("127.0.0.2:0").await.unwrap());
        let tried = connect_any([one, other].into(), TEST_TIMEOUT).await.unwrap_err();
        let said = ConnectError::Tried { limit: TEST_TIMEOUT, addresses: tried }.to_string();
        let all = "127.0.0.1: connection refused; 127.0.0.2: connection refused. Is sshomed running";
        assert!(said.starts_with(all), "{said}");
        assert!(connect_any(VecDeque::new(), TEST_TIMEOUT).await.unwrap_err().is_empty());
    }
}
