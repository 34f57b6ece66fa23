//! Addresses to listen on.

use nix::net::if_::if_nametoindex;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Parses an address and a port. The zone of a link-local address may be the name of an interface or its number
/// (RFC 4007, section 11): `[fe80::1%eth0]:2222`.
///
/// # Errors
/// If it is not an address with a port. The message has a valid example.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = match text.parse() {
        Ok(address) => address,
        Err(_) => match with_zone(text) {
            Some(parsed) => parsed?,
            None => return Err(no_address(text)),
        },
    };
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => Err(format!(
            "\"{text}\" is a link-local address, which every interface may have: write \"[{}%eth0]:{}\" for eth0",
            v6.ip(),
            v6.port()
        )),
        address => Ok(address),
    }
}

/// An address with the name of an interface; `None` if it has none.
fn with_zone(text: &str) -> Option<Result<SocketAddr, String>> {
    let (host, port) = text.strip_prefix('[')?.rsplit_once("]:")?;
    let (ip, zone) = host.split_once('%')?;
    let (ip, port): (Ipv6Addr, u16) = (ip.parse().ok()?, port.parse().ok()?);
    Some(match if_nametoindex(zone) {
        Ok(index) => Ok(SocketAddrV6::new(ip, port, 0, index).into()),
        Err(_) => Err(format!("\"{text}\": there is no network interface {zone}; `ip address` lists them")),
    })
}

/// The message for text that is not an address with a port, with a valid example.
fn no_address(text: &str) -> String {
    match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        // The port is missing.
        Ok(ip) => format!("\"{text}\" has no port: write \"{}\"", SocketAddr::new(ip, 2222)),
        Err(_) => format!(
            "\"{text}\" is not an address with a port: write \"127.0.0.1:2222\" (this machine only), \
             \"0.0.0.0:2222\" or \"[::]:2222\" (everybody)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_a_name_or_a_number() {
        let index = if_nametoindex("lo").unwrap();
        let want: SocketAddr = format!("[fe80::1%{index}]:22").parse().unwrap();
        assert_eq!(parse_address("[fe80::1%lo]:22"), Ok(want));
        assert_eq!(parse_address(&format!("[fe80::1%{index}]:22")), Ok(want));
        for (text, says) in [
            ("[fe80::1%nosuch]:22", "no network interface nosuch"),
            ("[fe80::1]:22", "write \"[fe80::1%eth0]:22\""),
            ("fe80::1%lo", "is not an address with a port"),
            ("[127.0.0.1%lo]:22", "is not an address with a port"),
        ] {
            assert!(parse_address(text).unwrap_err().contains(says), "{text}: {:?}", parse_address(text));
        }
    }
}
