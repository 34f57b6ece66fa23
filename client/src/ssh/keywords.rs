//! The keywords of ssh_config that this client knows.

/// The treatment of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is supported, or refused where it is set.
    Understood,
    /// It is ignored: it has no effect on this client, or the client is stricter anyway.
    Harmless,
}

/// The treatment of a keyword, in any case of its letters; `None` if it is unknown.
#[must_use]
pub(super) fn treatment(keyword: &str) -> Option<Treatment> {
    let is_in = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(keyword));
    match () {
        () if is_in(SUPPORTED_KEYWORDS) => Some(Treatment::Understood),
        () if is_in(IGNORED_KEYWORDS) => Some(Treatment::Harmless),
        () => None,
    }
}

const SUPPORTED_KEYWORDS: &[&str] = &[
    "AddressFamily",
    "BatchMode",
    "BindAddress",
    "BindInterface",
    "CertificateFile",
    "ChallengeResponseAuthentication",
    "ConnectTimeout",
    "GlobalKnownHostsFile",
    "Host",
    "HostKeyAlias",
    "HostName",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "IgnoreUnknown",
    "Include",
    "KbdInteractiveAuthentication",
    "Match",
    "PasswordAuthentication",
    "Port",
    "ProxyCommand",
    "ProxyJump",
    "ProxyUseFdpass",
    "PubkeyAuthentication",
    "RevokedHostKeys",
    "ServerAliveCountMax",
    "ServerAliveInterval",
    "StrictHostKeyChecking",
    "User",
    "UserKnownHostsFile",
];

/// Algorithms are ignored because this client has its own short list of modern ones; commands that supply host keys, and
/// canonical names, because without them a host is unknown, not trusted; forwarding, terminals and multiplexing because
/// it has none.
const IGNORED_KEYWORDS: &[&str] = &[
    "AddKeysToAgent",
    "CASignatureAlgorithms",
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeHostname",
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
    "HashKnownHosts",
    "HostKeyAlgorithms",
    "HostbasedAcceptedAlgorithms",
    "HostbasedAuthentication",
    "HostbasedKeyTypes",
    "IPQoS",
    "KbdInteractiveDevices",
    "KexAlgorithms",
    "KnownHostsCommand",
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
        let mut all: Vec<_> = [SUPPORTED_KEYWORDS, IGNORED_KEYWORDS].concat();
        let count = all.len();
        all.sort_by_key(|keyword| keyword.to_lowercase());
        all.dedup_by_key(|keyword| keyword.to_lowercase());
        assert_eq!(all.len(), count);
        assert_eq!(treatment("proxyjump"), Some(Treatment::Understood));
        assert_eq!(treatment("hostNAME"), Some(Treatment::Understood));
        assert_eq!(treatment("Hostnam"), None);
    }
}
