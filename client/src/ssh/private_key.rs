//! Files of private keys, in the formats of OpenSSH, OpenSSL and PuTTY.
//!
//! russh reads these formats, but encrypted traditional PEM only for RSA keys with AES-128, and its errors do not
//! distinguish a wrong passphrase from an unknown encryption. They are distinguished here: a user who is asked three
//! times for a correct passphrase would look for the fault in the wrong place.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::pkcs5::{self, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use russh::keys::ssh_encoding::base64::{Base64, Encoding};
use russh::keys::ssh_key::{self, Cipher};
use russh::keys::{PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

/// Why a key cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrivateKeyError {
    /// It is encrypted, and there was no passphrase.
    #[error("is encrypted")]
    Encrypted,
    /// The passphrase is wrong.
    #[error("is encrypted with a different passphrase")]
    WrongPassphrase,
    /// Its encryption is not supported.
    #[error(
        "is encrypted with {0}, which is not supported: ssh-keygen -p -f FILE writes it in OpenSSH's form"
    )]
    Encryption(String),
    /// Its type or format is not supported.
    #[error("is a private key that cannot be read: {0}")]
    Unsupported(String),
    /// It is a PuTTY key whose type or format is not supported.
    #[error(
        "is a PuTTY key that cannot be read ({0}): puttygen FILE -O private-openssh -o FILE.openssh writes it in \
         OpenSSH's form"
    )]
    Putty(String),
    /// It is something else.
    #[error("holds no private key")]
    NoKey,
}

use PrivateKeyError::{Encrypted, Encryption, NoKey, Putty, Unsupported, WrongPassphrase};

/// Reads a private key, with its passphrase if it has one.
///
/// # Errors
/// If the text contains none, or it cannot be decrypted.
pub(super) fn decode(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, PrivateKeyError> {
    if text.trim_start().starts_with("PuTTY-User-Key-File-") {
        return putty(text, passphrase);
    }
    let pem = Pem::parse(text).ok_or(NoKey)?;
    match pem.label {
        "OPENSSH PRIVATE KEY" => openssh(text, passphrase),
        "ENCRYPTED PRIVATE KEY" => pkcs8(&pem.decoded()?, passphrase),
        label if label.ends_with("PRIVATE KEY") => match pem.encryption {
            Some(encryption) => traditional(label, encryption, &pem.decoded()?, passphrase),
            None => plain(label, &pem.decoded()?),
        },
        _ => Err(NoKey),
    }
}

/// OpenSSH's own format, PROTOCOL.key.
fn openssh(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, PrivateKeyError> {
    let key = PrivateKey::from_openssh(text.trim()).map_err(|error| Unsupported(error.to_string()))?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    if key.cipher() == Cipher::TdesCbc {
        return Err(Encryption(key.cipher().to_string()));
    }
    key.decrypt(passphrase.ok_or(Encrypted)?).map_err(|error| match error {
        ssh_key::Error::Crypto => WrongPassphrase,
        error => Unsupported(error.to_string()),
    })
}

/// PuTTY's format.
fn putty(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, PrivateKeyError> {
    let kind = text.lines().next().and_then(|line| line.split(':').nth(1)).unwrap_or_default().trim();
    if !["ssh-ed25519", "ssh-rsa"].contains(&kind) && !kind.starts_with("ecdsa-sha2-nistp") {
        return Err(Unsupported(format!("its type, {kind}, is not supported; use ed25519, ecdsa or rsa")));
    }
    let encrypted = !text.lines().any(|line| line.trim_end() == "Encryption: none");
    if encrypted && passphrase.is_none() {
        return Err(Encrypted);
    }
    decode_secret_key(text, passphrase.filter(|_| encrypted)).map_err(|error| {
        // The library does not export the type of this error.
        match format!("{error:?}").contains("IncorrectMac") {
            true if encrypted => WrongPassphrase,
            _ => Putty(error.to_string()),
        }
    })
}

/// PKCS #8 (RFC 5958).
fn pkcs8(der: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, PrivateKeyError> {
    let unsupported = || Encryption(algorithms(der));
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| unsupported())?;
    // Before a passphrase is asked for.
    if !is_supported(&info.encryption_algorithm) {
        return Err(unsupported());
    }
    let opened = info.decrypt(passphrase.ok_or(Encrypted)?).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) => WrongPassphrase,
        // One in 256 wrong passphrases gives a valid padding after random bytes.
        pkcs8::Error::Asn1(_) => WrongPassphrase,
        _ => unsupported(),
    })?;
    PrivateKeyInfoRef::try_from(opened.as_bytes()).map_err(|_| WrongPassphrase)?;
    plain("PRIVATE KEY", opened.as_bytes())
}

/// Whether the library can decrypt with this scheme: not with PBES1, nor with HMAC-SHA-1.
fn is_supported(scheme: &pkcs5::EncryptionScheme) -> bool {
    match scheme {
        pkcs5::EncryptionScheme::Pbes2(parameters) => {
            parameters.kdf.pbkdf2().is_none_or(|kdf| kdf.prf != pbes2::Pbkdf2Prf::HmacWithSha1)
        }
        _ => false,
    }
}

/// OpenSSL's PEM before PKCS #8 (RFC 1421): the key is derived from the passphrase with one round of MD5.
fn traditional(
    label: &str,
    encryption: &str,
    data: &[u8],
    passphrase: Option<&str>,
) -> Result<PrivateKey, PrivateKeyError> {
    let (cipher, iv) = encryption.split_once(',').unwrap_or((encryption, ""));
    let (cipher, iv) = (cipher.trim(), hex(iv.trim()).unwrap_or_default());
    let decrypt = match cipher {
        "AES-128-CBC" => decrypt::<Aes128>,
        "AES-192-CBC" => decrypt::<Aes192>,
        "AES-256-CBC" => decrypt::<Aes256>,
        "DES-EDE3-CBC" => decrypt::<TdesEde3>,
        other => return Err(Encryption(other.to_owned())),
    };
    let passphrase = passphrase.ok_or(Encrypted)?;
    let opened = decrypt(data, passphrase.as_bytes(), &iv).ok_or(WrongPassphrase)?;
    match is_sequence(&opened) {
        true => plain(label, &opened),
        // As above.
        false => Err(WrongPassphrase),
    }
}

fn decrypt<C: BlockCipherDecrypt + KeyInit>(
    data: &[u8],
    passphrase: &[u8],
    iv: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let key = derive(passphrase, iv.get(..8)?, C::key_size());
    let cipher = cbc::Decryptor::<C>::new_from_slices(&key, iv).ok()?;
    let mut buffer = Zeroizing::new(data.to_vec());
    let length = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

/// Derives a key of this length in bytes, as OpenSSL's `EVP_BytesToKey`.
fn derive(passphrase: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    let mut last: Zeroizing<Vec<u8>> = Zeroizing::default();
    while key.len() < length {
        let digest = Md5::new().chain_update(last.as_slice()).chain_update(passphrase).chain_update(salt);
        last = Zeroizing::new(digest.finalize().to_vec());
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

/// A key that is not encrypted, or was decrypted.
fn plain(label: &str, der: &[u8]) -> Result<PrivateKey, PrivateKeyError> {
    let body = Zeroizing::new(Base64::encode_string(der));
    let text = Zeroizing::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", *body));
    decode_secret_key(&text, None).map_err(|error| Unsupported(error.to_string()))
}

/// Whether the bytes are exactly one SEQUENCE of DER.
fn is_sequence(der: &[u8]) -> bool {
    let Some((0x30, rest)) = der.split_first().map(|(tag, rest)| (*tag, rest)) else { return false };
    let Some((&first, rest)) = rest.split_first() else { return false };
    let octets = usize::from(first & 0x7F);
    match (first & 0x80 != 0, rest.split_at_checked(octets)) {
        (false, _) => rest.len() == octets,
        (true, Some((length, content))) if octets <= 4 => {
            content.len() == length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet))
        }
        (true, _) => false,
    }
}

/// The algorithms of an encrypted PKCS #8 key, by the object identifiers at its beginning.
fn algorithms(der: &[u8]) -> String {
    const ENCRYPTION_SCHEMES: [(&[u8], &str); 12] = [
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x01", "PBES1 (MD2 and DES)"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x03", "PBES1 (MD5 and DES)"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x06", "PBES1 (MD5 and RC2)"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0A", "PBES1 (SHA-1 and DES)"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0B", "PBES1 (SHA-1 and RC2)"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x01", "a scheme of PKCS #12"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D", "PBES2"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x02\x07", "HMAC with SHA-1"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x03\x07", "3DES"),
        (b"\x2B\x0E\x03\x02\x07", "DES"),
        (b"\x2A\x83\x08\x8C\x9A\x4B\x3D\x01\x01\x01", "Camellia"),
        (b"\x2A\x86\x48\x86\xF7\x0D\x03\x02", "RC2"),
    ];
    let start = der.get(..128).unwrap_or(der);
    let named = |oid: &[u8]| start.windows(oid.len()).any(|window| window == oid);
    let mut found: Vec<&str> =
        ENCRYPTION_SCHEMES.iter().filter(|(oid, _)| named(oid)).map(|(_, name)| *name).collect();
    // PBKDF2 uses HMAC-SHA-1 by default, and then does not name it.
    let (pbkdf2, any_hmac) = (b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0C", b"\x2A\x86\x48\x86\xF7\x0D\x02");
    if named(pbkdf2) && !named(any_hmac) {
        found.push("HMAC with SHA-1");
    }
    if found.is_empty() { "an unknown algorithm".to_owned() } else { found.join(", ") }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect()
}

/// A block of PEM.
struct Pem<'a> {
    label: &'a str,
    /// The value of `DEK-Info`: an algorithm, a comma and an initialisation vector.
    encryption: Option<&'a str>,
    body: Zeroizing<String>,
}

impl<'a> Pem<'a> {
    /// The first block of a private key.
    fn parse(text: &'a str) -> Option<Pem<'a>> {
        let mut lines = text.lines().map(str::trim_end);
        // OpenSSL may put a block of parameters before the key.
        let label = lines.find_map(|line| {
            let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
            label.ends_with("PRIVATE KEY").then_some(label)
        })?;
        let mut pem = Pem { label, encryption: None, body: Zeroizing::default() };
        for line in lines {
            match line.split_once(':') {
                _ if line.starts_with("-----END ") => return Some(pem),
                Some(("DEK-Info", value)) => pem.encryption = Some(value.trim()),
                Some(_) => {}
                None => pem.body.push_str(line.trim()),
            }
        }
        None
    }

    fn decoded(&self) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
        let decoded = Base64::decode_vec(&self.body).map(Zeroizing::new);
        decoded.map_err(|error| Unsupported(format!("its Base64 is damaged: {error}")))
    }
}

#[cfg(test)]
mod tests;
