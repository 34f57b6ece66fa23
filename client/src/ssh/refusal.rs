//! What a server says in place of its version (RFC 4253 section 4.2): why it sends this client away.

use sshome_wire::display::Escaped;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is kept of what a server says first, in bytes.
const MAX_REFUSAL: usize = 512;

/// What a server has said before its version.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstLines(Arc<Mutex<Vec<u8>>>);

impl FirstLines {
    /// The server's words, if it said something else than its version, and harmless on a terminal.
    pub(super) fn refusal(&self) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = said.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| Escaped(line).to_string()).collect();
        (!lines.is_empty() && !lines.iter().any(|line| line.starts_with("SSH-"))).then(|| lines.join(" "))
    }
}

/// A stream whose first bytes are kept.
pub(super) struct Overheard<S> {
    stream: S,
    /// None once enough was heard.
    first: Option<FirstLines>,
}

impl<S> Overheard<S> {
    pub(super) fn new(stream: S, first: FirstLines) -> Overheard<S> {
        Overheard { stream, first: Some(first) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(first) = &self.first {
            let mut said = first.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_REFUSAL - said.len();
            said.extend(buf.filled().iter().skip(before).take(room));
            let is_enough = said.len() == MAX_REFUSAL || said.starts_with(b"SSH-");
            drop(said);
            if is_enough {
                self.first = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn words_before_the_version_are_a_refusal_and_the_version_is_none() {
        for (said, want) in [
            ("", None),
            ("SSH-2.0-sshomed\r\n", None),
            ("a notice\r\nSSH-2.0-other\r\n", None),
            ("Not now: too many\r\n", Some("Not now: too many")),
            ("one\r\n\r\ntwo\x1b[2J\r\n", Some("one two\\x1b[2J")),
        ] {
            let first = FirstLines::default();
            let mut read = Vec::new();
            Overheard::new(said.as_bytes(), first.clone()).read_to_end(&mut read).await.unwrap();
            assert_eq!(read, said.as_bytes());
            assert_eq!(first.refusal().as_deref(), want, "{said:?}");
        }
        let first = FirstLines::default();
        let long = "x".repeat(2000);
        Overheard::new(long.as_bytes(), first.clone()).read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(first.refusal().unwrap().len(), MAX_REFUSAL);
    }
}
