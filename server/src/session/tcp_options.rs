//! TCP options of connections.

use crate::limits::ConnectionLimits;
use sshome_ssh::TcpOptions;
use tokio::net::TcpStream;

/// Cap on unsent bytes in the kernel. More would have left the processor's cache by the time they are sent.
const MAX_UNSENT_BYTES: u32 = 512 << 10;

/// Sets the TCP options of a connection.
pub fn set_tcp_options(stream: &TcpStream, limits: &ConnectionLimits) {
    let peer_timeout = Some(limits.keepalive_limit());
    TcpOptions { max_unsent_bytes: MAX_UNSENT_BYTES, peer_timeout }.apply(stream);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn tcp_gives_up_a_silent_peer_as_soon_as_the_keepalives_do() {
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
