//! The queue of log lines. Logging never waits: one thread for the file and one for standard error write the lines. If a
//! thread cannot keep up because the disk hangs or nobody reads, lines are lost. Their number is logged once writing
//! works again, and is in the metrics.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// The largest size of the queue, in bytes.
const MAX_QUEUED_BYTES: usize = 8 << 20;

/// The time for which lines are collected before they are written. Waking the thread for each line costs more than
/// writing it.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// The timeout of a flush.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Lost lines since the start of the server.
static LOST_LINES: AtomicU64 = AtomicU64::new(0);

/// The number of log lines that were lost since the start of the server.
#[must_use]
pub fn lost_lines() -> u64 {
    LOST_LINES.load(Relaxed)
}

/// A queue of lines for one sink.
pub(super) struct LogQueue {
    sender: Sender<QueueMessage>,
    counts: Arc<LogCounts>,
}

#[derive(Default)]
struct LogCounts {
    queued: AtomicUsize,
    /// Lines that were lost and are not logged yet.
    unreported: AtomicU64,
}

enum QueueMessage {
    Line(Box<[u8]>),
    /// Answered when all lines before it are written.
    Flush(Sender<()>),
}

impl LogCounts {
    fn lost(&self) {
        self.unreported.fetch_add(1, Relaxed);
        LOST_LINES.fetch_add(1, Relaxed);
    }
}

impl LogQueue {
    /// Starts a thread that writes each line to `sink` in one call. `report` makes the line about lost lines.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn begin(
        name: &str,
        sink: impl Write + Send + 'static,
        report: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<LogQueue> {
        let (sender, receiver) = channel();
        let counts = Arc::<LogCounts>::default();
        let theirs = Arc::clone(&counts);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_lines(&receiver, sink, &theirs, report))?;
        Ok(LogQueue { sender, counts })
    }

    /// The same queue.
    pub(super) fn share(&self) -> LogQueue {
        LogQueue { sender: self.sender.clone(), counts: Arc::clone(&self.counts) }
    }

    /// Waits until all queued lines are written, with a timeout.
    pub(super) fn flush(&self) {
        let (done, written) = channel();
        if self.sender.send(QueueMessage::Flush(done)).is_ok() {
            // Lines that are not written in time are lost.
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }

    fn push(&self, line: &[u8]) {
        let queued = self.counts.queued.fetch_add(line.len(), Relaxed) + line.len();
        if queued > MAX_QUEUED_BYTES || self.sender.send(QueueMessage::Line(line.into())).is_err() {
            self.counts.queued.fetch_sub(line.len(), Relaxed);
            self.counts.lost();
        }
    }
}

fn write_lines(
    receiver: &Receiver<QueueMessage>,
    mut sink: impl Write,
    counts: &LogCounts,
    report: impl Fn(u64) -> String,
) {
    while let Ok(first) = receiver.recv() {
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            match message {
                QueueMessage::Line(line) => {
                    match sink.write_all(&line) {
                        Ok(()) => report_losses(&mut sink, counts, &report),
                        Err(_) => counts.lost(),
                    }
                    counts.queued.fetch_sub(line.len(), Relaxed);
                }
                QueueMessage::Flush(done) => {
                    // The waiter may have given up.
                    let _ = done.send(());
                }
            }
        }
        thread::sleep(BATCH_DELAY);
    }
}

fn report_losses(sink: &mut impl Write, counts: &LogCounts, report: impl Fn(u64) -> String) {
    let lost = counts.unreported.load(Relaxed);
    if lost > 0 && sink.write_all(report(lost).as_bytes()).is_ok() {
        counts.unreported.fetch_sub(lost, Relaxed);
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a LogQueue;

    fn make_writer(&'a self) -> &'a LogQueue {
        self
    }
}

impl Write for &LogQueue {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Accepts lines while it has space for them, and waits for a message before each.
    struct Narrow {
        written: Arc<Mutex<Vec<u8>>>,
        room: Arc<AtomicUsize>,
        go: Option<Receiver<()>>,
    }

    impl Write for Narrow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if let Some(go) = &self.go {
                let _ = go.recv();
            }
            let enough = |room: usize| room.checked_sub(line.len());
            self.room.fetch_update(Relaxed, Relaxed, enough).map_err(|_| io::ErrorKind::StorageFull)?;
            self.written.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn begin(room: usize, go: Option<Receiver<()>>) -> (LogQueue, Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>) {
        let (written, room) = (Arc::default(), Arc::new(AtomicUsize::new(room)));
        let sink = Narrow { written: Arc::clone(&written), room: Arc::clone(&room), go };
        let queue = LogQueue::begin("log", sink, |lost| format!("{lost} lost\n")).unwrap();
        (queue, written, room)
    }

    #[test]
    fn lost_lines_are_counted_and_reported_once_writing_works() {
        let (queue, written, room) = begin(10, None);
        let before = lost_lines();
        for line in ["1234\n", "5678\n", "lost\n", "too\n"] {
            (&queue).write_all(line.as_bytes()).unwrap();
        }
        queue.flush();
        assert_eq!(written.lock().unwrap().as_slice(), b"1234\n5678\n");
        assert!(lost_lines() >= before + 2);
        room.store(1000, Relaxed);
        (&queue).write_all(b"again\n").unwrap();
        (&queue).write_all(b"and again\n").unwrap();
        queue.flush();
        assert_eq!(written.lock().unwrap().as_slice(), b"1234\n5678\nagain\n2 lost\nand again\n");
    }

    #[test]
    fn a_hanging_disk_blocks_nobody_and_excess_lines_are_lost() {
        let (go, gone) = channel();
        let (queue, written, _) = begin(usize::MAX, Some(gone));
        let line = [b'x'; 1 << 20];
        (0..20).for_each(|_| (&queue).write_all(&line).unwrap());
        assert_eq!(queue.counts.queued.load(Relaxed), MAX_QUEUED_BYTES);
        assert_eq!(queue.counts.unreported.load(Relaxed), 12);
        drop(go);
        queue.flush();
        assert_eq!(written.lock().unwrap().len(), MAX_QUEUED_BYTES + "12 lost\n".len());
        assert_eq!(queue.counts.queued.load(Relaxed), 0);
    }
}
