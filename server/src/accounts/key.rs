//! Lines of `authorized_keys` (sshd(8)): options, type, key, comment.

use super::{Access, Expiry, Origin, OriginError, earlier};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use sshome_wire::RemotePath;
use sshome_wire::public_key::{OtherForm, each_option, is_idle_option, is_key_type, split_options};
use std::net::IpAddr;

/// The smallest accepted RSA key, in bits.
const MIN_RSA: usize = 2048;

/// A public key that may log in, and the addresses that it may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    key: PublicKey,
    origin: Option<Origin>,
    expires: Option<Expiry>,
    /// Where the view of the home begins; `None` for the whole home.
    folder: Option<RemotePath>,
    /// `None` if the key is a line.
    limits: Option<KeyLimits>,
}

/// The limits in a key's table in the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// The permissions. Those of the account apply as well.
    pub access: Access,
}

/// What options before a key say, or the settings of its table.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyOptions {
    pub(crate) origin: Option<Origin>,
    pub(crate) expires: Option<Expiry>,
    pub(crate) folder: Option<RemotePath>,
}

/// Reads the folder of a key: an absolute path in the home, without `..`.
pub(crate) fn parse_folder(text: &str) -> Option<RemotePath> {
    let path = RemotePath::root().join(text.as_bytes()).ok().filter(|_| text.starts_with('/'))?;
    let is_plain = path.components().all(|name| name != b"." && name != b"..");
    is_plain.then_some(path)
}

/// Why a line is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is a private key.
    #[error(
        "is a private key, which must stay with its user: give the public key, the file that ends in .pub"
    )]
    Private,
    /// It is a public key in another form.
    #[error("is {0}")]
    Form(OtherForm),
    /// It is not in OpenSSH's form.
    #[error("is not a public key: a line looks like \"ssh-ed25519 AAAA… comment\"")]
    NoKey,
    /// Its type is not accepted.
    #[error("is a key of type {0}, which is not supported: use ed25519, ecdsa or rsa")]
    Type(String),
    /// It is too short.
    #[error("is an RSA key of {0} bits: the minimum is {MIN_RSA}")]
    ShortRsa(usize),
    /// The line has an option that this server does not enforce.
    #[error(
        "has the option \"{0}\", which is not supported: remove it. Supported are from=\"…\", expiry-time=\"…\", folder=\"…\", restrict, and pty, port-forwarding, agent-forwarding, X11-forwarding and user-rc, with or without no- before them"
    )]
    Option(String),
    /// `from=` is given twice.
    #[error("has two options from=\"…\": put all patterns into one, with commas")]
    TwoOrigins,
    /// The value of `expiry-time=` is no date.
    #[error(
        "has the option expiry-time=\"{0}\", which is not a date: use YYYYMMDD or YYYYMMDDHHMM, with Z for UTC"
    )]
    Expiry(String),
    /// The value of `folder=` is no folder of the home.
    #[error(
        "has the option folder=\"{0}\", which is not a folder of the home: write it as folder=\"/laptop\""
    )]
    Folder(String),
    /// The options are not in OpenSSH's form.
    #[error("has options that cannot be read: quotes do not match, or a value has none")]
    Options,
    /// The patterns of `from=` are invalid.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

impl KeyError {
    /// The message about a line of this file, with commands that name it.
    #[must_use]
    pub fn in_file(&self, file: &str) -> String {
        match self {
            KeyError::Form(form) => format!("is {}", form.told(file)),
            other => other.to_string(),
        }
    }
}

impl AuthorizedKey {
    /// Reads one line.
    ///
    /// # Errors
    /// If the key is not accepted, or an option is unknown.
    pub fn parse(line: &str) -> Result<AuthorizedKey, KeyError> {
        if is_private(line) {
            return Err(KeyError::Private);
        }
        if let Some(form) = OtherForm::of(line) {
            return Err(KeyError::Form(form));
        }
        let (words, rest) = split_options(line);
        let KeyOptions { origin, expires, folder } = options(words, rest)?;
        Ok(AuthorizedKey { origin, expires, folder, key: public_key(rest)?, limits: None })
    }

    /// Parses a file's text. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// On the first line that is rejected, with its number, from 1.
    pub fn parse_file(text: &str) -> Result<Vec<AuthorizedKey>, (usize, KeyError)> {
        if is_private(text) {
            return Err((1, KeyError::Private));
        }
        if let Some(form) = OtherForm::of(text) {
            return Err((1, KeyError::Form(form)));
        }
        text.lines()
            .enumerate()
            .filter(|(_, line)| !matches!(line.trim_start().chars().next(), None | Some('#')))
            .map(|(index, line)| AuthorizedKey::parse(line).map_err(|error| (index + 1, error)))
            .collect()
    }

    /// Whether this key matches `key`, offered from that address.
    #[must_use]
    pub fn opens(&self, key: &PublicKey, from: IpAddr) -> bool {
        self.is(key) && self.origin.as_ref().is_none_or(|origin| origin.allows(from))
    }

    /// Whether it is the same key. Comments are ignored.
    #[must_use]
    pub fn is(&self, key: &PublicKey) -> bool {
        self.key.key_data() == key.key_data()
    }

    /// The key itself.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Its fingerprint, as OpenSSH shows it: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether it is restricted to some addresses.
    #[must_use]
    pub fn is_restricted_by_address(&self) -> bool {
        self.origin.is_some()
    }

    /// Whether it permits less than the account, or expires. Such a key must not be used to install other keys.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.has_options() || self.access() != Access::ReadWrite
    }

    /// Whether an option before the key has an effect.
    pub(crate) fn has_options(&self) -> bool {
        self.origin.is_some() || self.expires.is_some() || self.folder.is_some()
    }

    /// The folder at which the view of the home begins; `None` for the whole home.
    #[must_use]
    pub fn folder(&self) -> Option<&RemotePath> {
        self.folder.as_ref()
    }

    /// The time from which it is not accepted. `None` is never.
    #[must_use]
    pub fn expires(&self) -> Option<Expiry> {
        self.expires
    }

    /// The permissions. Those of the account apply as well.
    #[must_use]
    pub fn access(&self) -> Access {
        self.limits.map(|limits| limits.access).unwrap_or_default()
    }

    /// The limits of its table in the settings; `None` if it is a line.
    #[must_use]
    pub fn limits(&self) -> Option<KeyLimits> {
        self.limits
    }

    /// The same key as its table in the settings describes it.
    pub(crate) fn with_limits(
        mut self,
        KeyOptions { origin, expires, folder }: KeyOptions,
        comment: Option<&str>,
        limits: KeyLimits,
    ) -> AuthorizedKey {
        if let Some(comment) = comment {
            self.key.set_comment(comment);
        }
        AuthorizedKey { key: self.key, origin, expires, folder, limits: Some(limits) }
    }

    /// The same key, without permissions that its earlier version `old` does not have, without a later expiry, and in the same
    /// folder, if `old` has one.
    pub(crate) fn without_grants(mut self, old: &AuthorizedKey) -> AuthorizedKey {
        let access = self.access().and(old.access());
        if access != self.access() {
            self.limits = Some(KeyLimits { access });
        }
        self.expires = earlier(self.expires, old.expires);
        if old.folder.is_some() {
            self.folder.clone_from(&old.folder);
        }
        self
    }

    /// The key and its comment as a line, without options and without its end.
    ///
    /// # Errors
    /// If the key cannot be written in OpenSSH's form.
    pub fn to_line(&self) -> Result<String, KeyError> {
        self.key.to_openssh().map(|line| line.trim_end().to_owned()).map_err(|_| KeyError::NoKey)
    }

    /// The comment. It is untrusted: escape it.
    #[must_use]
    pub fn comment(&self) -> &[u8] {
        self.key.comment().as_bytes()
    }
}

/// Whether a text looks like a line of `authorized_keys`, and not like a file name.
#[must_use]
pub fn looks_like_a_line(text: &str) -> bool {
    let mut words = text.split_whitespace();
    // The base64 form of every SSH key begins with the length of its type, three zero bytes.
    let has_key = words.clone().any(|word| word.starts_with("AAAA"));
    let has_type = words.clone().count() > 1 && words.any(is_key_type);
    has_key || has_type || is_private(text) || OtherForm::of(text).is_some()
}

fn is_private(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// Reads type, key and comment.
fn public_key(text: &str) -> Result<PublicKey, KeyError> {
    let mut words = text.split_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else { return Err(KeyError::NoKey) };
    let allowed = kind == "ssh-ed25519" || kind == "ssh-rsa" || kind.starts_with("ecdsa-sha2-nistp");
    if is_key_type(kind) && !allowed {
        return Err(KeyError::Type(kind.to_owned()));
    }
    let mut key = PublicKey::from_openssh(&format!("{kind} {blob}")).map_err(|_| KeyError::NoKey)?;
    match key.algorithm() {
        Algorithm::Ed25519 => {}
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 | EcdsaCurve::NistP384 | EcdsaCurve::NistP521 } => {}
        Algorithm::Rsa { .. } if rsa_bits(&key) < MIN_RSA => return Err(KeyError::ShortRsa(rsa_bits(&key))),
        Algorithm::Rsa { .. } => {}
        other => return Err(KeyError::Type(other.as_str().to_owned())),
    }
    key.set_comment(words.collect::<Vec<_>>().join(" "));
    Ok(key)
}

fn rsa_bits(key: &PublicKey) -> usize {
    let modulus = key.key_data().rsa().and_then(|rsa| rsa.n().as_positive_bytes()).unwrap_or_default();
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    modulus.len() * 8 - unused
}

/// Reads the options before a key.
fn options(words: &str, rest: &str) -> Result<KeyOptions, KeyError> {
    if rest.is_empty() {
        return Err(KeyError::NoKey);
    }
    let KeyOptions { mut origin, mut expires, mut folder } = KeyOptions::default();
    let quoted = |value: &str| -> Result<String, KeyError> {
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        value.map(str::to_owned).ok_or(KeyError::Options)
    };
    for option in each_option(words) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            (name, None) if is_idle_option(name) => {}
            ("from", Some(value)) => {
                let list = Origin::parse(&quoted(value)?)?;
                if origin.replace(list).is_some() {
                    return Err(KeyError::TwoOrigins);
                }
            }
            ("expiry-time", Some(value)) => {
                let value = quoted(value)?;
                let time = Expiry::parse_option(&value).ok_or(KeyError::Expiry(value))?;
                // As in OpenSSH, the earliest of several applies.
                expires = earlier(expires, Some(time));
            }
            ("folder", Some(value)) => {
                let value = quoted(value)?;
                folder = Some(parse_folder(&value).ok_or(KeyError::Folder(value))?);
            }
            ("from" | "expiry-time" | "folder", None) => return Err(KeyError::Options),
            _ => return Err(unknown_option(name, words, rest)),
        }
    }
    Ok(KeyOptions { origin, expires, folder })
}

/// The error for an unknown option. A line without a key type and a known option is probably not a key line at all.
fn unknown_option(name: &str, words: &str, rest: &str) -> KeyError {
    let key_follows = rest.split_whitespace().next().is_some_and(is_key_type);
    if key_follows && words.matches('"').count().is_multiple_of(2) {
        KeyError::Option(name.to_owned())
    } else {
        KeyError::NoKey
    }
}

#[cfg(test)]
mod tests;
