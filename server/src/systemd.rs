//! Notifies the service manager: the protocol of sd_notify(3).
//!
//! The socket is connected at the start and kept, because a confined process cannot connect. Without a service manager,
//! notifications do nothing.

use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager that started this process, if there is one.
#[derive(Debug, Default)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// The service manager that listens on the socket in `NOTIFY_SOCKET`, if there is one.
    #[must_use]
    pub fn from_environment() -> Notifier {
        let name = std::env::var_os("NOTIFY_SOCKET");
        Notifier(name.and_then(|name| connect(&name).ok()))
    }

    /// Reports that the server is ready, after its start or after a reload. `status` is one line for `systemctl
    /// status`.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// Reports that a reload has begun.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// Reports that the shutdown has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=ending");
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::warn!(%error, "the service manager does not listen");
        }
    }
}

fn connect(name: &OsStr) -> std::io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A stuck service manager must not block the service.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes the text a single line, because lines separate the fields of the message.
fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_reach_abstract_and_path_sockets_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("@sshomed-test-{:016x}", rand::random::<u64>());
        let abstract_address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        for (name, address) in [
            (path.as_os_str(), SocketAddr::from_pathname(&path).unwrap()),
            (OsStr::new(&name), abstract_address),
        ] {
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            let notifier = Notifier(connect(name).ok());
            notifier.ready("two\nlines");
            let mut message = [0; 100];
            let length = manager.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1\nSTATUS=two lines");
        }
    }
}
