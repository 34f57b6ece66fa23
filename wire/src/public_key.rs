//! Files of public keys as they are found on people's disks, read by both sides.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The text of a file of public keys, whatever wrote it: a byte order mark is left out, UTF-16 with one is decoded
/// (PowerShell's `>` writes it), and what is no UTF-8 is Latin-1, as comments of old keys are.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8_or_latin1(rest),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        bytes => utf8_or_latin1(bytes),
    }
}

fn utf8_or_latin1(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().copied().map(unit).collect();
    String::from_utf16_lossy(&units)
}

/// Options of a line of `authorized_keys` (sshd(8)) that switch off, or on, what sshd has beyond a session: ports,
/// agents, terminals, a script at the start. There is none of it here, so they change nothing.
const IDLE_OPTIONS: [&str; 11] = [
    "restrict",
    "pty",
    "no-pty",
    "port-forwarding",
    "no-port-forwarding",
    "agent-forwarding",
    "no-agent-forwarding",
    "x11-forwarding",
    "no-x11-forwarding",
    "user-rc",
    "no-user-rc",
];

/// Whether an option changes nothing here, in whatever case.
#[must_use]
pub fn is_idle_option(name: &str) -> bool {
    IDLE_OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(name))
}

/// A line of `authorized_keys` without its options, if all of them change nothing here; otherwise the line as it is.
#[must_use]
pub fn without_idle_options(line: &str) -> &str {
    match line.trim_start().split_once(char::is_whitespace) {
        Some((options, key)) if options.split(',').all(is_idle_option) => key.trim_start(),
        _ => line,
    }
}

/// A form of public keys that neither OpenSSH nor this program takes as a line of `authorized_keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherForm {
    /// That of SSH2, RFC 4716: PuTTYgen and Tectia write it.
    Rfc4716,
    /// PEM of an RSA key, PKCS #1.
    Pem,
    /// PEM of any key, the `SubjectPublicKeyInfo` of X.509: openssl writes it.
    Pkcs8,
}

impl OtherForm {
    /// The form that a file's text begins in; none if it is no such form.
    #[must_use]
    pub fn of(text: &str) -> Option<OtherForm> {
        let first = text.trim_start().lines().next().unwrap_or_default().trim_end();
        match first {
            "---- BEGIN SSH2 PUBLIC KEY ----" => Some(OtherForm::Rfc4716),
            "-----BEGIN RSA PUBLIC KEY-----" => Some(OtherForm::Pem),
            "-----BEGIN PUBLIC KEY-----" => Some(OtherForm::Pkcs8),
            _ => None,
        }
    }
}

/// What it is, and what to do: follows "FILE is".
impl fmt::Display for OtherForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, name) = match self {
            OtherForm::Rfc4716 => ("the form of SSH2 (RFC 4716)", "RFC4716"),
            OtherForm::Pem => ("PEM", "PEM"),
            OtherForm::Pkcs8 => ("PEM (PKCS #8)", "PKCS8"),
        };
        write!(f, "a public key in {form}: convert it with ssh-keygen -i -m {name} -f FILE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "ssh-ed25519 AAAA J\u{fc}rgen";

    #[test]
    fn a_line_is_the_same_in_every_encoding() {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(LINE.encode_utf16()).flat_map(bytes).collect()
        };
        let latin1: Vec<u8> = LINE.chars().map(|c| c as u8).collect();
        let marked = [b"\xEF\xBB\xBF", LINE.as_bytes()].concat();
        for bytes in
            [LINE.as_bytes().to_vec(), marked, latin1, utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)]
        {
            assert_eq!(text(&bytes), LINE, "{bytes:?}");
        }
        assert_eq!(text(&[0xFF, 0xFE, 0x41]), "");
    }

    #[test]
    fn options_that_change_nothing_are_left_out() {
        for (line, want) in [
            ("restrict,pty,No-X11-Forwarding  ssh-ed25519 AAAA x", "ssh-ed25519 AAAA x"),
            ("ssh-ed25519 AAAA x", "ssh-ed25519 AAAA x"),
            ("restrict,from=\"*\" ssh-ed25519 AAAA", "restrict,from=\"*\" ssh-ed25519 AAAA"),
        ] {
            assert_eq!(without_idle_options(line), want);
        }
    }

    #[test]
    fn other_forms_are_known_by_their_first_line() {
        assert_eq!(
            OtherForm::of("\n---- BEGIN SSH2 PUBLIC KEY ----\r\nComment: x\r\n"),
            Some(OtherForm::Rfc4716)
        );
        assert_eq!(OtherForm::of("-----BEGIN RSA PUBLIC KEY-----\n"), Some(OtherForm::Pem));
        assert_eq!(OtherForm::of("-----BEGIN PUBLIC KEY-----\n"), Some(OtherForm::Pkcs8));
        for text in [LINE, "", "-----BEGIN PRIVATE KEY-----\n"] {
            assert_eq!(OtherForm::of(text), None, "{text}");
        }
    }
}
