//! How this client treats the keywords of ssh_config.

/// The treatment of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is supported.
    Understood,
    /// It is ignored: it has no effect on this client, or the client is stricter anyway.
    Harmless,
    /// It is refused: it would change the route, the protocol or the trust of a connection, and is not supported.
    Refused,
}

/// The treatment of a keyword, in any case of its letters; `None` if it is unknown.
#[must_use]
pub(super) fn treatment(keyword: &str) -> Option<Treatment> {
    let is_in = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(keyword));
    match () {
        () if is_in(SUPPORTED_KEYWORDS) => Some(Treatment::Understood),
        () if is_in(REFUSED_KEYWORDS) => Some(Treatment::Refused),
        () if is_in(IGNORED_KEYWORDS) => Some(Treatment::Harmless),
        () => None,
    }
}

const SUPPORTED_KEYWORDS: &[&str] = &[
    "BatchMode",
    "ChallengeResponseAuthentication",
    "ConnectTimeout",
    "Host",
    "HostName",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "IgnoreUnknown",
    "KbdInteractiveAuthentication",
    "PasswordAuthentication",
    "Port",
    "PubkeyAuthentication",
    "ServerAliveCountMax",
    "ServerAliveInterval",
    "StrictHostKeyChecking",
    "User",
    "UserKnownHostsFile",
];

const REFUSED_KEYWORDS: &[&str] = &[
    "AddressFamily",
    "BindAddress",
    "BindInterface",
    "CanonicalizeHostname",
    "CertificateFile",
    "HostKeyAlias",
    "Include",
    "KnownHostsCommand",
    "Match",
    "ProxyCommand",
    "ProxyJump",
    "ProxyUseFdpass",
    "RevokedHostKeys",
];

/// Algorithms are ignored because this client has its own short list of modern ones; global files of known hosts
/// because without them a host is unknown, not trusted; forwarding, terminals and multiplexing because it has none.
const IGNORED_KEYWORDS: &[&str] = &[
    "AddKeysToAgent",
    "CASignatureAlgorithms",
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs",
    "ChannelTimeout",
    "CheckHostIP",
    "Ciphers",
    "ClearAllForwardings",
    "Compression",
    "CompressionLevel",
    "ConnectionAttempts",
    "ControlMaster",
    "ControlPath",
    "ControlPersist",
    "DynamicForward",
    "EnableEscapeCommandline",
    "EnableSSHKeysign",
    "EscapeChar",
    "ExitOnForwardFailure",
    "FingerprintHash",
    "ForkAfterAuthentication",
    "ForwardAgent",
    "ForwardX11",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "GSSAPIAuthentication",
    "GSSAPIDelegateCredentials",
    "GSSAPIKeyExchange",
    "GSSAPITrustDNS",
    "GatewayPorts",
    "GlobalKnownHostsFile",
    "HashKnownHosts",
    "HostKeyAlgorithms",
    "HostbasedAcceptedAlgorithms",
    "HostbasedAuthentication",
    "HostbasedKeyTypes",
    "IPQoS",
    "KbdInteractiveDevices",
    "KexAlgorithms",
    "LocalCommand",
    "LocalForward",
    "LogLevel",
    "LogVerbose",
    "MACs",
    "NoHostAuthenticationForLocalhost",
    "NumberOfPasswordPrompts",
    "ObscureKeystrokeTiming",
    "PKCS11Provider",
    "PermitLocalCommand",
    "PermitRemoteOpen",
    "PreferredAuthentications",
    "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes",
    "RefuseConnection",
    "RekeyLimit",
    "RemoteCommand",
    "RemoteForward",
    "RequestTTY",
    "RequiredRSASize",
    "SecurityKeyProvider",
    "SendEnv",
    "SessionType",
    "SetEnv",
    "StdinNull",
    "StreamLocalBindMask",
    "StreamLocalBindUnlink",
    "SyslogFacility",
    "TCPKeepAlive",
    "Tag",
    "Tunnel",
    "TunnelDevice",
    "UpdateHostKeys",
    "UseKeychain",
    "VerifyHostKeyDNS",
    "VersionAddendum",
    "VisualHostKey",
    "WarnWeakCrypto",
    "XAuthLocation",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keyword_is_in_one_list() {
        let mut all: Vec<_> = [SUPPORTED_KEYWORDS, REFUSED_KEYWORDS, IGNORED_KEYWORDS].concat();
        let count = all.len();
        all.sort_by_key(|keyword| keyword.to_lowercase());
        all.dedup_by_key(|keyword| keyword.to_lowercase());
        assert_eq!(all.len(), count);
        assert_eq!(treatment("proxyjump"), Some(Treatment::Refused));
        assert_eq!(treatment("hostNAME"), Some(Treatment::Understood));
        assert_eq!(treatment("Hostnam"), None);
    }
}
