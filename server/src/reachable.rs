//! The addresses by which other machines reach this one.

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use std::net::{IpAddr, SocketAddr};

/// The addresses of this machine that others can reach: IPv4 before IPv6. Empty if the kernel does not list them.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |interface: InterfaceAddress| -> Option<IpAddr> {
        let address = interface.address.filter(|_| interface.flags.contains(InterfaceFlags::IFF_UP))?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    let is_reachable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut found: Vec<_> = interfaces.filter_map(address).filter(is_reachable).collect();
    found.sort();
    found
}

/// The addresses by which others reach a listening socket, on a machine with these addresses.
pub(crate) fn reachable(listening: SocketAddr, own: &[IpAddr]) -> Vec<SocketAddr> {
    let ip = listening.ip();
    let fits = |host: &&IpAddr| ip.is_ipv6() || host.is_ipv4();
    let with_port = |host: &IpAddr| SocketAddr::new(*host, listening.port());
    match own.iter().filter(fits).map(with_port).collect::<Vec<_>>() {
        hosts if ip.is_unspecified() && !hosts.is_empty() => hosts,
        _ => vec![listening],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_address_is_replaced_by_those_of_the_machine() {
        let own = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
        let shown = |listening: &str, own: &[IpAddr]| {
            let found = reachable(listening.parse().unwrap(), own);
            found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("0.0.0.0:2222", &own), "192.0.2.7:2222");
        assert_eq!(shown("[::]:2222", &own), "192.0.2.7:2222 [2001:db8::7]:2222");
        assert_eq!(shown("127.0.0.1:2222", &own), "127.0.0.1:2222");
        assert_eq!(shown("0.0.0.0:2222", &[]), "0.0.0.0:2222");
    }
}
