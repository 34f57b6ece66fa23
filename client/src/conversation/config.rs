//! How the client wants its SSH connection.

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;
use std::time::Duration;

/// How much the server may send ahead on a channel, in bytes. A link is kept full as long as this
/// is at least twice its rate times its round trip.
const WINDOW_BYTES: u32 = 64 << 20;

/// The longest packet, in bytes. Measured: 64 to 128 KiB are fastest, 32 and 256 KiB are slower.
const MAX_PACKET_BYTES: u32 = 65535;

/// How long a server may take for each thing that it can do at once: a key exchange, a step of a
/// login, opening a channel, saying hello.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// The settings of a client's connection: which algorithms, in which order, and how much flows.
#[must_use]
pub fn config() -> russh::client::Config {
    russh::client::Config {
        window_size: WINDOW_BYTES,
        maximum_packet_size: MAX_PACKET_BYTES,
        channel_buffer_size: 64,
        keepalive_interval: Some(Duration::from_secs(30)),
        nodelay: true,
        preferred: preferred(),
        ..Default::default()
    }
}

fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::EXTENSION_SUPPORT_AS_CLIENT,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        ]),
        // No RSA with SHA-1.
        key: Cow::Borrowed(&[
            Algorithm::Ed25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ]),
        // The client's order wins. AES-GCM is twice as fast as chacha20 where the processor has AES.
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
        ..Preferred::DEFAULT
    }
}
