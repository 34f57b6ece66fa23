//! TCP options of connections.

use crate::limits::ConnectionLimits;
use tokio::net::TcpStream;

/// Cap on unsent bytes in the kernel; the default would be megabytes, which have left the processor's cache by the
/// time they are sent. Bytes that are sent and not acknowledged do not count, so a link with a long round trip is
/// kept full all the same.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT_BYTES: u32 = 512 << 10;

/// Sets the TCP options of a connection: russh sets none on a stream that it did not open.
pub fn set_tcp_options(stream: &TcpStream, limits: &ConnectionLimits) {
    // All of them are optimisations: a connection works without.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let socket = socket2::SockRef::from(stream);
        let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
        // A peer that acknowledges nothing for this long is dead.
        let _ = socket.set_tcp_user_timeout(Some(limits.keepalive_limit()));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_peer_that_acknowledges_nothing_is_given_up_with_the_keepalives() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let limits = ConnectionLimits {
            keepalive_interval: Duration::from_secs(7),
            keepalive_count: 2,
            ..ConnectionLimits::default()
        };
        set_tcp_options(&stream, &limits);
        let limit = socket2::SockRef::from(&stream).tcp_user_timeout().unwrap();
        assert_eq!(limit, Some(Duration::from_secs(21)));
    }
}
