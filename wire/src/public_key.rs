//! Files of public keys as they are found on people's disks, read by both sides.

use alloc::format;
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

/// Whether a word is the type that a public key begins with.
#[must_use]
pub fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
}

/// The options of a line of `authorized_keys`, and the key after them. A line that begins with a key's type has no
/// options.
#[must_use]
pub fn split_options(line: &str) -> (&str, &str) {
    let line = line.trim();
    if line.split_whitespace().next().is_none_or(is_key_type) {
        return ("", line);
    }
    let mut quotes = Quotes::default();
    let end = line.find(|c: char| !quotes.inside(c) && c.is_whitespace()).unwrap_or(line.len());
    let (options, key) = line.split_at(end);
    (options, key.trim_start())
}

/// Each of the options that [`split_options`] returned: a name, or a name, `=` and a value in quotes.
pub fn each_option(options: &str) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    options.split(move |c: char| !quotes.inside(c) && c == ',').filter(|option| !option.is_empty())
}

/// A line of `authorized_keys` without its options.
///
/// # Errors
/// If one of them would restrict the key: its name.
pub fn without_idle_options(line: &str) -> Result<&str, &str> {
    let (options, key) = split_options(line);
    // A line without a key has no options either.
    if !key.split_whitespace().next().is_some_and(is_key_type) {
        return Ok(line);
    }
    match each_option(options).find(|option| !is_idle_option(option)) {
        Some(option) => Err(option.split('=').next().unwrap_or(option)),
        None => Ok(key),
    }
}

/// Follows a text in quotes, in which `\"` is a quote of its own.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn inside(&mut self, c: char) -> bool {
        if c == '"' && !self.escaped {
            self.open = !self.open;
        }
        self.escaped = c == '\\' && !self.escaped;
        self.open
    }
}

/// A form of keys that neither OpenSSH nor this program takes as a line of `authorized_keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherForm {
    /// That of SSH2, RFC 4716: PuTTYgen and Tectia write it.
    Rfc4716,
    /// PEM of an RSA key, PKCS #1.
    Pem,
    /// PEM of any key, the `SubjectPublicKeyInfo` of X.509: openssl writes it.
    Pkcs8,
    /// A private key of PuTTY's, which holds the public one as well.
    Putty,
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
            first if first.starts_with("PuTTY-User-Key-File-") => Some(OtherForm::Putty),
            _ => None,
        }
    }

    /// What the file is, and the command that converts it: follows "FILE is".
    #[must_use]
    pub fn told(self, file: &str) -> String {
        let (form, name) = match self {
            OtherForm::Rfc4716 => ("the form of SSH2 (RFC 4716)", "RFC4716"),
            OtherForm::Pem => ("PEM", "PEM"),
            OtherForm::Pkcs8 => ("PEM (PKCS #8)", "PKCS8"),
            OtherForm::Putty => {
                let public = file.strip_suffix(".ppk").unwrap_or(file);
                return format!(
                    "a private key in PuTTY's form: write its public key to a file with \
                     puttygen {file} -O public-openssh -o {public}.pub"
                );
            }
        };
        format!("a public key in {form}: convert it with ssh-keygen -i -m {name} -f {file}")
    }
}

impl fmt::Display for OtherForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told("FILE"))
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
    fn options_that_change_nothing_are_left_out_and_others_named() {
        for (line, want) in [
            ("restrict,pty,No-X11-Forwarding  ssh-ed25519 AAAA x", Ok("ssh-ed25519 AAAA x")),
            ("ssh-ed25519 AAAA x", Ok("ssh-ed25519 AAAA x")),
            ("restrict,from=\"*\" ssh-ed25519 AAAA", Err("from")),
            ("command=\"a \\\"b, c\" ssh-ed25519 AAAA", Err("command")),
            ("expiry-time=\"20300101\",restrict ssh-rsa AAAA", Err("expiry-time")),
            ("no key at all", Ok("no key at all")),
        ] {
            assert_eq!(without_idle_options(line), want, "{line}");
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
        let putty = OtherForm::of("PuTTY-User-Key-File-3: ssh-ed25519\r\n").unwrap();
        assert_eq!(putty, OtherForm::Putty);
        assert!(putty.told("k.ppk").ends_with("puttygen k.ppk -O public-openssh -o k.pub"));
        for text in [LINE, "", "-----BEGIN PRIVATE KEY-----\n"] {
            assert_eq!(OtherForm::of(text), None, "{text}");
        }
    }
}
