//! The TCP connection under everything.

use std::io;
use tokio::net::TcpStream;

/// As many bytes wait in the kernel to be sent, about. What is said after them, such as a cancel, waits for
/// them, and a kernel takes megabytes. Those that are on their way and not acknowledged do not count, so a
/// link with a long round trip is kept full all the same.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 1 << 20;

/// Connects to a server.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Both are wishes. Small requests must not wait for more of them, nor for large ones.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    Ok(stream)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn little_waits_in_the_kernel_for_a_server_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, accepted) = tokio::join!(connect("127.0.0.1", port), listener.accept());
        let (stream, (_silent, _)) = (stream.unwrap(), accepted.unwrap());
        let (mut taken, piece) = (0, vec![0; 64 << 10]);
        stream.writable().await.unwrap();
        while let Ok(more) = stream.try_write(&piece) {
            taken += more;
        }
        // What the other end's kernel holds is among it.
        assert!(taken < 2 << 20, "{taken}");
    }
}
