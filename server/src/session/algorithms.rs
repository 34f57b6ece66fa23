//! The settings of the SSH transport.

use crate::config::Kex;
use crate::limits::Limits;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server};
use std::borrow::Cow;
use std::time::Duration;

/// What a client may have under way to us, in bytes. A window is opened again when half of it is used up, so
/// this is enough for 1.3 Gbit/s at 100 ms.
pub(super) const WINDOW: u32 = 32 << 20;

/// The same as long as a client has not used up half of it, in bytes. What it sends without reading a reply has to
/// be held; a client that reads on is given [`WINDOW`]. Not less: russh ends a connection that has more than twice
/// this under way when keys are exchanged anew.
const FIRST_WINDOW: u32 = 20 << 20;

/// The largest packet that we take, in bytes.
const PACKET: u32 = 65_535;

/// How many messages to be sent may wait for russh, about a packet each. It puts together what it finds waiting,
/// and keeps the memory of the longest that it ever put together as long as the connection lives.
const AHEAD: usize = 4;

/// A refused login is answered after this time, however soon the answer is known.
const REFUSAL: Duration = Duration::from_millis(300);

/// russh's configuration for our host keys.
pub(super) fn transport(kex: Kex, keys: Vec<PrivateKey>, limits: &Limits) -> server::Config {
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-sshomed_", env!("CARGO_PKG_VERSION")))),
        methods: methods(),
        auth_rejection_time: REFUSAL,
        // The first "none" only asks which methods there are.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        window_size: FIRST_WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: 64,
        event_buffer_size: AHEAD,
        preferred: preferred(kex),
        max_auth_attempts: limits.login_attempts,
        // russh's would take its own keepalives for activity; ours is in `super::watch`.
        inactivity_timeout: None,
        keepalive_interval: Some(limits.keepalive_interval),
        keepalive_max: limits.keepalive_count,
        nodelay: true,
        ..server::Config::default()
    }
}

/// The ways to log in.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..])
}

/// Algorithms, the best first. No SHA-1, no CBC, no finite-field Diffie-Hellman, no zlib, no `none`.
fn preferred(kex: Kex) -> Preferred {
    const MARKERS: [kex::Name; 2] =
        [kex::EXTENSION_SUPPORT_AS_SERVER, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER];
    let exchanges: Vec<kex::Name> = match kex {
        Kex::PostQuantum => [&[kex::MLKEM768X25519_SHA256][..], &MARKERS].concat(),
        Kex::Compatible => {
            [&[kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731][..], &MARKERS]
                .concat()
        }
    };
    Preferred {
        kex: Cow::Owned(exchanges),
        // For the host key and for users' keys.
        key: Cow::Owned(vec![
            Algorithm::Ed25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ]),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_192_CTR,
            cipher::AES_128_CTR,
        ]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}
