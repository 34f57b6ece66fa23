//! What a share prints at its start: how to reach it.

use super::account::GUEST_USER;
use super::password::OneTimePassword;
use crate::config::shown;
use crate::invocation::quoted;
use crate::reachable::reachable;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use russh::keys::{HashAlg, PublicKey};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// How to reach a shared folder.
pub(super) struct Announcement {
    pub(super) folder: PathBuf,
    pub(super) writable: bool,
    pub(super) key: PublicKey,
    pub(super) password: OneTimePassword,
    pub(super) until: Option<Timestamp>,
    /// The addresses of this machine that others can reach.
    pub(super) hosts: Vec<IpAddr>,
}

impl Announcement {
    /// The text, for a server that listens on these addresses.
    pub(super) fn text(&self, listening: &[SocketAddr]) -> Zeroizing<String> {
        let addresses: Vec<_> =
            listening.iter().flat_map(|address| reachable(*address, &self.hosts)).collect();
        let access = if self.writable { "read-write" } else { "read-only" };
        let end = self.until.map(|until| {
            let local = until.to_zoned(TimeZone::system());
            format!(" or {}", local.strftime("%Y-%m-%d %H:%M"))
        });
        // Allocated once: a growing text leaves copies of the password in memory.
        let mut text = Zeroizing::new(String::with_capacity(16 << 10));
        let end = end.unwrap_or_default();
        text.push_str(&format!("sharing {}, {access}, until Ctrl-C{end}\n", shown(&self.folder)));
        for address in &addresses {
            text.push_str(&format!("address   {address}\n"));
        }
        text.push_str(&format!("host key  {}\n", self.key.fingerprint(HashAlg::Sha256)));
        text.push_str(&format!("user      {GUEST_USER}\n"));
        text.push_str("password  ");
        text.push_str(self.password.as_str());
        text.push_str(&format!(" ({} random bits, for this run only)\n", OneTimePassword::ENTROPY_BITS));
        if let Some(address) = addresses.first() {
            text.push_str(&self.commands(*address));
        }
        if addresses.iter().all(|address| address.ip().is_loopback()) {
            text.push_str("\nOnly this machine can connect. For others, share with --listen 0.0.0.0:2222\n");
        }
        text
    }

    fn commands(&self, address: SocketAddr) -> String {
        let (ip, port) = (address.ip(), address.port());
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let name = self.folder.file_name().map_or("shared".into(), |name| name.to_string_lossy());
        let target = quoted(&name);
        let key = self.key.to_openssh().unwrap_or_default();
        // Without the comment.
        let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut text = format!(
            "\nTo fetch all of it into {target}, with OpenSSH or sshome, which ask for the host key and the password:\n\
             \x20   sftp -r -P {port} {GUEST_USER}@{host}:/. {target}\n\
             \x20   scp -r -P {port} {GUEST_USER}@{host}:/. {target}\n\
             \x20   sshome -P {port} {GUEST_USER}@{ip} get -r /. {target}\n\
             With rclone, which checks the host key only with a file:\n\
             \x20   echo '[{ip}]:{port} {key}' >shared-host\n\
             \x20   rclone copy :sftp: {target} --sftp-host {ip} --sftp-port {port} --sftp-user {GUEST_USER} --sftp-ask-password \
             --sftp-skip-links --sftp-known-hosts-file shared-host\n"
        );
        if self.writable {
            text += &format!(
                "To send files:\n\
                 \x20   scp -P {port} FILE {GUEST_USER}@{host}:/\n\
                 \x20   sshome -P {port} {GUEST_USER}@{ip} put -r FILE\n"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_key::HostKeyType;

    fn announcement(hosts: &[&str]) -> Announcement {
        Announcement {
            folder: "/srv/the photos".into(),
            writable: false,
            key: HostKeyType::Ed25519.generate().unwrap().public_key().clone(),
            password: OneTimePassword::generate(),
            until: None,
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_wildcard_address_is_replaced_by_those_of_the_machine() {
        let announcement = announcement(&["192.0.2.7", "2001:db8::7"]);
        let text = announcement.text(&["0.0.0.0:2222".parse().unwrap()]);
        assert!(text.contains("address   192.0.2.7:2222\n") && !text.contains("2001"), "{}", *text);
        assert!(text.contains("scp -r -P 2222 guest@192.0.2.7:/. 'the photos'\n"), "{}", *text);
        let text = announcement.text(&["[::]:2222".parse().unwrap()]);
        assert!(text.contains("address   192.0.2.7:2222\naddress   [2001:db8::7]:2222\n"), "{}", *text);
        assert!(!text.contains("Only this machine"), "{}", *text);
    }

    #[test]
    fn an_ipv6_address_is_in_brackets_where_a_path_follows() {
        let text = announcement(&[]).text(&["[::1]:2222".parse().unwrap()]);
        assert!(text.contains("guest@[::1]:/. "), "{}", *text);
        assert!(text.contains("echo '[::1]:2222 ssh-ed25519 AAAA"), "{}", *text);
        assert!(text.contains("Only this machine can connect"), "{}", *text);
    }
}
