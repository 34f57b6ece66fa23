//! Lines that a server may send before its identification, which are skipped (RFC 4253, section 4.2).
//!
//! russh accepts 20 lines of up to 255 bytes. A banner may be longer. If a server refuses a client before the
//! handshake, such a line has the reason, which should be shown.

use bytes::BytesMut;
use sshome_ssh::{StreamLayer, hand_out};
use sshome_wire::display::Escaped;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// The beginning of a server's identification.
const IDENTIFICATION: &[u8] = b"SSH-";

/// The longest line, and the longest text before the identification, in bytes: OpenSSH's limit.
const MAX_LINE: usize = 8 << 10;
const MAX_TEXT: usize = 1 << 20;

/// The longest text that is kept for an error, in bytes.
const MAX_KEPT: usize = 1 << 10;

/// Removes the text before the identification.
pub(super) struct BannerFilter {
    /// Bytes that were read and not passed on.
    ahead: BytesMut,
    /// Whether the identification was found.
    identified: bool,
    passed_over: usize,
    said: BannerText,
}

/// The text that a server sent before its identification. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct BannerText(Arc<Mutex<Vec<u8>>>);

impl BannerText {
    /// The text, safe to show, if no identification followed: the reason for a refusal.
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

impl BannerFilter {
    /// The filter of a new connection. Skipped text is stored in `said`.
    pub(super) fn new(said: BannerText) -> BannerFilter {
        BannerFilter { ahead: BytesMut::new(), identified: false, passed_over: 0, said }
    }

    /// Removes the lines that have arrived. Afterwards either the identification was found, or more has to be read.
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

impl StreamLayer for BannerFilter {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.identified {
            let mut piece = [0; 512];
            let mut read = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            self.ahead.extend_from_slice(read.filled());
            if read.filled().is_empty() {
                self.said.add(&self.ahead);
                return Poll::Ready(Ok(()));
            }
            self.pass_over()?;
        }
        if self.ahead.is_empty() {
            return Pin::new(stream).poll_read(cx, buf);
        }
        hand_out(&mut self.ahead, buf);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_ssh::LayeredStream;
    use tokio::io::AsyncReadExt;

    /// The bytes that are consumed, and the server's reason for a refusal.
    async fn read(bytes: &[u8]) -> (io::Result<Vec<u8>>, Option<String>) {
        let said = BannerText::default();
        let (mut read, mut greeted) =
            (Vec::new(), LayeredStream::new(bytes, BannerFilter::new(said.clone())));
        let result = greeted.read_to_end(&mut read).await;
        (result.map(|_| read), said.refusal())
    }

    #[tokio::test]
    async fn lines_before_the_identification_are_skipped() {
        let rest = b"SSH-2.0-x\r\nand \0 more\nSSH-";
        let long = [&vec![b'x'; 5000][..], b"\r\n"].concat();
        let many = b"a line\n".repeat(300);
        for before in [&b""[..], b"hello\r\n\n", &long, &many] {
            let (read, refusal) = read(&[before, rest].concat()).await;
            assert_eq!((read.unwrap().as_slice(), refusal), (&rest[..], None));
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_not_ssh_is_disconnected_and_quoted() {
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
