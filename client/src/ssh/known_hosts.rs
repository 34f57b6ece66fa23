//! Files of known host keys, in OpenSSH's format.
//!
//! russh's own helpers support neither wildcards nor `@revoked`, and treat an unreadable file as empty, so the files
//! are parsed here.

use crate::names::shown;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::{HostPatterns, Marker};
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::Sha1;
use sshome_ssh::Glob;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The known keys of one host.
#[derive(Debug, Default)]
pub struct KnownHost {
    lines: Vec<KnownHostLine>,
    /// Lines with a key of an authority that certifies this host.
    authorities: Vec<KnownHostLine>,
}

/// A line with a key of a host.
#[derive(Clone, Debug)]
pub struct KnownHostLine {
    /// The file of the line.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub number: usize,
    /// The key.
    pub key: PublicKey,
    revoked: bool,
}

/// The verdict on a host's key.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// The key is known.
    Known,
    /// The host is not known.
    Unknown,
    /// The host is known with other keys.
    Changed(&'a KnownHostLine),
    /// The key is revoked.
    Revoked(&'a KnownHostLine),
}

/// The verdict on a host's certificate.
#[derive(Debug)]
pub enum CertificateVerdict<'a> {
    /// An authority that is trusted for this host has certified its key.
    Valid,
    /// It proves nothing, for this reason.
    Invalid(String),
    /// Its key, or that of its authority, is revoked.
    Revoked(&'a KnownHostLine),
}

/// The beginning of a file of revoked keys in OpenSSH's binary format.
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// The name of a host in the files: with its port, unless that is 22.
#[must_use]
pub fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

impl KnownHost {
    /// Reads the keys of the host with this [`name`]. Missing files are ignored.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn read(files: &[PathBuf], name: &str) -> io::Result<KnownHost> {
        let mut known = KnownHost::default();
        for file in files {
            let text = match std::fs::read(file) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", shown(file)))),
            };
            for (index, text) in text.lines().enumerate() {
                known.add(file, index + 1, text, name);
            }
        }
        Ok(known)
    }

    /// Adds the keys of a file of revoked ones (`RevokedHostKeys`): a public key a line.
    ///
    /// # Errors
    /// If it cannot be read, or is a list in OpenSSH's binary format.
    pub fn revoke(&mut self, file: &Path) -> io::Result<()> {
        let fault = |error: String| io::Error::other(format!("{}: {error}", shown(file)));
        let bytes = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
        if bytes.starts_with(KRL_MAGIC) {
            return Err(fault("binary revocation lists are not supported: list the public keys".to_owned()));
        }
        for (index, text) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if let Some(key) = public_key(text) {
                let number = index + 1;
                self.lines.push(KnownHostLine { file: file.to_owned(), number, key, revoked: true });
            }
        }
        Ok(())
    }

    /// Whether a certificate of the host could be checked.
    #[must_use]
    pub fn has_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Judges the certificate of the host with this name, without a port, at a time in seconds since 1970.
    #[must_use]
    pub fn judge_certificate(
        &self,
        certificate: &Certificate,
        host: &str,
        now: u64,
    ) -> CertificateVerdict<'_> {
        let (key, authority) = (certificate.public_key(), certificate.signature_key());
        let is_used = |line: &&KnownHostLine| [key, authority].contains(&line.key.key_data());
        if let Some(line) = self.lines.iter().filter(|line| line.revoked).find(is_used) {
            return CertificateVerdict::Revoked(line);
        }
        match self.flaw(certificate, host, now) {
            Some(flaw) => CertificateVerdict::Invalid(flaw.to_owned()),
            None => CertificateVerdict::Valid,
        }
    }

    /// Why a certificate proves nothing.
    fn flaw(&self, certificate: &Certificate, host: &str, now: u64) -> Option<&'static str> {
        let authority = certificate.signature_key();
        let principals = certificate.valid_principals();
        let covers = |principal: &String| Glob::host(principal).matches(host.to_ascii_lowercase().as_bytes());
        if !self.authorities.iter().any(|line| line.key.key_data() == authority) {
            return Some("no @cert-authority line for this host has the key of its authority");
        }
        if certificate.cert_type() != CertType::Host {
            return Some("it is not a certificate of a host");
        }
        if !principals.is_empty() && !principals.iter().any(covers) {
            return Some("it is for other host names");
        }
        if !certificate.critical_options().is_empty() {
            return Some("it has critical options, and none is known for hosts");
        }
        if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Some("its signature uses SHA-1, which is broken");
        }
        if !(certificate.valid_after()..certificate.valid_before()).contains(&now) {
            return Some("it has expired, or is not valid yet");
        }
        let trusted = authority.fingerprint(HashAlg::Sha256);
        certificate.validate_at(now, [&trusted]).err().map(|_| "its signature is wrong")
    }

    /// Judges the host's key.
    #[must_use]
    pub fn judge(&self, key: &PublicKey) -> Verdict<'_> {
        let same = |line: &&KnownHostLine| line.key.key_data() == key.key_data();
        if let Some(line) = self.lines.iter().filter(same).find(|line| line.revoked) {
            return Verdict::Revoked(line);
        }
        if self.lines.iter().any(|line| same(&line)) {
            return Verdict::Known;
        }
        // A key of a different type counts as a change, too: otherwise a man in the middle could choose a type that is
        // not known yet. Known types are requested first.
        match self.keys().next() {
            Some(line) => Verdict::Changed(line),
            None => Verdict::Unknown,
        }
    }

    /// The keys that are known and not revoked.
    pub fn keys(&self) -> impl Iterator<Item = &KnownHostLine> {
        self.lines.iter().filter(|line| !line.revoked)
    }

    /// Adds a line. Invalid lines are ignored, as in OpenSSH.
    fn add(&mut self, file: &Path, number: usize, text: &str, name: &str) {
        let text = text.trim();
        let (marker, rest) = match text.split_once([' ', '\t']) {
            Some((marker, rest)) if marker.starts_with('@') => match marker.parse::<Marker>() {
                Ok(marker) => (Some(marker), rest.trim_start()),
                Err(_) => return,
            },
            _ if text.starts_with('#') => return,
            _ => (None, text),
        };
        let Some((hosts, key)) = rest.split_once([' ', '\t']) else { return };
        if !hosts.parse().is_ok_and(|hosts| covers(&hosts, name)) {
            return;
        }
        if let Some(key) = public_key(key) {
            let revoked = marker == Some(Marker::Revoked);
            let line = KnownHostLine { file: file.to_owned(), number, key, revoked };
            match marker {
                Some(Marker::CertAuthority) => self.authorities.push(line),
                _ => self.lines.push(line),
            }
        }
    }
}

/// The public key at the beginning of a text.
fn public_key(text: &str) -> Option<PublicKey> {
    let mut fields = text.split_ascii_whitespace();
    let (kind, base64) = (fields.next()?, fields.next()?);
    PublicKey::from_openssh(&format!("{kind} {base64}")).ok()
}

/// Appends a host's key to a file. A missing file is created with mode 0600, in a folder with mode 0700.
///
/// # Errors
/// If the file cannot be written.
pub fn remember(file: &Path, name: &str, key: &PublicKey) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    let key = PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(io::Error::other)?;
    let mut line = format!("{name} {}\n", key.trim_end());
    if file.seek(SeekFrom::End(-1)).is_ok() {
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.insert(0, '\n');
        }
    }
    // A single write to a file opened for appending: lines of two clients are not mixed.
    file.write_all(line.as_bytes())
}

fn covers(hosts: &HostPatterns, name: &str) -> bool {
    match hosts {
        HostPatterns::Patterns(patterns) => {
            let matches = |pattern: &str| Glob::host(pattern).matches(name.as_bytes());
            let excluded = |pattern: &String| pattern.strip_prefix('!').is_some_and(matches);
            patterns.iter().any(|pattern| matches(pattern)) && !patterns.iter().any(excluded)
        }
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
    }
}

#[cfg(test)]
mod tests;
