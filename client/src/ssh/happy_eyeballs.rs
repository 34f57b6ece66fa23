//! Connects to the first of a host's addresses that answers (RFC 8305, "Happy Eyeballs").
//!
//! The addresses are tried in the system's order, with alternating families, each shortly after the previous one. So a
//! dead address costs a moment, and not the whole time limit.

use super::config::AddressFamily;
use sshome_wire::display::Escaped;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// The delay between two addresses (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Which addresses may be used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AddressRules<'a> {
    /// The family of the host's address.
    pub family: AddressFamily,
    /// Our own address, or a name of it.
    pub bind_address: Option<&'a str>,
}

/// An address to connect to, and our own.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    address: SocketAddr,
    local: Option<SocketAddr>,
}

/// Why no address of a host could be reached.
#[derive(Debug)]
pub enum ConnectError {
    /// The name has no address.
    Lookup(io::Error),
    /// `BindAddress` is not an address of this machine.
    Local(String),
    /// The name has only addresses of other families.
    Family(AddressFamily),
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
            ConnectError::Local(problem) => return f.write_str(problem),
            ConnectError::Family(family) => {
                let family = match family {
                    AddressFamily::Any => "IP",
                    AddressFamily::V4 => "IPv4",
                    AddressFamily::V6 => "IPv6",
                };
                return write!(
                    f,
                    "it has no {family} address that may be used (-4, -6, AddressFamily, BindAddress)"
                );
            }
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
/// If the name has no address that may be used, or none of them answers within `limit`.
pub(super) async fn connect(
    host: &str,
    port: u16,
    rules: AddressRules<'_>,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let begun = Instant::now();
    let Ok(found) = timeout(limit, attempts(host, port, rules)).await else {
        return Err(ConnectError::Tried { limit, addresses: Vec::new() });
    };
    let left = limit.saturating_sub(begun.elapsed());
    connect_any(in_turn(found?), left).await.map_err(|addresses| ConnectError::Tried { limit, addresses })
}

/// The addresses of a host that may be used.
async fn attempts(host: &str, port: u16, rules: AddressRules<'_>) -> Result<Vec<Attempt>, ConnectError> {
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|error| ConnectError::Lookup(zone_explained(host, error)))?;
    let locals: Option<Vec<SocketAddr>> = match rules.bind_address {
        None => None,
        Some(name) => {
            let found = lookup_host((name, 0)).await;
            let name = Escaped(name.as_bytes());
            Some(
                found.map_err(|error| ConnectError::Local(format!("BindAddress {name}: {error}")))?.collect(),
            )
        }
    };
    let attempt = |address: SocketAddr| match &locals {
        None => Some(Attempt { address, local: None }),
        Some(locals) => {
            let local = locals.iter().find(|local| local.is_ipv6() == address.is_ipv6())?;
            Some(Attempt { address, local: Some(*local) })
        }
    };
    let is_wanted = |address: &SocketAddr| match rules.family {
        AddressFamily::Any => true,
        AddressFamily::V4 => address.is_ipv4(),
        AddressFamily::V6 => address.is_ipv6(),
    };
    let attempts: Vec<_> = found.filter(is_wanted).filter_map(attempt).collect();
    if attempts.is_empty() { Err(ConnectError::Family(rules.family)) } else { Ok(attempts) }
}

async fn connect_from(Attempt { address, local }: Attempt) -> io::Result<TcpStream> {
    let Some(local) = local else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(local)?;
    socket.connect(address).await
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
fn in_turn(attempts: Vec<Attempt>) -> VecDeque<Attempt> {
    let first_is_v6 = attempts.first().is_some_and(|attempt| attempt.address.is_ipv6());
    let (mut first, mut other): (VecDeque<_>, VecDeque<_>) =
        attempts.into_iter().partition(|attempt| attempt.address.is_ipv6() == first_is_v6);
    let mut all = VecDeque::new();
    while !first.is_empty() || !other.is_empty() {
        all.extend(first.pop_front());
        all.extend(other.pop_front());
    }
    all
}

/// Connects to the first of the addresses that answers. The other attempts are dropped.
async fn connect_any(
    mut addresses: VecDeque<Attempt>,
    limit: Duration,
) -> Result<TcpStream, Vec<(SocketAddr, Option<io::Error>)>> {
    let end = Instant::now().checked_add(limit);
    let mut tried: Vec<(SocketAddr, Option<io::Error>)> = Vec::new();
    let mut attempts = JoinSet::new();
    loop {
        if let Some(attempt) = addresses.pop_front() {
            let number = tried.len();
            tried.push((attempt.address, None));
            attempts.spawn(async move { (number, connect_from(attempt).await) });
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

    fn to(address: SocketAddr) -> Attempt {
        Attempt { address, local: None }
    }

    #[tokio::test]
    async fn only_addresses_that_may_be_used_are_tried() {
        let rules = |family, bind_address| AddressRules { family, bind_address };
        let v4 = attempts("127.0.0.1", 9, rules(AddressFamily::V4, Some("127.0.0.2"))).await.unwrap();
        assert_eq!(v4[0].local, Some("127.0.0.2:0".parse().unwrap()));
        for rules in [rules(AddressFamily::V6, None), rules(AddressFamily::Any, Some("::1"))] {
            let error = attempts("127.0.0.1", 9, rules).await.unwrap_err().to_string();
            assert!(error.contains("address that may be used"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_bound_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rules = AddressRules { bind_address: Some("127.0.0.2"), ..AddressRules::default() };
        let port = listener.local_addr().unwrap().port();
        let stream = connect("127.0.0.1", port, rules, TEST_TIMEOUT).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), "127.0.0.2");
    }

    #[tokio::test]
    async fn an_unknown_zone_is_reported() {
        let error = connect("fe80::1%nosuch", 22, AddressRules::default(), TEST_TIMEOUT)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("nosuch should be the interface of a link-local address"), "{error}");
    }

    #[test]
    fn address_families_alternate() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|text| to(text.parse().unwrap()));
        let turns: Vec<String> =
            in_turn(addresses.to_vec()).iter().map(|attempt| attempt.address.to_string()).collect();
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
        let stream = connect_any([to(dead), to(alive)].into(), TEST_TIMEOUT).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        let tried = connect_any([to(dead)].into(), Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(tried.as_slice(), [(address, None)] if *address == dead));
    }

    #[tokio::test]
    async fn all_failed_addresses_are_listed() {
        let refused = |listener: TcpListener| listener.local_addr().unwrap();
        let one = refused(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let other = refused(TcpListener::bind("127.0.0.2:0").await.unwrap());
        let tried = connect_any([to(one), to(other)].into(), TEST_TIMEOUT).await.unwrap_err();
        let said = ConnectError::Tried { limit: TEST_TIMEOUT, addresses: tried }.to_string();
        let all = "127.0.0.1: connection refused; 127.0.0.2: connection refused. Is sshomed running";
        assert!(said.starts_with(all), "{said}");
        assert!(connect_any(VecDeque::new(), TEST_TIMEOUT).await.unwrap_err().is_empty());
    }
}
