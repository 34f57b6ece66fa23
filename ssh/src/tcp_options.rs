//! TCP options of connections.

use std::time::Duration;
use tokio::net::TcpStream;

/// The TCP options of a connection. russh sets none on a stream that it did not open.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// Cap on unsent bytes in the kernel; the default would be megabytes. Bytes that are sent and not acknowledged do
    /// not count, so a link with a long round trip still stays full.
    pub max_unsent_bytes: u32,
    /// A peer that acknowledges nothing for this long is dead. `None` keeps the system's limit.
    pub peer_timeout: Option<Duration>,
}

impl TcpOptions {
    /// Sets the options, as far as the system has them.
    pub fn apply(&self, stream: &TcpStream) {
        // All of them are optimisations: a connection works without. Small messages must not wait for more of them.
        let _ = stream.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let socket = socket2::SockRef::from(stream);
            let _ = socket.set_tcp_notsent_lowat(self.max_unsent_bytes);
            let _ = socket.set_tcp_user_timeout(self.peer_timeout);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn few_bytes_wait_in_the_kernel_for_a_peer_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, (_silent, _)) = (stream.unwrap(), accepted.unwrap());
        let peer_timeout = Some(Duration::from_secs(120));
        TcpOptions { max_unsent_bytes: 1 << 20, peer_timeout }.apply(&stream);
        assert!(stream.nodelay().unwrap());
        assert_eq!(socket2::SockRef::from(&stream).tcp_user_timeout().unwrap(), peer_timeout);
        let (mut taken, piece) = (0, vec![0; 64 << 10]);
        stream.writable().await.unwrap();
        while let Ok(more) = stream.try_write(&piece) {
            taken += more;
        }
        // It includes bytes in the peer's kernel.
        assert!(taken < 2 << 20, "{taken}");
    }
}
