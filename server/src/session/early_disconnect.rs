//! Logs and counts connections that end before a login, with the cause.

use crate::audit::{Audit, shown, untrusted_name};
use crate::metrics::Metrics;
use russh::Error;
use russh::keys::{ssh_encoding, ssh_key};
use std::net::SocketAddr;

/// The number of bytes from an unauthenticated client that are logged.
const MAX_SHOWN_BYTES: usize = 64;

/// The logged length of a client's list of algorithms, in bytes. OpenSSH's longest has about 700.
const MAX_LIST_BYTES: usize = 1024;

/// The headers of the PROXY protocol, versions 1 and 2.
const PROXY_HEADERS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

/// Counts a connection that ended before it requested a login, and logs it unless there are too many such lines.
/// `opening` holds its first bytes.
pub(super) fn before_login(
    peer: SocketAddr,
    error: Option<&Error>,
    opening: &[u8],
    audit: &Audit,
    metrics: &Metrics,
) {
    let has_line = audit.has_line();
    let reason = match error {
        Some(Error::NoCommonAlgo { kind, ours, theirs }) => {
            if has_line {
                let (kind, ours, theirs) = (format!("{kind:?}"), ours.join(","), list(theirs));
                tracing::info!(%peer, kind, ours, theirs, "no algorithm in common");
            }
            "negotiation"
        }
        _ if PROXY_HEADERS.iter().any(|header| opening.starts_with(header)) => {
            if has_line {
                let why = "it begins with a PROXY header, which is not supported: turn it off at the proxy";
                tracing::info!(%peer, why, "no SSH client");
            }
            "no-ssh"
        }
        _ if !opening.is_empty() && !opening.starts_with(b"SSH-") => {
            if has_line {
                let sent = shown(opening.get(..MAX_SHOWN_BYTES).unwrap_or(opening));
                tracing::info!(%peer, sent, "no SSH client");
            }
            "no-ssh"
        }
        Some(error) if !opening.is_empty() => {
            if has_line {
                let why = shown(reason(error).as_bytes());
                tracing::info!(%peer, why, "connection failed before a login");
            }
            "protocol"
        }
        _ => {
            if has_line {
                tracing::info!(%peer, "disconnected before a login");
            }
            "disconnected"
        }
    };
    metrics.ended_without_login(reason);
}

/// Counts and logs a connection that failed during a login. `user` is the name that was tried last.
pub(super) fn during_login(
    peer: SocketAddr,
    user: Option<&str>,
    error: &Error,
    audit: &Audit,
    metrics: &Metrics,
) {
    if audit.has_line() {
        let (user, why) = (user.map(untrusted_name), shown(reason(error).as_bytes()));
        tracing::info!(%peer, user, why, "connection failed during a login");
    }
    metrics.ended_without_login("protocol");
}

/// Describes what the client sent wrong. russh's own texts sound like an error of the server.
fn reason(error: &Error) -> String {
    match error {
        Error::SshKey(ssh_key::Error::Encoding(ssh_encoding::Error::Label(label))) => {
            format!("the client's key or signature has an algorithm that is not supported: {label}")
        }
        Error::SshKey(ssh_key::Error::Encoding(error)) => undecodable("a key or a signature", error),
        Error::SshKey(error) => format!("a key or a signature that the client sent is not accepted: {error}"),
        Error::SshEncoding(error) => undecodable("a message, key or password", error),
        Error::Utf8(error) => format!("a text that the client sent is not UTF-8: {error}"),
        other => other.to_string(),
    }
}

fn undecodable(what: &str, error: &ssh_encoding::Error) -> String {
    let detail = match error {
        ssh_encoding::Error::Overflow | ssh_encoding::Error::Length => "a length in it is wrong".to_owned(),
        ssh_encoding::Error::CharacterEncoding => "it is not UTF-8".to_owned(),
        other => other.to_string(),
    };
    format!("{what} that the client sent cannot be decoded: {detail}")
}

fn list(names: &[String]) -> String {
    let joined = names.join(",");
    let start = joined.as_bytes().get(..MAX_LIST_BYTES).unwrap_or(joined.as_bytes());
    shown(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_errors_are_attributed_to_the_client() {
        let key = |error| Error::SshKey(ssh_key::Error::Encoding(error));
        for (error, want) in [
            (
                key(ssh_encoding::Error::Overflow),
                "a key or a signature that the client sent cannot be decoded: a length in it is wrong",
            ),
            (
                Error::SshEncoding(ssh_encoding::Error::CharacterEncoding),
                "a message, key or password that the client sent cannot be decoded: it is not UTF-8",
            ),
            (Error::Inconsistent, "Inconsistent state of the protocol"),
        ] {
            assert_eq!(reason(&error), want);
        }
    }
}
