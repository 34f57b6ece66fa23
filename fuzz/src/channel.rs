use bytes::{Buf, Bytes};
use sshomed::protocol::{Arrival, ChannelInput, ChannelOutput, Gone};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// The input of a client, a piece at a time, and its end. Then it waits.
pub struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    end: Option<Arrival>,
}

impl Pieces {
    /// These bytes, in pieces of `size` bytes.
    pub fn chunks(input: &[u8], size: usize, end: Arrival) -> Pieces {
        let pieces: Vec<Bytes> = input.chunks(size).map(Bytes::copy_from_slice).collect();
        Pieces { pieces: pieces.into_iter(), end: Some(end) }
    }

    /// A greeting, then the input's packets, which begin with their length. The lengths are corrected, unless the first
    /// byte forbids it.
    pub fn packets(greeting: Bytes, input: &[u8]) -> Pieces {
        let mut pieces = vec![greeting];
        let mut rest = Bytes::copy_from_slice(input);
        if rest.try_get_u8().is_ok_and(|first| first == 0) {
            pieces.push(rest);
        } else {
            while let Ok(length) = rest.try_get_u32() {
                let body = rest.split_to((length as usize % 4096).min(rest.len()));
                pieces.push(Bytes::copy_from_slice(&(body.len() as u32).to_be_bytes()));
                pieces.push(body);
            }
        }
        Pieces { pieces: pieces.into_iter(), end: Some(Arrival::Eof) }
    }
}

impl ChannelInput for Pieces {
    async fn next(&mut self) -> Arrival {
        match self.pieces.next().map(Arrival::Data).or_else(|| self.end.take()) {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }
}

/// The output to a client. Clones share it.
#[derive(Clone, Default)]
pub struct Answers {
    output: Arc<Mutex<Vec<Bytes>>>,
    errors: Arc<Mutex<Vec<Bytes>>>,
}

impl Answers {
    /// All of the output.
    pub fn output(&self) -> Vec<Bytes> {
        self.output.lock().expect("nobody panics with it").clone()
    }

    /// All of the standard error.
    pub fn errors(&self) -> Vec<u8> {
        self.errors.lock().expect("nobody panics with it").concat()
    }
}

impl ChannelOutput for Answers {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.output.lock().expect("nobody panics with it").push(bytes);
        Ok(())
    }

    async fn send_error(&self, bytes: Bytes) -> Result<(), Gone> {
        self.errors.lock().expect("nobody panics with it").push(bytes);
        Ok(())
    }

    fn closed(&self) -> CancellationToken {
        CancellationToken::new()
    }
}
