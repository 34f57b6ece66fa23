//! Bytes that were read ahead.

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;

/// Moves bytes from the front of `ahead` into `buf`, up to its capacity.
pub fn hand_out(ahead: &mut BytesMut, buf: &mut ReadBuf<'_>) {
    let length = ahead.len().min(buf.remaining());
    buf.put_slice(ahead.get(..length).unwrap_or_default());
    ahead.advance(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_do_not_fit_stay_in_the_buffer() {
        let mut ahead = BytesMut::from(&b"abcde"[..]);
        for (room, want) in [(3, &b"abc"[..]), (0, b""), (9, b"de"), (9, b"")] {
            let mut bytes = [0; 9];
            let mut buf = ReadBuf::new(&mut bytes[..room]);
            hand_out(&mut ahead, &mut buf);
            assert_eq!(buf.filled(), want);
        }
    }
}
