/// The order of the paths in a SYMLINK request. In the draft (section 6.10) the link comes first. In OpenSSH the target
/// comes first, and nearly all clients follow OpenSSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymlinkOrder {
    /// The link, then its target.
    Draft,
    /// The target of the link, then the link.
    OpenSsh,
}

/// The identifications of clients that use the draft's order unless the server's name is OpenSSH.
const DRAFT_ORDER_CLIENTS: [&[u8]; 6] = [
    b"SSH-2.0-AsyncSSH_",
    b"SSH-2.0-WinSCP_",
    b"SSH-2.0-libssh_",
    b"SSH-2.0-libssh-",
    // npm's ssh2, and clients built on it.
    b"SSH-2.0-ssh2js",
    b"SSH-2.0-phpseclib_",
];

impl SymlinkOrder {
    /// The order for a client with this identification (RFC 4253 section 4.2).
    #[must_use]
    pub fn of(identification: &[u8]) -> SymlinkOrder {
        match DRAFT_ORDER_CLIENTS.iter().any(|client| identification.starts_with(client)) {
            true => SymlinkOrder::Draft,
            false => SymlinkOrder::OpenSsh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_recognized_by_their_ssh_identification() {
        for client in [
            "AsyncSSH_2.24.1",
            "WinSCP_release_6.5",
            "libssh_0.11.1",
            "libssh-0.5.4",
            "ssh2js1.17.0",
            "phpseclib_3.0 (libsodium, openssl, gmp)",
        ] {
            assert_eq!(
                SymlinkOrder::of(format!("SSH-2.0-{client}").as_bytes()),
                SymlinkOrder::Draft,
                "{client}"
            );
        }
        for client in ["OpenSSH_9.2p1", "paramiko_5.1.0", "libssh2_1.11.1", "Go", "PuTTY_Release_0.78", ""] {
            assert_eq!(
                SymlinkOrder::of(format!("SSH-2.0-{client}").as_bytes()),
                SymlinkOrder::OpenSsh,
                "{client}"
            );
        }
    }
}
