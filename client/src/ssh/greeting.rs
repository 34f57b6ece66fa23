//! What a server may say before it identifies itself: lines of text, which are passed over (RFC 4253 section 4.2).
//!
//! russh takes lines of up to 255 bytes, and 20 of them. A banner may be longer; and whoever is refused before the
//! handshake is told so in such a line, which is worth showing.

use bytes::{Buf, BytesMut};
use sshome_wire::display::Escaped;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a server's identification begins.
const IDENTIFICATION: &[u8] = b"SSH-";

/// The longest line, in bytes, and the most text before the identification: as many as OpenSSH takes.
const MAX_LINE: usize = 8 << 10;
const MAX_TEXT: usize = 1 << 20;

/// How much of the text is kept for an error, in bytes.
const MAX_KEPT: usize = 1 << 10;

/// A connection whose text before the identification is taken out.
pub(super) struct BannerFilter<S> {
    stream: S,
    /// What was read and not handed out.
    ahead: BytesMut,
    /// Whether the identification was found.
    identified: bool,
    passed_over: usize,
    said: BannerText,
}

/// What a server has said in place of its identification. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct BannerText(Arc<Mutex<Vec<u8>>>);

impl BannerText {
    /// The server's words, harmless on a terminal, if it has not identified itself: why it sends this client away.
    pub(super) fn refusal(&self) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = said.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| Escaped(line).to_string()).collect();
        (!lines.is_empty()).then(|| lines.join(" "))
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn add(&self, line: &[u8]) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_KEPT.saturating_sub(said.len()).min(line.len());
        said.extend_from_slice(line.get(..room).unwrap_or_default());
    }
}

impl<S> BannerFilter<S> {
    /// A connection that was just made. What is passed over is found in `said`.
    pub(super) fn new(stream: S, said: BannerText) -> BannerFilter<S> {
        BannerFilter { stream, ahead: BytesMut::new(), identified: false, passed_over: 0, said }
    }

    /// Takes out the lines that have arrived. Afterwards either the identification was found, or more is to be read.
    fn pass_over(&mut self) -> io::Result<()> {
        while !self.identified {
            if self.ahead.starts_with(IDENTIFICATION) {
                self.identified = true;
                self.said.clear();
                break;
            }
            let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') else { break };
            let line = self.ahead.split_to(end + 1);
            self.passed_over += line.len();
            self.said.add(&line);
        }
        if !self.identified && (self.ahead.len() > MAX_LINE || self.passed_over > MAX_TEXT) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not speak SSH"));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BannerFilter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.identified {
            let mut piece = [0; 512];
            let mut read = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            this.ahead.extend_from_slice(read.filled());
            if read.filled().is_empty() {
                this.said.add(&this.ahead);
                return Poll::Ready(Ok(()));
            }
            this.pass_over()?;
        }
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.ahead.len().min(buf.remaining());
        buf.put_slice(this.ahead.get(..length).unwrap_or_default());
        this.ahead.advance(length);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BannerFilter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    crate::stream_wrapper::flush_and_shutdown_inner!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    /// What is read of these bytes, and why the server sends the client away.
    async fn read(bytes: &[u8]) -> (io::Result<Vec<u8>>, Option<String>) {
        let said = BannerText::default();
        let (mut read, mut greeted) = (Vec::new(), BannerFilter::new(bytes, said.clone()));
        let result = greeted.read_to_end(&mut read).await;
        (result.map(|_| read), said.refusal())
    }

    #[tokio::test]
    async fn lines_before_the_identification_are_passed_over() {
        let rest = b"SSH-2.0-x\r\nand \0 more\nSSH-";
        let long = [&vec![b'x'; 5000][..], b"\r\n"].concat();
        let many = b"a line\n".repeat(300);
        for before in [&b""[..], b"hello\r\n\n", &long, &many] {
            let (read, refusal) = read(&[before, rest].concat()).await;
            assert_eq!((read.unwrap().as_slice(), refusal), (&rest[..], None));
        }
    }

    #[tokio::test]
    async fn who_never_speaks_ssh_is_left_and_the_words_are_kept() {
        for (said, want) in [
            ("", None),
            ("Not now: too many\r\n", Some("Not now: too many")),
            ("one\r\n\r\ntwo\x1b[2J\r\n", Some("one two\\x1b[2J")),
        ] {
            let (read, refusal) = read(said.as_bytes()).await;
            assert_eq!((read.unwrap(), refusal.as_deref()), (Vec::new(), want), "{said:?}");
        }
        assert!(read(&vec![b'x'; MAX_LINE + 1]).await.0.is_err());
        assert!(read(&b"line\n".repeat(MAX_TEXT)).await.0.is_err());
    }
}
