//! `from="…"` of `authorized_keys` (sshd(8)): the addresses that a key may come from.

use ipnet::IpNet;
use sshome_ssh::Glob;
use std::net::IpAddr;

/// A list of patterns for the client's address. A client is accepted if a pattern matches and no negated one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    negated: bool,
    pattern: AddressPattern,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AddressPattern {
    Network(IpNet),
    /// A glob on the address as text: `*` matches any characters, `?` one.
    Text(Glob),
}

/// Why a pattern is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// An empty pattern, or no pattern.
    #[error("from=\"…\" has an empty pattern in it")]
    Empty,
    /// All patterns are negated, so no client could match.
    #[error("from=\"…\" only excludes addresses: no address would match; add \"*\" for all others")]
    OnlyNegated,
    /// It is neither address nor network nor pattern on an address.
    #[error(
        "from=\"{0}\" is not an address (192.0.2.1), network (192.0.2.0/24) or pattern (192.0.2.*); host names are not looked up"
    )]
    NoAddress(String),
    /// The address has bits beyond the network's mask.
    #[error("from=\"{0}\" has an address inside the network: the network is {1}")]
    HostBits(String, IpNet),
}

impl Origin {
    /// Reads the list between the quotes.
    ///
    /// # Errors
    /// On the first invalid pattern: ignoring it would lock clients out, or accept them if it is negated.
    pub fn parse(list: &str) -> Result<Origin, OriginError> {
        let rules = list.split(',').map(Rule::parse).collect::<Result<Vec<_>, _>>()?;
        if rules.iter().all(|rule| rule.negated) {
            return Err(OriginError::OnlyNegated);
        }
        Ok(Origin(rules))
    }

    /// Whether a peer of this address may use the key. `::ffff:192.0.2.1` is 192.0.2.1.
    #[must_use]
    pub fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let text = peer.to_string();
        let matching =
            |negated| self.0.iter().any(|rule| rule.negated == negated && rule.pattern.matches(peer, &text));
        matching(false) && !matching(true)
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, OriginError> {
        let text = text.trim();
        let (negated, pattern) = match text.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, text),
        };
        Ok(Rule { negated, pattern: AddressPattern::parse(pattern)? })
    }
}

impl AddressPattern {
    fn parse(text: &str) -> Result<AddressPattern, OriginError> {
        let refused = || OriginError::NoAddress(text.to_owned());
        if text.is_empty() {
            return Err(OriginError::Empty);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(AddressPattern::Network(IpNet::from(address.to_canonical())));
        }
        if text.contains('/') {
            let network = text.parse::<IpNet>().map_err(|_| refused())?;
            if network.addr() != network.network() {
                return Err(OriginError::HostBits(text.to_owned(), network.trunc()));
            }
            return Ok(AddressPattern::Network(canonical(network)));
        }
        let lower = text.to_ascii_lowercase();
        let in_address = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '.' | ':' | '*' | '?');
        // Peers are matched as plain IPv4 addresses, so a pattern on the mapped form never would be.
        if !lower.chars().all(in_address) || !lower.contains(['*', '?']) || lower.starts_with("::ffff:") {
            return Err(refused());
        }
        Ok(AddressPattern::Text(Glob::host(text)))
    }

    fn matches(&self, peer: IpAddr, text: &str) -> bool {
        match self {
            AddressPattern::Network(network) => network.contains(&peer),
            AddressPattern::Text(glob) => glob.matches(text.as_bytes()),
        }
    }
}

/// A network of IPv4 addresses that is written as IPv6 is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.addr().to_canonical() else { return network };
    let Some(prefix) = network.prefix_len().checked_sub(if network.addr().is_ipv6() { 96 } else { 0 }) else {
        return network;
    };
    IpNet::new(address.into(), prefix).unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_patterns_and_negation() {
        for (list, peer, want) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.0/24", "192.0.2.200", true),
            ("192.0.2.0/24", "::ffff:192.0.2.200", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.3.9", false),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:DB8::1", "2001:db8:0::1", true),
            ("2001:db8::/32", "192.0.2.1", false),
            ("::/0", "192.0.2.1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("192.0.2.*", "192.0.2.77", true),
            ("192.0.2.?", "192.0.2.77", false),
            ("192.0.2.??", "192.0.2.77", true),
            ("2001:DB8::*", "2001:db8::5", true),
            ("*", "2001:db8::5", true),
            ("*", "127.0.0.1", true),
            ("*,!192.0.2.0/24", "192.0.2.1", false),
            ("*,!192.0.2.0/24", "192.0.3.1", true),
            ("!192.0.2.7,192.0.2.0/24", "192.0.2.7", false),
            ("!192.0.2.7,192.0.2.0/24", "::ffff:192.0.2.7", false),
            ("192.0.2.1, 192.0.2.2", "192.0.2.2", true),
        ] {
            let origin = Origin::parse(list).unwrap();
            assert_eq!(origin.allows(peer.parse().unwrap()), want, "{peer} in {list}");
        }
    }

    #[test]
    fn invalid_patterns_are_refused() {
        let no_address = |text: &str| OriginError::NoAddress(text.to_owned());
        for (list, want) in [
            ("", OriginError::Empty),
            ("192.0.2.1,,192.0.2.2", OriginError::Empty),
            ("!", OriginError::Empty),
            ("!192.0.2.1", OriginError::OnlyNegated),
            ("laptop.example.org", no_address("laptop.example.org")),
            ("*.example.org", no_address("*.example.org")),
            ("192.0.2.256", no_address("192.0.2.256")),
            ("192.0.2.0/33", no_address("192.0.2.0/33")),
            ("*,!::ffff:192.0.2.*", no_address("::ffff:192.0.2.*")),
            ("192.0.2.9/24", OriginError::HostBits("192.0.2.9/24".into(), "192.0.2.0/24".parse().unwrap())),
        ] {
            assert_eq!(Origin::parse(list), Err(want), "{list}");
        }
    }
}
