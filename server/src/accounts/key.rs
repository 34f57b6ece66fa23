//! Lines of `authorized_keys` (sshd(8)): options, type, key, comment.

use super::{Origin, OriginError};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use sshome_wire::public_key::{OtherForm, each_option, is_idle_option, is_key_type, split_options};
use std::net::IpAddr;

/// The smallest accepted RSA key, in bits.
const MIN_RSA: usize = 2048;

/// A public key that may log in, and the addresses that it may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    key: PublicKey,
    origin: Option<Origin>,
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
        "has the option \"{0}\", which is not supported: remove it. Supported are from=\"…\", restrict, and pty, port-forwarding, agent-forwarding, X11-forwarding and user-rc, with or without no- before them"
    )]
    Option(String),
    /// `from=` is given twice.
    #[error("has two options from=\"…\": put all patterns into one, with commas")]
    TwoOrigins,
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
        Ok(AuthorizedKey { origin: options(words, rest)?, key: public_key(rest)? })
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

/// Reads the options before a key, and returns the addresses that the key may come from.
fn options(words: &str, rest: &str) -> Result<Option<Origin>, KeyError> {
    if rest.is_empty() {
        return Err(KeyError::NoKey);
    }
    let mut origin = None;
    for option in each_option(words) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            (name, None) if is_idle_option(name) => {}
            ("from", Some(value)) => {
                let list = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                let list = Origin::parse(list.ok_or(KeyError::Options)?)?;
                if origin.replace(list).is_some() {
                    return Err(KeyError::TwoOrigins);
                }
            }
            ("from", None) => return Err(KeyError::Options),
            _ => return Err(unknown_option(name, words, rest)),
        }
    }
    Ok(origin)
}

/// What does not begin with a type and has no known option is more likely no key line at all.
fn unknown_option(name: &str, words: &str, rest: &str) -> KeyError {
    let key_follows = rest.split_whitespace().next().is_some_and(is_key_type);
    if key_follows && words.matches('"').count().is_multiple_of(2) {
        KeyError::Option(name.to_owned())
    } else {
        KeyError::NoKey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa alex at home";
    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA=";
    const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCvUk+HhPlWbZ6Mw8RMKTkFFIgP1jMgUqSfNGPnZ2Y3LYqY0FQoGjdyzPZPimdzlCNbmFhXiQZu7PLl/JrTZ0J7PxmV93XUpzb0L7C/q2VWfYzSwDImYyJGdxJ8y/MkT7r1A3DA29hNu4TmDxZPfK1l0K7QxjOa+IoT9cOMZOa2/TZHuGnCbTm2oE9944DhYdlAwBZNUppxXB0e+F+ZB3+Gw9X/sUYpalCt54kRZlEQsVPuhxD9pN7VuWfy75hg5PbD4YA0p/Mu60j0x90zOSwyq+nTck2kgyQC/PmC5+Zgg+dntWUC1fZxeNNAlKsDJDMrjgiEjZDRm2ynBOgq5Kt7";
    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDlZFbuc0zPfHW0FbziIWH9x62JT618QXmE+kCFr6HHuZC8Bdsr46aezr5gDSMJjrTCNeUCunJjczlCvmy+h+la+6qhxOsBgqyudPj41vez7eyDC73a6gf7PAQmiMWvTNvo7Jlf0H+V6vFIjBywNjl/BtyVywZiAjj9/v231Hkmbw== r1";

    fn opens(line: &str, from: &str) -> bool {
        let key = AuthorizedKey::parse(line).unwrap();
        let offered = key.public_key().clone();
        key.opens(&offered, from.parse().unwrap())
    }

    #[test]
    fn three_types_open() {
        for line in [ED25519, P256, RSA_2048] {
            assert!(opens(line, "192.0.2.1"), "{line}");
        }
        let key = AuthorizedKey::parse(ED25519).unwrap();
        assert_eq!(key.comment(), b"alex at home");
        assert_eq!(key.fingerprint(), "SHA256:zjhfP8W1OUPMfRjpJ0SbMKesRVxWgMdSXMflFijHWXA");
    }

    #[test]
    fn another_key_does_not_open() {
        let key = AuthorizedKey::parse(ED25519).unwrap();
        let other = AuthorizedKey::parse(P256).unwrap();
        assert!(!key.opens(other.public_key(), "192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn options_that_are_understood() {
        for (options, from, want) in [
            ("restrict", "192.0.2.1", true),
            ("from=\"192.0.2.0/24\"", "192.0.2.1", true),
            ("from=\"192.0.2.0/24\"", "198.51.100.1", false),
            ("restrict,from=\"192.0.2.1, 192.0.2.2\"", "192.0.2.2", true),
            ("restrict,pty,no-X11-forwarding,no-agent-forwarding,no-user-rc", "192.0.2.1", true),
            ("no-pty,no-port-forwarding,from=\"192.0.2.0/24\"", "198.51.100.1", false),
            ("FROM=\"*,!192.0.2.1\",RESTRICT", "192.0.2.1", false),
        ] {
            assert_eq!(opens(&format!("{options} {ED25519}"), from), want, "{options} {from}");
        }
    }

    #[test]
    fn invalid_keys_are_refused_with_the_reason() {
        let option = |name: &str| KeyError::Option(name.to_owned());
        for (line, want) in [
            (format!("command=\"ls -l\" {ED25519}"), option("command")),
            (format!("restrict,expiry-time=\"20300101\" {ED25519}"), option("expiry-time")),
            (format!("cert-authority {ED25519}"), option("cert-authority")),
            (format!("from=\"192.0.2.1\",environment=\"A=\\\"b\\\" c\" {ED25519}"), option("environment")),
            (format!("from {ED25519}"), KeyError::Options),
            (format!("from=192.0.2.1 {ED25519}"), KeyError::Options),
            (format!("from=\"192.0.2.1\",from=\"192.0.2.2\" {ED25519}"), KeyError::TwoOrigins),
            (format!("from=\"\" {ED25519}"), KeyError::Origin(OriginError::Empty)),
            (RSA_1024.into(), KeyError::ShortRsa(1024)),
            (ED25519.replacen("ssh-ed25519", "ssh-dss", 1), KeyError::Type("ssh-dss".into())),
            (
                "sk-ssh-ed25519@openssh.com AAAAGnNr x".into(),
                KeyError::Type("sk-ssh-ed25519@openssh.com".into()),
            ),
            (ED25519.replacen("ssh-ed25519", "ssh-rsa", 1), KeyError::NoKey),
            (ED25519.replacen("qMWa", "", 1), KeyError::NoKey),
            ("ssh-ed25519".into(), KeyError::NoKey),
            ("hello".into(), KeyError::NoKey),
            ("hello world".into(), KeyError::NoKey),
            (String::new(), KeyError::NoKey),
            ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), KeyError::Private),
            ("PuTTY-User-Key-File-3: ssh-ed25519".into(), KeyError::Form(OtherForm::Putty)),
        ] {
            assert_eq!(AuthorizedKey::parse(&line), Err(want), "{line}");
        }
    }

    #[test]
    fn a_file_has_a_key_a_line() {
        let text = format!("# mine\n\n{ED25519}\r\n  # more\n  {P256}\n");
        assert_eq!(AuthorizedKey::parse_file(&text).unwrap().len(), 2);
        assert_eq!(AuthorizedKey::parse_file("\n# none\n"), Ok(Vec::new()));
        let bad = format!("{ED25519}\n\nno-touch-required {ED25519}\n");
        assert_eq!(AuthorizedKey::parse_file(&bad), Err((3, KeyError::Option("no-touch-required".into()))));
        let ssh2 = "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n";
        let (line, error) = AuthorizedKey::parse_file(ssh2).unwrap_err();
        assert_eq!((line, error.to_string().contains("ssh-keygen -i -m RFC4716")), (1, true), "{error}");
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n";
        assert_eq!(AuthorizedKey::parse_file(private), Err((1, KeyError::Private)));
    }

    #[test]
    fn a_key_line_is_distinguished_from_a_file_name() {
        for (text, want) in [
            (ED25519, true),
            ("restrict ssh-ed25519 junk", true),
            ("keys/alex.pub", false),
            ("keys/alex's own key.pub", false),
            ("ssh-keys/alex.pub", false),
        ] {
            assert_eq!(looks_like_a_line(text), want, "{text}");
        }
    }
}
