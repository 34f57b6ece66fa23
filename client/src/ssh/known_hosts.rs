//! Files of known host keys, in OpenSSH's format.
//!
//! russh's own helpers support neither wildcards nor `@revoked`, and treat an unreadable file as empty, so the files
//! are parsed here.

use crate::names::shown;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::{HostPatterns, Marker};
use sha1::Sha1;
use sshome_ssh::Glob;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The known keys of one host.
#[derive(Debug, Default)]
pub struct KnownHost {
    lines: Vec<KnownHostLine>,
    /// Ignored lines of certificate authorities, as `FILE:LINE`.
    pub authorities: Vec<String>,
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
        if marker == Some(Marker::CertAuthority) {
            self.authorities.push(format!("{}:{number}", shown(file)));
            return;
        }
        let mut fields = key.split_ascii_whitespace();
        let (Some(kind), Some(base64)) = (fields.next(), fields.next()) else { return };
        if let Ok(key) = PublicKey::from_openssh(&format!("{kind} {base64}")) {
            let revoked = marker == Some(Marker::Revoked);
            self.lines.push(KnownHostLine { file: file.to_owned(), number, key, revoked });
        }
    }
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
mod tests {
    use super::*;
    use russh::keys::{Algorithm, PrivateKey};

    fn key() -> PublicKey {
        let mut rng = russh::keys::key::safe_rng();
        PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap().public_key().clone()
    }

    /// The keys of `name` in a file with these lines; `KEY` stands for the key.
    fn known(lines: &str, key: &PublicKey, name: &str) -> KnownHost {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        std::fs::write(&file, lines.replace("KEY", &key.to_openssh().unwrap())).unwrap();
        KnownHost::read(&[dir.path().join("missing"), file], name).unwrap()
    }

    fn is_known(hosts: &str, name: &str) -> bool {
        let key = key();
        matches!(known(&format!("{hosts} KEY a comment\n"), &key, name).judge(&key), Verdict::Known)
    }

    fn hashed(name: &str) -> String {
        let salt = [7; 20];
        let mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(name.as_bytes());
        let hash = mac.finalize().into_bytes().into();
        HostPatterns::HashedName { salt: salt.to_vec(), hash }.to_string()
    }

    #[test]
    fn names_patterns_and_negations_match() {
        for (hosts, name, want) in [
            ("host", "host", true),
            ("host", "[host]:2222", false),
            ("[host]:2222", "[host]:2222", true),
            ("other,[HOST]:2222", "[host]:2222", true),
            ("*.example.org", "www.example.org", true),
            ("[*.example.org]:2222", "[www.example.org]:2222", true),
            ("*.example.org,!bad.example.org", "bad.example.org", false),
            ("!bad.example.org", "good.example.org", false),
            ("192.0.2.?", "192.0.2.7", true),
        ] {
            assert_eq!(is_known(hosts, name), want, "{hosts} {name}");
        }
    }

    #[test]
    fn hashed_names_match() {
        let line = hashed("[host]:2222");
        assert!(line.starts_with("|1|"), "{line}");
        assert!(is_known(&line, "[host]:2222"));
        assert!(!is_known(&line, "host"));
        // As ssh-keygen -H wrote it for the name example.com.
        assert!(is_known("|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak=", "example.com"));
    }

    #[test]
    fn changed_and_revoked_keys_are_refused() {
        let (old, new) = (key(), key());
        let host = known("# comment\n\nhost KEY\n", &old, "host");
        let Verdict::Changed(line) = host.judge(&new) else { panic!("not noticed") };
        assert_eq!((line.number, &line.key), (3, &old));
        let host = known("host KEY\n@revoked * KEY\n", &old, "host");
        assert!(matches!(host.judge(&old), Verdict::Revoked(line) if line.number == 2));
        let host = known("@revoked * KEY\n", &old, "host");
        assert!(matches!(host.judge(&new), Verdict::Unknown));
    }

    #[test]
    fn certificate_authorities_and_invalid_lines_are_ignored() {
        let key = key();
        let host = known(
            "@cert-authority host KEY\n@unheard-of host KEY\nhost\nhost ssh-ed25519 !!!\n",
            &key,
            "host",
        );
        assert!(matches!(host.judge(&key), Verdict::Unknown));
        assert_eq!(host.authorities.len(), 1);
    }

    #[test]
    fn a_remembered_key_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("made/known_hosts");
        let (first, second) = (key(), key());
        remember(&file, "[host]:2222", &first).unwrap();
        // Someone edits it and forgets the last line feed.
        let mut text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.pop(), Some('\n'));
        std::fs::write(&file, text).unwrap();
        remember(&file, "other", &second).unwrap();
        for (name, key) in [("[host]:2222", &first), ("other", &second)] {
            let host = KnownHost::read(std::slice::from_ref(&file), name).unwrap();
            assert!(matches!(host.judge(key), Verdict::Known), "{name}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(KnownHost::read(&[dir.path().to_owned()], "host").is_err());
    }

    #[test]
    fn the_port_is_part_of_the_name() {
        assert_eq!(name("Host", 22), "host");
        assert_eq!(name("::1", 2222), "[::1]:2222");
    }
}
