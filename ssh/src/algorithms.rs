//! The SSH algorithms that both ends offer.

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;

/// The largest accepted packet, in bytes. Measured: 64 to 128 KiB are fastest, 32 and 256 KiB are slower.
pub const MAX_PACKET_BYTES: u32 = 65_535;

/// The offered algorithms, best first, with the markers of extensions (RFC 8308) that the client or the server adds to
/// its key exchanges. No SHA-1, no CBC, no zlib, no `none`, no finite-field Diffie-Hellman, no encrypt-and-MAC.
#[must_use]
pub fn preferred(markers: [kex::Name; 2]) -> Preferred {
    const EXCHANGES: [kex::Name; 3] =
        [kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
    Preferred {
        kex: Cow::Owned([&EXCHANGES[..], &markers].concat()),
        // For host keys and users' keys.
        key: Cow::Borrowed(&[
            Algorithm::Ed25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ]),
        host_key_certificates: Cow::Borrowed(&[]),
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
    }
}
