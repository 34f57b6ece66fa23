//! The options of the TCP connection under everything.

use std::time::Duration;
use tokio::net::TcpStream;

/// As many bytes wait in the kernel to be sent, about. What is said after them, such as a cancel, waits for
/// them, and a kernel takes megabytes. Those that are on their way and not acknowledged do not count, so a
/// link with a long round trip is kept full all the same.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT_BYTES: u32 = 1 << 20;

/// Sets the options of a connection. A peer that acknowledges nothing for `limit` is taken for gone.
pub(super) fn tune(stream: &TcpStream, limit: Option<Duration>) {
    // All are wishes. Small requests must not wait for more of them, nor for large ones.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let socket = socket2::SockRef::from(stream);
        let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
        let _ = socket.set_tcp_user_timeout(limit);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = limit;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn little_waits_in_the_kernel_for_a_server_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, (_silent, _)) = (stream.unwrap(), accepted.unwrap());
        let limit = Some(Duration::from_secs(120));
        tune(&stream, limit);
        assert_eq!(socket2::SockRef::from(&stream).tcp_user_timeout().unwrap(), limit);
        let (mut taken, piece) = (0, vec![0; 64 << 10]);
        stream.writable().await.unwrap();
        while let Ok(more) = stream.try_write(&piece) {
            taken += more;
        }
        // What the other end's kernel holds is among it.
        assert!(taken < 2 << 20, "{taken}");
    }
}
