//! The source of a connection, the key of limits and penalties.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or an IPv6 network of 64 bits: a host usually controls all addresses of such a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceAddress(IpAddr);

impl SourceAddress {
    /// The source of a peer. `::ffff:192.0.2.1` is the same as 192.0.2.1.
    pub(super) fn of(peer: IpAddr) -> SourceAddress {
        match peer.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & (u128::MAX << 64);
                SourceAddress(Ipv6Addr::from(network).into())
            }
            address => SourceAddress(address),
        }
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_source() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let source = |text: &str| SourceAddress::of(text.parse().unwrap());
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }
}
