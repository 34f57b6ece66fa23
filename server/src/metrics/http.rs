//! The HTTP listener for Prometheus. It serves one path and closes each connection after the response.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 8192;

/// The timeout of a scrape.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest number of concurrent scrapes.
const MAX_SCRAPES: usize = 8;

/// Answers `GET /metrics` with the result of `render`, as long as it is polled.
pub async fn serve<F>(listener: &TcpListener, render: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = String> + Send + 'static,
{
    let (render, permits) = (Arc::new(render), Arc::new(Semaphore::new(MAX_SCRAPES)));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let render = Arc::clone(&render);
                tokio::spawn(async move {
                    let _permit = permit;
                    let answered =
                        tokio::time::timeout(SCRAPE_TIMEOUT, answer(stream, render.as_ref())).await;
                    if let Ok(Err(error)) = answered {
                        tracing::debug!(%error, "a client asked for metrics and did not read them");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer<F: Future<Output = String>>(
    mut stream: TcpStream,
    render: &impl Fn() -> F,
) -> std::io::Result<()> {
    let head = head(&mut stream).await?;
    let mut words = head.split(|byte| byte.is_ascii_whitespace());
    let (status, kind, body) = match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics")) => {
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", render().await)
        }
        (Some(b"GET"), _) => ("404 Not Found", "text/plain", "only /metrics exists\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "only GET is supported\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads up to the empty line that ends the head, or up to the limit.
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while head.len() < MAX_HEAD_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}
