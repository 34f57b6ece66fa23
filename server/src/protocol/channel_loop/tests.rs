use super::super::Arrival;
use super::*;

/// A client that sends some chunks and then nothing more.
struct Pieces(std::vec::IntoIter<Arrival>);

impl ChannelInput for Pieces {
    async fn next(&mut self) -> Arrival {
        match self.0.next() {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }
}

struct Nobody;

impl ChannelOutput for Nobody {
    async fn send(&self, _bytes: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn send_error(&self, _bytes: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    fn closed(&self) -> CancellationToken {
        CancellationToken::new()
    }
}

/// A protocol with packets of four bytes. Reports the bytes that each slice found.
struct Fours {
    waiting: usize,
    slice_permits: std::sync::mpsc::Sender<usize>,
}

impl ChannelProtocol for Fours {
    fn push(&mut self, chunks: Vec<Bytes>) {
        self.waiting += chunks.iter().map(Bytes::len).sum::<usize>();
    }

    fn pending_bytes(&self) -> usize {
        self.waiting
    }

    fn is_ready(&mut self) -> bool {
        self.waiting >= 4
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        Vec::new()
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        self.slice_permits.send(self.waiting).unwrap();
        self.waiting %= 4;
        SliceOutcome::Idle
    }

    fn is_under_way(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn half_a_packet_is_not_worth_a_turn_and_no_packet_is_left() {
    let (slice_permits, seen) = std::sync::mpsc::channel();
    let mut pieces = vec![Arrival::Data(Bytes::from_static(b"x")); 11];
    pieces.push(Arrival::Eof);
    let pool = BlockingPool::of_this_runtime().unwrap();
    let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline: None };
    let protocol = Fours { waiting: 0, slice_permits };
    let ended =
        drive(Pieces(pieces.into_iter()), Nobody, protocol, executors, CancellationToken::new()).await;
    assert_eq!(ended, ChannelEnd::Well);
    let seen: Vec<usize> = seen.iter().collect();
    assert!(seen.iter().all(|found| *found >= 4), "{seen:?}");
    assert_eq!(seen.iter().map(|found| found / 4).sum::<usize>(), 2, "{seen:?}");
}

/// Whatever it is to do, it panics.
struct Broken;

impl ChannelProtocol for Broken {
    fn push(&mut self, _chunks: Vec<Bytes>) {}

    fn pending_bytes(&self) -> usize {
        0
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        Vec::new()
    }

    fn run_inline_slice(&mut self) -> Option<SliceOutcome> {
        panic!("an inline slice");
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        panic!("a slice");
    }

    fn is_under_way(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_turn_that_panics_ends_its_channel_in_order_wherever_it_runs() {
    let pool = BlockingPool::of_this_runtime().unwrap();
    for inline in [Some(pool.inline()), None] {
        let pieces = vec![Arrival::Data(Bytes::from_static(b"x"))].into_iter();
        let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline };
        let ended = drive(Pieces(pieces), Nobody, Broken, executors, CancellationToken::new()).await;
        assert_eq!(ended, ChannelEnd::Fault);
    }
}

/// A protocol that reads its input to the end, and then fails with the number of bytes as its exit status. Ctrl-C
/// interrupts it, and an `i` makes it wait for at most a minute.
#[derive(Default)]
struct Counter {
    bytes: Vec<u8>,
    end: Option<InputEnd>,
}

impl ChannelProtocol for Counter {
    fn push(&mut self, chunks: Vec<Bytes>) {
        self.bytes.extend(chunks.concat());
    }

    fn end_input(&mut self, end: InputEnd) {
        self.end = Some(end);
    }

    fn reads_to_end(&self) -> bool {
        true
    }

    fn interrupted(&self) -> Option<ChannelEnd> {
        self.bytes.contains(&3).then_some(ChannelEnd::Failed(130))
    }

    fn pending_bytes(&self) -> usize {
        0
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        Vec::new()
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        match self.end {
            Some(InputEnd::Eof) => SliceOutcome::Ended(ChannelEnd::Failed(self.bytes.len() as u8)),
            Some(InputEnd::Cut) => SliceOutcome::Ended(ChannelEnd::Gone),
            None if self.bytes.ends_with(b"i") => {
                SliceOutcome::IdleFor(Duration::from_secs(60), ChannelEnd::Failed(255))
            }
            None => SliceOutcome::Idle,
        }
    }

    fn is_under_way(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_an_interrupt_and_silence_end_a_protocol_that_reads_to_the_end() {
    let pool = BlockingPool::of_this_runtime().unwrap();
    let data = |bytes: &'static [u8]| Arrival::Data(Bytes::from_static(bytes));
    for (events, end) in [
        (vec![data(b"abc"), data(b"de"), Arrival::Eof], ChannelEnd::Failed(5)),
        (vec![Arrival::Eof], ChannelEnd::Failed(0)),
        (vec![data(b"abc"), Arrival::Gone], ChannelEnd::Gone),
        (vec![data(b"abc"), data(b"\x03")], ChannelEnd::Failed(130)),
        (vec![data(b"i"), data(b"i")], ChannelEnd::Failed(255)),
    ] {
        let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline: None };
        let (input, stopping) = (Pieces(events.into_iter()), CancellationToken::new());
        stopping.cancel();
        assert_eq!(drive(input, Nobody, Counter::default(), executors, stopping).await, end);
    }
}
