//! A simulated network link with a latency and a rate.
//!
//! It is a TCP proxy between a client and a server. It uses threads, since their clock is finer than an async
//! runtime's. Each end has its own TCP connection over loopback: TCP's windows and slow start have no effect, only the
//! protocols above it do. A link with a rate takes no more in advance than a router does.

use anyhow::{Context, Result};
use socket2::SockRef;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The largest piece, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The largest number of pieces in flight in one direction without a rate: more than any window allows.
const MAX_QUEUED_BUFFERS: usize = 4096;

/// How long a piece waits at most where a link with a rate begins: a usual router holds about as much.
const MAX_QUEUE_TIME: Duration = Duration::from_millis(200);

/// The buffer that the system has for what a link with a rate has not read, in bytes. By default it may be megabytes.
const RECEIVE_BUFFER_BYTES: usize = 128 << 10;

/// The properties of a link, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) round_trip: Duration,
    /// Bits per second in each direction; `None` is as fast as loopback.
    pub(crate) rate: Option<u64>,
}

impl Link {
    /// The largest number of pieces in flight in one direction.
    fn max_queued(&self) -> usize {
        let bytes = |rate: u64| (self.round_trip / 2 + MAX_QUEUE_TIME).as_secs_f64() * rate as f64 / 8.0;
        self.rate.map_or(MAX_QUEUED_BUFFERS, |rate| bytes(rate) as usize / BUFFER_BYTES + 1)
    }
}

/// A link to a server. Dropping it closes its listener.
pub(crate) struct LinkProxy {
    port: u16,
    ending: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
    accepting: Option<JoinHandle<()>>,
}

impl LinkProxy {
    /// A link to a port of this machine.
    pub(crate) fn to(server: u16, link: Link) -> Result<LinkProxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("opening a port for a link")?;
        let port = listener.local_addr()?.port();
        let ending = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ending);
        let carried = Arc::<AtomicU64>::default();
        let count = Arc::clone(&carried);
        let accepting = thread::spawn(move || {
            for near in listener.incoming() {
                if seen.load(Ordering::Acquire) {
                    return;
                }
                // The client notices a failed connection.
                let _ = near.and_then(|near| connect(near, server, link, &count));
            }
        });
        Ok(LinkProxy { port, ending, carried, accepting: Some(accepting) })
    }

    /// Bytes that it has carried so far, in both directions.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// The local port of the link.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for LinkProxy {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // A connection wakes the accepting thread.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ = accepting.join();
        }
    }
}

fn connect(near: TcpStream, server: u16, link: Link, carried: &Arc<AtomicU64>) -> std::io::Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        to.set_nodelay(true)?;
        if link.rate.is_some() {
            SockRef::from(&from).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        }
        let (queue, pieces) = sync_channel(link.max_queued());
        let carried = Arc::clone(carried);
        thread::spawn(move || take(&from, &queue, &carried));
        thread::spawn(move || deliver(&pieces, &to, link));
    }
    Ok(())
}

/// Reads pieces, with the time of their arrival.
fn take(from: &TcpStream, queue: &SyncSender<(Instant, Vec<u8>)>, carried: &AtomicU64) {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, from);
    while let Ok(read) = reader.fill_buf()
        && !read.is_empty()
    {
        let piece = read.to_vec();
        reader.consume(piece.len());
        carried.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if queue.send((Instant::now(), piece)).is_err() {
            break;
        }
    }
}

/// Writes the pieces, each when it is due.
fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: &TcpStream, link: Link) {
    let mut free = Instant::now();
    for (came, piece) in pieces {
        // The link is busy while it transmits a piece. Then the piece is in flight for the latency.
        free = free.max(came);
        if let Some(rate) = link.rate {
            free += Duration::from_secs_f64(piece.len() as f64 * 8.0 / rate as f64);
        }
        thread::sleep((free + link.round_trip / 2).saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    // The end of the stream is passed on, too. The peer may have closed already.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Sends this many bytes to an echo server over a link. Returns the time until they are back.
    fn there_and_back(link: Link, length: usize) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = LinkProxy::to(listener.local_addr().unwrap().port(), link).unwrap();
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let sent: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let begin = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        let mut writing = stream.try_clone().unwrap();
        let copy = sent.clone();
        thread::spawn(move || {
            writing.write_all(&copy).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        let taken = begin.elapsed();
        echo.join().unwrap();
        assert!(back == sent);
        taken
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let link = Link { round_trip: Duration::from_millis(200), rate: None };
        assert!(there_and_back(link, 10) >= Duration::from_millis(200));
        assert!(there_and_back(link, 3 << 20) >= Duration::from_millis(200));
    }

    #[test]
    fn nothing_is_faster_than_the_rate() {
        let link = Link { round_trip: Duration::ZERO, rate: Some(8_000_000) };
        assert!(there_and_back(link, 100_000) >= Duration::from_millis(200));
    }
}
