use super::super::Arrival;
use super::*;
use sshome_store::Signal;

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
async fn a_slice_starts_only_for_a_whole_packet_and_no_packet_is_lost() {
    let (slice_permits, seen) = std::sync::mpsc::channel();
    let mut pieces = vec![Arrival::Data(Bytes::from_static(b"x")); 11];
    pieces.push(Arrival::Eof);
    let pool = BlockingPool::of_this_runtime().unwrap();
    let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline: None };
    let protocol = Fours { waiting: 0, slice_permits };
    let ended = drive(
        Pieces(pieces.into_iter()),
        Nobody,
        protocol,
        executors,
        CancellationToken::new(),
        CancellationToken::new(),
    )
    .await;
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
async fn a_slice_that_panics_ends_its_channel_in_order_wherever_it_runs() {
    let pool = BlockingPool::of_this_runtime().unwrap();
    for inline in [Some(pool.inline()), None] {
        let pieces = vec![Arrival::Data(Bytes::from_static(b"x"))].into_iter();
        let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline };
        let ended = drive(
            Pieces(pieces),
            Nobody,
            Broken,
            executors,
            CancellationToken::new(),
            CancellationToken::new(),
        )
        .await;
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
async fn end_of_input_ctrl_c_and_silence_end_a_protocol_that_reads_to_the_end() {
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
        assert_eq!(
            drive(input, Nobody, Counter::default(), executors, CancellationToken::new(), stopping).await,
            end
        );
    }
}

/// A protocol that waits for another session. Reports each slice, and ends once the other session is done or `x` has
/// arrived.
struct Waits {
    wait: Wait,
    bytes: Vec<u8>,
    slices: tokio::sync::mpsc::UnboundedSender<()>,
}

/// How long the protocol waits in one go. The clock is paused, so it passes as soon as nothing else can happen.
const WAIT: Duration = Duration::from_secs(10);

impl ChannelProtocol for Waits {
    fn push(&mut self, chunks: Vec<Bytes>) {
        self.bytes.extend(chunks.concat());
    }

    fn pending_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        Vec::new()
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        let outcome = match self.wait.is_over() || self.bytes.contains(&b'x') {
            true => SliceOutcome::Ended(ChannelEnd::Failed((self.bytes.len() >> 20) as u8)),
            false => SliceOutcome::WaitFor(self.wait.clone(), WAIT),
        };
        self.slices.send(()).unwrap();
        outcome
    }

    fn is_under_way(&self) -> bool {
        false
    }
}

/// What happens to a protocol that waits.
enum Event {
    /// The other session is done after this number of slices.
    Done(usize),
    /// The server stops after this number of slices.
    Stops(usize),
    Never,
}

/// Serves a protocol that waits. Returns its end, the number of its slices, and how often it has waited to the end of the
/// time limit.
async fn wait_with(arrivals: Vec<Arrival>, event: Event) -> (ChannelEnd, usize, u64) {
    let pool = BlockingPool::of_this_runtime().unwrap();
    let (slices, mut reported) = tokio::sync::mpsc::unbounded_channel();
    let (completion, stopping) = (Signal::default(), CancellationToken::new());
    let waits = Waits { wait: completion.wait(), bytes: Vec::new(), slices };
    let mut completion = Some(completion);
    let (begun, mut count) = (tokio::time::Instant::now(), 0);
    let (input, stop) = (Pieces(arrivals.into_iter()), stopping.clone());
    // A task of its own, which nothing else wakes.
    let mut served = tokio::spawn(async move {
        let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline: None };
        drive(input, Nobody, waits, executors, CancellationToken::new(), stop).await
    });
    let ended = loop {
        tokio::select! {
            ended = &mut served => break ended.unwrap(),
            Some(()) = reported.recv() => count += 1,
        }
        assert!(count < 100, "it waits for ever");
        match event {
            Event::Done(after) if count == after => drop(completion.take()),
            Event::Stops(after) if count == after => stopping.cancel(),
            _ => {}
        }
    };
    while reported.recv().await.is_some() {
        count += 1;
    }
    (ended, count, begun.elapsed().as_secs() / WAIT.as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_protocol_waiting_for_another_session_gets_a_slice_when_that_session_is_done() {
    let done = ChannelEnd::Failed(0);
    assert_eq!(wait_with(vec![], Event::Done(1)).await, (done, 2, 0));
    // After the time limit it is tried again.
    assert_eq!(wait_with(vec![], Event::Done(3)).await, (done, 4, 2));
    // EOF does not end the wait.
    assert!(matches!(wait_with(vec![Arrival::Eof], Event::Done(2)).await, (ChannelEnd::Failed(0), 3, _)));
    // Input may be a cancel.
    let data = |bytes: &'static [u8]| Arrival::Data(Bytes::from_static(bytes));
    let (ended, _, waits) = wait_with(vec![data(b"a"), data(b"x")], Event::Never).await;
    assert_eq!((ended, waits), (done, 0));
    // Nothing is waited for if the client has disconnected.
    let (ended, _, waits) = wait_with(vec![Arrival::Gone], Event::Never).await;
    assert_eq!((ended, waits), (ChannelEnd::Gone, 0));
    // A shutdown does not wait.
    assert_eq!(wait_with(vec![], Event::Stops(1)).await, (ChannelEnd::Well, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn input_is_bounded_while_a_protocol_waits_for_another_session() {
    let many = vec![Arrival::Data(Bytes::from(vec![b'a'; 1 << 20])); 100];
    let (ended, slices, waits) = wait_with(many, Event::Done(6)).await;
    let ChannelEnd::Failed(mib) = ended else { panic!("{ended:?}") };
    assert!(mib <= 2 && slices == 7 && waits >= 3, "{mib} MiB, {slices} slices, {waits} waits");
}

/// A protocol that reports the thread on which it is dropped. Its slices wait until the test lets them return.
struct Dropped {
    returns: Option<std::sync::mpsc::Receiver<()>>,
    began: Option<tokio::sync::oneshot::Sender<()>>,
    dropped: std::sync::mpsc::Sender<Option<String>>,
}

impl ChannelProtocol for Dropped {
    fn push(&mut self, _chunks: Vec<Bytes>) {}

    fn pending_bytes(&self) -> usize {
        0
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        Vec::new()
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        let _ = self.began.take().map(|began| began.send(()));
        let _ = self.returns.take().map(|returns| returns.recv());
        SliceOutcome::Idle
    }

    fn is_under_way(&self) -> bool {
        true
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.dropped.send(std::thread::current().name().map(str::to_owned)).unwrap();
    }
}

#[tokio::test]
async fn a_channel_whose_client_is_gone_closes_its_files_in_the_pool() {
    for during_a_slice in [true, false] {
        let (release, returns) = std::sync::mpsc::channel();
        let (began, begun) = tokio::sync::oneshot::channel();
        let (sender, dropped) = std::sync::mpsc::channel();
        let returns = during_a_slice.then_some(returns);
        let protocol = Dropped { returns, began: Some(began), dropped: sender };
        let closed = CancellationToken::new();
        let gone = closed.clone();
        let served = tokio::spawn(async move {
            let pool = BlockingPool::of_this_runtime().unwrap();
            let executors =
                Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline: None };
            let input = Pieces(Vec::new().into_iter());
            drive(input, Nobody, protocol, executors, gone, CancellationToken::new()).await
        });
        begun.await.unwrap();
        closed.cancel();
        drop(release);
        assert_eq!(served.await.unwrap(), ChannelEnd::Gone);
        let thread = dropped.recv().unwrap().unwrap();
        assert!(thread.starts_with("work-"), "{thread}");
    }
}
