//! Files of public keys in the forms and encodings that users have, for client and server.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Decodes a file of public keys: removes a byte order mark, decodes UTF-16 with one (PowerShell's `>` writes it), and
/// reads bytes that are not UTF-8 as Latin-1, as in comments of old keys. The mark is kept before a form that
/// ssh-keygen converts, since ssh-keygen does not recognize the form after it: see [`OtherForm`].
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            let text = utf8_or_latin1(rest);
            match OtherForm::of(&text) {
                None | Some(OtherForm::Putty) => text,
                Some(_) => format!("{BYTE_ORDER_MARK}{text}"),
            }
        }
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        bytes => utf8_or_latin1(bytes),
    }
}

/// Notepad and PowerShell write it before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

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

/// Options of a line of `authorized_keys` (sshd(8)) that enable or disable features of sshd beyond a session:
/// forwarding of ports and agents, terminals, a script at the start. sshomed has none of them, so these options have no
/// effect.
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

/// Whether an option has no effect, in any case of its letters.
#[must_use]
pub fn is_idle_option(name: &str) -> bool {
    IDLE_OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(name))
}

/// Whether a word is the type of a public key.
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
    // A line without a key has no options.
    if !key.split_whitespace().next().is_some_and(is_key_type) {
        return Ok(line);
    }
    match each_option(options).find(|option| !is_idle_option(option)) {
        Some(option) => Err(option.split('=').next().unwrap_or(option)),
        None => Ok(key),
    }
}

/// Tracks quotes in a text, in which `\"` is an escaped quote.
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

/// A form of keys other than a line of `authorized_keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherForm {
    /// SSH2, RFC 4716: PuTTYgen and Tectia write it.
    Rfc4716,
    /// PEM of an RSA key, PKCS #1.
    Pem,
    /// PEM of any key, the `SubjectPublicKeyInfo` of X.509: openssl writes it.
    Pkcs8,
    /// The same for an Ed25519 key, which ssh-keygen does not convert.
    Pkcs8Ed25519,
    /// One of these forms after a byte order mark.
    Marked,
    /// A private key of PuTTY, which contains the public key as well.
    Putty,
}

/// The start of the Base64 of an Ed25519 key's `SubjectPublicKeyInfo`: all but the 32 bytes of the key.
const ED25519_START: &str = "MCowBQYDK2VwAyEA";

impl OtherForm {
    /// The form of a text; `None` if it is a different one.
    #[must_use]
    pub fn of(text: &str) -> Option<OtherForm> {
        if let Some(text) = text.strip_prefix(BYTE_ORDER_MARK) {
            return OtherForm::of(text).map(|_| OtherForm::Marked);
        }
        let mut lines = text.trim_start().lines().map(str::trim_end);
        match lines.next().unwrap_or_default() {
            "---- BEGIN SSH2 PUBLIC KEY ----" => Some(OtherForm::Rfc4716),
            "-----BEGIN RSA PUBLIC KEY-----" => Some(OtherForm::Pem),
            "-----BEGIN PUBLIC KEY-----" => match lines.next() {
                Some(body) if body.starts_with(ED25519_START) => Some(OtherForm::Pkcs8Ed25519),
                _ => Some(OtherForm::Pkcs8),
            },
            first if first.starts_with("PuTTY-User-Key-File-") => Some(OtherForm::Putty),
            _ => None,
        }
    }

    /// The description of the form and the command that converts it, to follow "FILE is".
    #[must_use]
    pub fn told(self, file: &str) -> String {
        let (form, name) = match self {
            OtherForm::Rfc4716 => ("the form of SSH2 (RFC 4716)", "RFC4716"),
            OtherForm::Pem => ("PEM", "PEM"),
            OtherForm::Pkcs8 => ("PEM (PKCS #8)", "PKCS8"),
            OtherForm::Pkcs8Ed25519 => {
                return format!(
                    "a public key in PEM (PKCS #8): ssh-keygen converts no such Ed25519 key; this prints it as a line: \
                     (printf '\\0\\0\\0\\13ssh-ed25519\\0\\0\\0 '; openssl pkey -pubin -in {file} -outform DER | \
                     tail -c 32) | base64 | sed 's/^/ssh-ed25519 /'"
                );
            }
            OtherForm::Marked => {
                return format!(
                    "a public key in another form than OpenSSH's, behind a byte order mark: remove the mark with \
                     sed -i '1s/^[^-]*//' {file}, and the next message says how to convert the key"
                );
            }
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
    extern crate std;

    use super::*;
    use std::eprintln;
    use std::process::Command;

    const LINE: &str = "ssh-ed25519 AAAA J\u{fc}rgen";

    #[test]
    fn a_line_reads_the_same_in_every_encoding() {
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
    fn options_without_effect_are_dropped_and_others_reported() {
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
    fn other_formats_are_recognized_by_their_first_line() {
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

    /// The output of the command that the message about a file ends in, from `start` to `end`.
    fn output(told: &str, start: &str, end: &str) -> String {
        let command = told.find(start).map(|start| told.split_at(start).1).unwrap();
        let command = command.split(end).next().unwrap();
        let output = Command::new("sh").arg("-c").arg(command).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_command_for_an_ed25519_key_in_pem_converts_it() {
        const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
                           MCowBQYDK2VwAyEAWOOP+hsPHztSCpE2IV8d5hcxzolJhhkgB3v1K4qzLls=\n\
                           -----END PUBLIC KEY-----\n";
        assert_eq!(OtherForm::of(PEM), Some(OtherForm::Pkcs8Ed25519));
        let told = OtherForm::Pkcs8Ed25519.told("/dev/stdin");
        if Command::new("openssl").arg("version").output().is_err() {
            return eprintln!("skipped: the_command_for_an_ed25519_key_in_pem_converts_it: openssl");
        }
        let told = told.replace("openssl", &format!("printf '%s' '{PEM}' | openssl"));
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFjjj/obDx87UgqRNiFfHeYXMc6JSYYZIAd79SuKsy5b\n";
        assert_eq!(output(&told, "(printf", "\n\n"), line);
    }

    #[test]
    fn a_byte_order_mark_is_reported_before_the_form() {
        const SSH2: &str = "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n";
        let marked = text(format!("\u{feff}{SSH2}").as_bytes());
        assert_eq!(OtherForm::of(&marked), Some(OtherForm::Marked));
        assert_eq!(OtherForm::of(&text(SSH2.as_bytes())), Some(OtherForm::Rfc4716));
        let told = OtherForm::Marked.told("FILE");
        let told = told
            .replace("-i '1s", "'1s")
            .replace(" FILE", "")
            .replace("sed", &format!("printf '%s' '{marked}' | sed"));
        assert_eq!(output(&told, "printf", ", and"), SSH2);
    }
}
