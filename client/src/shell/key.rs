//! `key`: the keys that log in to the user's account.

use super::error::unexpected_reply;
use super::event::OutputEvent;
use super::failures::Failures;
use super::invocation::Invocation;
use super::key_action::KeyAction;
use super::words::Word;
use super::{Shell, ShellError};
use crate::names;
use russh::keys::{HashAlg, PublicKey};
use sshome_wire::display::Escaped;
use sshome_wire::public_key::{self, OtherForm};
use sshome_wire::{Key, Payload, Request};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

impl Shell {
    pub(super) async fn key(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        match KeyAction::of(invocation.command, &invocation.operands)? {
            KeyAction::Install(files) => self.install_keys(files).await,
            KeyAction::List => self.list_keys().await,
            KeyAction::Remove(which) => self.remove_keys(which).await,
        }
    }

    async fn list_keys(&mut self) -> Result<(), ShellError> {
        let (keys, left_out) = self.installed_keys().await?;
        self.out.show_all(keys.iter().map(|key| OutputEvent::key("listed", key)), || columns(&keys))?;
        if left_out.is_empty() {
            Ok(())
        } else {
            self.out.note(&format!("{}\n", Escaped(left_out.as_bytes())))
        }
    }

    async fn install_keys(&mut self, files: &[Word]) -> Result<(), ShellError> {
        let keys = match files {
            [] => self.usual_keys().await?,
            files => {
                let mut keys = Vec::new();
                for path in self.local_paths(files).await? {
                    keys.extend(read_keys(&path).map_err(ShellError::Failed)?);
                }
                keys
            }
        };
        let (there, _) = self.installed_keys().await?;
        let mut failures = Failures::new(&self.out);
        for public in keys {
            let key = described(&public);
            if there.iter().any(|known| known.fingerprint == key.fingerprint) {
                self.out.show(&OutputEvent::key("unchanged", &key), || sentence("is there already", &key))?;
                continue;
            }
            let result = match public.to_openssh() {
                Ok(line) => self.request(Request::InstallKey { line }).await.map(drop),
                Err(error) => Err(ShellError::Failed(format!("{}: {error}", key.fingerprint))),
            };
            let told =
                |()| self.out.show(&OutputEvent::key("installed", &key), || sentence("installed", &key));
            failures.pass(result.and_then(told))?;
        }
        failures.verdict()
    }

    async fn remove_keys(&mut self, which: &[Word]) -> Result<(), ShellError> {
        let mut prints = Vec::new();
        for word in which {
            match String::from_utf8(word.bytes()) {
                Ok(print) if print.starts_with("SHA256:") => prints.push(print),
                _ => {
                    for path in self.local_paths(std::slice::from_ref(word)).await? {
                        let keys = read_keys(&path).map_err(ShellError::Failed)?;
                        prints.extend(keys.iter().map(|key| described(key).fingerprint));
                    }
                }
            }
        }
        let (there, _) = self.installed_keys().await?;
        let mut failures = Failures::new(&self.out);
        for fingerprint in prints {
            let result = self.request(Request::RemoveKey { fingerprint: fingerprint.clone() }).await;
            let told = |_| match there.iter().find(|key| key.fingerprint == fingerprint) {
                Some(key) => self.out.show(&OutputEvent::key("removed", key), || sentence("removed", key)),
                None => Ok(()),
            };
            failures.pass(result.and_then(told))?;
        }
        failures.verdict()
    }

    /// The keys of the account, and the server's message about those that it did not list.
    async fn installed_keys(&mut self) -> Result<(Vec<Key>, String), ShellError> {
        let reply = self.request(Request::Keys).await?;
        match reply.payload {
            Payload::Keys(keys) => Ok((keys, reply.message)),
            _ => Err(unexpected_reply("key")),
        }
    }

    /// The keys to install if none are named.
    async fn usual_keys(&self) -> Result<Vec<PublicKey>, ShellError> {
        let (keys, notes) = match &self.connection {
            Some(connection) => connection.keys_to_install().await,
            None => Default::default(),
        };
        if !keys.is_empty() {
            return Ok(keys);
        }
        let notes: String = notes.iter().map(|note| format!("\n    {note}")).collect();
        let text =
            "there is no key to install: name its file, FILE.pub, or make one with ssh-keygen -t ed25519";
        Err(ShellError::Failed(format!("{text}{notes}")))
    }
}

/// The public keys of a file; for a private key, those of the file beside it that ends in .pub.
fn read_keys(path: &Path) -> Result<Vec<PublicKey>, String> {
    let beside = match path.extension() {
        Some(extension) if extension == OsStr::new("pub") => None,
        _ => Some(beside(path)).filter(|beside| beside.exists()),
    };
    let path = beside.as_deref().unwrap_or(path);
    let shown = names::shown(path);
    let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let text = public_key::text(&bytes);
    if let Some(form) = OtherForm::of(&text) {
        return Err(format!("{shown} is {}", form.told(&shown)));
    }
    if text.contains("PRIVATE KEY") {
        return Err(format!("{shown} is a private key, which stays with you: name the public one, FILE.pub"));
    }
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<_> = lines.map(|line| public_key_of(&shown, line)).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(format!("{shown} holds no public keys: {KEY_LINE}")) } else { Ok(keys) }
}

/// The format of a public key file, for messages.
const KEY_LINE: &str = "a line of it is \"ssh-ed25519 AAAA… comment\"";

/// The key of a line, without options that have no effect here.
fn public_key_of(file: &str, (number, line): (usize, &str)) -> Result<PublicKey, String> {
    let key = public_key::without_idle_options(line).map_err(|option| {
        let option = Escaped(option.as_bytes());
        format!(
            "{file}: line {number} has the option \"{option}\", which a key that you install cannot have: remove it; \
             the administrator can restrict a key with from=\"…\""
        )
    })?;
    PublicKey::from_openssh(key).map_err(|_| format!("{file}: line {number} holds no public key: {KEY_LINE}"))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// A local key in the form of the server's list.
fn described(key: &PublicKey) -> Key {
    Key {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        algorithm: key.algorithm().as_str().to_owned(),
        comment: key.comment().as_bytes().to_vec(),
        own: true,
    }
}

fn sentence(what: &str, key: &Key) -> String {
    let (print, comment) = (Escaped(key.fingerprint.as_bytes()), Escaped(&key.comment));
    format!("{}\n", format!("{what}: {print} {comment}").trim_end())
}

/// One line per key: fingerprint, type, origin, comment.
fn columns(keys: &[Key]) -> String {
    if keys.is_empty() {
        return "no key logs in to this account: key install adds one\n".to_owned();
    }
    let escaped = |text: &str| Escaped(text.as_bytes()).to_string();
    let rows = keys.iter().map(|key| (escaped(&key.fingerprint), escaped(&key.algorithm), key));
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(_, algorithm, _)| algorithm.chars().count()).max().unwrap_or(0);
    let line = |(print, algorithm, key): &(String, String, &Key)| {
        let by = if key.own { "own" } else { "administrator" };
        let comment = Escaped(&key.comment);
        format!("{print:50}  {algorithm:width$}  {by:13}  {comment}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa alex";

    #[test]
    fn only_public_keys_leave_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let public = file("id.pub", &format!("# mine\n\n{LINE}\n"));
        let private = file("id", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        for path in [&public, &private] {
            let keys = read_keys(path).unwrap();
            assert_eq!((keys.len(), described(&keys[0]).comment), (1, b"alex".to_vec()));
        }
        let restricted = file("restricted.pub", &format!("restrict,pty,no-X11-forwarding {LINE}\n"));
        assert_eq!(read_keys(&restricted).unwrap(), read_keys(&public).unwrap());
        let ssh2 = file("ssh2.pub", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n");
        let error = read_keys(&ssh2).unwrap_err();
        assert!(error.contains("ssh-keygen -i -m RFC4716 -f ") && error.ends_with("ssh2.pub"), "{error}");
        let alone = file("alone", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        assert!(read_keys(&alone).unwrap_err().contains("is a private key"));
        for (text, want) in [
            ("", "bad.pub holds no public keys"),
            ("# none\n", "bad.pub holds no public keys"),
            ("junk\n", "bad.pub: line 1 holds no public key"),
            (&format!("{LINE}\njunk\n"), "bad.pub: line 2 holds no public key"),
            (&format!("from=\"*\" {LINE}\n"), "bad.pub: line 1 has the option \"from\""),
            (
                &format!("# x\nrestrict,command=\"ls -l\" {LINE}\n"),
                "bad.pub: line 2 has the option \"command\"",
            ),
            ("PuTTY-User-Key-File-3: ssh-ed25519\r\n", "-O public-openssh"),
        ] {
            let error = read_keys(&file("bad.pub", text)).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        assert!(read_keys(&dir.path().join("missing")).unwrap_err().contains("missing: "));
    }

    #[test]
    fn keys_line_up_and_are_escaped() {
        let key = |comment: &[u8], algorithm: &str, own| Key {
            fingerprint: format!("SHA256:{}", "x".repeat(43)),
            algorithm: algorithm.into(),
            comment: comment.to_vec(),
            own,
        };
        let print = "x".repeat(43);
        assert_eq!(
            columns(&[key(b"a\x1b[2J", "ssh-rsa", true), key(b"", "ssh-ed25519", false)]),
            format!(
                "SHA256:{print}  ssh-rsa      own            a\\x1b[2J\n\
                 SHA256:{print}  ssh-ed25519  administrator\n"
            )
        );
    }
}
