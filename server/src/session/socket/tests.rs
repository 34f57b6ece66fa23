use super::*;
use crate::session::bulk_gate::QUANTUM_BYTES;
use crate::session::flow_control::HeldBytes;
use crate::session::memory_budget::MemoryBudgets;
use crate::session::throttle::UserRateLimits;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn pair() -> (PacedSocket<TcpStream>, TcpStream, Arc<FlowControl>, CancellationToken) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, peer) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (flow, cut) = (Arc::new(FlowControl::default()), CancellationToken::new());
    let socket = PacedSocket::new(ours.unwrap().0, Arc::clone(&flow), BulkGate::for_cores(1), cut.clone());
    (socket, peer.unwrap(), flow, cut)
}

#[tokio::test]
async fn a_write_does_not_wait_for_a_peer_that_does_not_read() {
    let (mut socket, mut peer, flow, _cut) = pair().await;
    let sent: Vec<u8> = (0..32u32 << 20).map(|i| (i % 251) as u8).collect();
    socket.write_all(&sent).await.unwrap();
    assert!(flow.progress().0 > 0);
    // Only reading moves the queue, and the order is kept.
    let reading = tokio::spawn(async move { socket.read_u8().await.map(|byte| (byte, socket)) });
    let mut got = vec![0; sent.len()];
    peer.read_exact(&mut got).await.unwrap();
    assert!(got == sent);
    flow.drained().await;
    peer.write_u8(7).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap().0, 7);
    assert_eq!(flow.progress(), (0, sent.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn reads_keep_to_the_rate_while_queued_output_is_sent() {
    const BYTES_PER_SECOND: u64 = 1 << 20;
    let (mut socket, mut peer, flow, _cut) = pair().await;
    let rates = UserRateLimits::default();
    rates.set(Some(BYTES_PER_SECOND), None);
    flow.limit("ann", Arc::new(rates), MemoryBudgets::default().of("ann"));
    let queued: Vec<u8> = vec![7; 16 << 20];
    socket.write_all(&queued).await.unwrap();
    assert!(flow.progress().0 > 0);
    let (mut from, mut to) = peer.split();
    let begun = Instant::now();
    let reading = async {
        let mut buffer = vec![0; 64 << 10];
        let mut read = 0;
        while read < 4 << 20 {
            let count = socket.read(&mut buffer).await.unwrap();
            read += count as u64;
            let most = begun.elapsed().as_secs_f64() * BYTES_PER_SECOND as f64
                + (BYTES_PER_SECOND / 5 + (64 << 10)) as f64;
            assert!(read as f64 <= most, "{read} of {most}");
        }
    };
    let mut got = vec![0; queued.len()];
    let sent = vec![1; 4 << 20];
    let (_, written, received) = tokio::join!(reading, to.write_all(&sent), from.read_exact(&mut got));
    written.unwrap();
    received.unwrap();
    assert!(got == queued);
}

#[tokio::test]
async fn one_poll_does_not_read_a_busy_sender_for_ever() {
    // An endless stream that never has to be waited for.
    let endless = tokio::io::join(tokio::io::repeat(3), tokio::io::sink());
    let mut socket =
        PacedSocket::new(endless, Arc::default(), BulkGate::for_cores(1), CancellationToken::new());
    let mut buffer = vec![0; 16 << 10];
    for _ in 0..2 {
        let mut in_one_go = 0;
        std::future::poll_fn(|cx| {
            let mut read = ReadBuf::new(&mut buffer);
            while in_one_go < 2 * READ_SLICE_BYTES
                && Pin::new(&mut socket).poll_read(cx, &mut read).is_ready()
            {
                in_one_go += read.filled().len();
                read.clear();
            }
            Poll::Ready(())
        })
        .await;
        assert!((READ_SLICE_BYTES..READ_SLICE_BYTES + (16 << 10)).contains(&in_one_go), "{in_one_go}");
    }
}

/// Returns at most `each` bytes at a time, and counts the reads.
struct Counted<'a> {
    rest: &'a [u8],
    each: usize,
    asked: Arc<AtomicUsize>,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (now, rest) = self.rest.split_at(self.each.min(self.rest.len()).min(buf.remaining()));
        buf.put_slice(now);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn small_packets_are_read_ahead_and_large_ones_directly_into_the_buffer() {
    let sent: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let stream = Counted { rest: &sent, each: 64, asked: Arc::clone(&asked) };
    let stream = tokio::io::join(stream, tokio::io::sink());
    let mut socket =
        PacedSocket::new(stream, Arc::default(), BulkGate::for_cores(1), CancellationToken::new());
    let mut got = Vec::new();
    for _ in 0..10 {
        for part in [4, 60] {
            let before = got.len();
            got.resize(before + part, 0);
            socket.read_exact(&mut got[before..]).await.unwrap();
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 10);
    // From here on, everything is available at once.
    socket.stream.reader_mut().each = usize::MAX;
    for part in [4, 65_536, 4, 65_536] {
        let before = got.len();
        got.resize(before + part, 0);
        socket.read_exact(&mut got[before..]).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 14);
    socket.read_to_end(&mut got).await.unwrap();
    assert!(got == sent);
}

#[tokio::test]
async fn nothing_is_read_while_too_much_is_held() {
    let (mut socket, mut peer, flow, _cut) = pair().await;
    let memory = MemoryBudgets::default();
    flow.limit("ann", Arc::default(), memory.of("ann"));
    let held = HeldBytes::new(Arc::clone(&flow));
    held.set(1 << 30);
    peer.write_all(b"x").await.unwrap();
    let reading = tokio::spawn(async move { socket.read_u8().await });
    // It checks again and again.
    while flow.reads().1 < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(flow.reads().0, 0);
    held.set(0);
    assert_eq!(reading.await.unwrap().unwrap(), b'x');
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_from_for_ever() {
    let (mut socket, mut peer, flow, _cut) = pair().await;
    while flow.progress().0 <= MAX_QUEUED_BYTES_WHILE_READING {
        socket.write_all(&[0; 1 << 16]).await.unwrap();
    }
    peer.write_all(b"x").await.unwrap();
    let mut got = [0];
    let waits = std::future::poll_fn(|cx| {
        Poll::Ready(Pin::new(&mut socket).poll_read(cx, &mut ReadBuf::new(&mut got)).is_pending())
    });
    assert!(waits.await);
    // Once the peer reads, the socket reads from it again.
    let mut sink = vec![0; 1 << 16];
    let sinks = async {
        loop {
            peer.read_exact(&mut sink).await.unwrap();
        }
    };
    tokio::select! {
        read = socket.read_u8() => assert_eq!(read.unwrap(), b'x'),
        () = sinks => {}
    }
}

#[tokio::test]
async fn a_connection_that_moves_much_waits_for_its_turn_and_gives_it_back_when_it_would_block() {
    let (mut socket, mut peer, flow, cut) = pair().await;
    let gate = BulkGate::for_cores(1);
    socket.pass = GatePass::new(Arc::clone(&gate));
    let mut others = [(); 2].map(|()| GatePass::new(Arc::clone(&gate)));
    let waker = std::task::Waker::noop();
    for other in &mut others {
        other.moved(1 << 20);
        assert!(other.poll(&mut Context::from_waker(waker), Arc::default).is_ready());
    }
    // The second chunk waits in the queue: the connection is bulk by then.
    let chunk = vec![7; 100 << 10];
    socket.write_all(&chunk).await.unwrap();
    socket.write_all(&chunk).await.unwrap();
    assert_eq!(flow.progress(), (chunk.len(), chunk.len() as u64));
    assert!(flow.is_bulk());
    let [_holder, leaving] = others;
    drop(leaving);
    let reading = tokio::spawn(async move { socket.read(&mut [0; 8]).await });
    let mut got = vec![0; 2 * chunk.len()];
    peer.read_exact(&mut got).await.unwrap();
    // Reading would block, so the permit is free for another connection.
    let mut next = GatePass::new(gate);
    next.moved(1 << 20);
    while next.poll(&mut Context::from_waker(waker), Arc::default).is_pending() {
        tokio::task::yield_now().await;
    }
    cut.cancel();
    assert_eq!(reading.await.unwrap().unwrap(), 0);
}

/// Eight connections send at once, each a slice at a time. `slice` says how many bytes the next one has. Returns the largest
/// number of bytes that all of them had queued together, once all of them are known to be busy.
async fn queued_by_busy_connections(slice: fn(&FlowControl) -> usize) -> usize {
    const SENT_BYTES: usize = 16 << 20;
    const PACKET_BYTES: usize = 64 << 10;
    let (gate, memory) = (BulkGate::for_cores(1), Arc::new(MemoryBudgets::default()));
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..8 {
        // The peer says nothing and takes everything, so that only the gate makes them wait.
        let (silence, _peer) = tokio::io::duplex(1);
        let stream = tokio::io::join(silence, tokio::io::sink());
        let flow = Arc::new(FlowControl::default());
        flow.limit("ann", Arc::default(), memory.of("ann"));
        let socket = PacedSocket::new(stream, Arc::clone(&flow), Arc::clone(&gate), CancellationToken::new());
        let memory = Arc::clone(&memory);
        sending.spawn(async move {
            let _peer = _peer;
            let ((mut reads, mut writes), mut most) = (tokio::io::split(socket), 0);
            let sends = async {
                let mut left = SENT_BYTES;
                while left > 0 {
                    flow.drained().await;
                    // The slice runs on another thread.
                    tokio::task::yield_now().await;
                    let bytes = slice(&flow).min(left);
                    for packet in vec![0; bytes].chunks(PACKET_BYTES) {
                        writes.write_all(packet).await.unwrap();
                    }
                    left -= bytes;
                    if left < SENT_BYTES / 2 {
                        most = most.max(memory.held());
                    }
                }
                flow.drained().await;
            };
            tokio::select! {
                () = sends => {}
                // Reading is what moves the queue.
                _ = reads.read_u8() => {}
            }
            most
        });
    }
    sending.join_all().await.into_iter().max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn connections_that_take_turns_queue_one_turn_each() {
    const SLICE_BYTES: usize = 512 << 10;
    let limited = queued_by_busy_connections(|flow| flow.output_limit().unwrap_or(SLICE_BYTES)).await;
    assert!(limited <= 8 * QUANTUM_BYTES, "{limited} bytes");
    let unlimited = queued_by_busy_connections(|_| SLICE_BYTES).await;
    assert!(unlimited > 2 * limited, "{unlimited} and {limited} bytes");
}

#[tokio::test]
async fn the_send_queue_is_bounded() {
    let (mut socket, _peer, _, _cut) = pair().await;
    let chunk = vec![0; 1 << 20];
    let mut result = Ok(());
    for _ in 0..200 {
        result = socket.write_all(&chunk).await;
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_cut_connection_reads_as_ended() {
    let (mut socket, _peer, _, cut) = pair().await;
    let reading = tokio::spawn(async move { socket.read(&mut [0; 8]).await });
    cut.cancel();
    assert_eq!(reading.await.unwrap().unwrap(), 0);
}
