//! Service tasks: they run as long as the server, each on its own, and are restarted after a panic.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The pause before the first restart of a task. Each further pause is twice as long.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause before a restart. After a task has run for this long, its next pause is the shortest again.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The service tasks of a server. Dropping it aborts them.
#[derive(Debug, Default)]
pub(super) struct ServiceTasks(JoinSet<()>);

impl ServiceTasks {
    /// Runs the task that `begin` returns. If it panics, the panic is logged and the next one is begun after a pause.
    pub(super) fn spawn<F>(&mut self, name: &'static str, begin: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(supervise(name, begin));
    }

    /// Aborts the tasks. They have released what they held when this returns.
    pub(super) async fn shut_down(mut self) {
        self.0.shutdown().await;
    }
}

/// Runs a task until it returns, and restarts it after each panic. Other tasks are not affected.
pub(super) async fn supervise<F: Future<Output = ()>>(name: &'static str, mut begin: impl FnMut() -> F) {
    let mut pause = MIN_PAUSE;
    loop {
        let begun = Instant::now();
        let Err(panic) = caught(async { begin().await }).await else { return };
        if begun.elapsed() >= MAX_PAUSE {
            pause = MIN_PAUSE;
        }
        let (what, seconds) = (text(&*panic), pause.as_secs());
        tracing::error!(task = name, panic = what, seconds, "internal error: the task is restarted");
        sleep(pause).await;
        pause = MAX_PAUSE.min(pause * 2);
    }
}

/// The result of a future, or its panic. The future is not polled after a panic.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}

/// The message of a panic.
fn text(panic: &(dyn Any + Send)) -> &str {
    let formatted = panic.downcast_ref::<String>().map(String::as_str);
    formatted.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use tokio::sync::mpsc;

    /// The seconds between the starts of a task that panics in its first `panics` runs, `after` this time.
    async fn pauses(panics: usize, after: Duration) -> Vec<u64> {
        let (say, mut begun) = mpsc::unbounded_channel();
        let mut tasks = ServiceTasks::default();
        let mut runs = 0;
        tasks.spawn("test", move || {
            runs += 1;
            let (run, say) = (runs, say.clone());
            async move {
                say.send(Instant::now()).unwrap();
                sleep(after).await;
                assert!(run > panics, "run {run}");
                pending().await
            }
        });
        let mut starts = Vec::new();
        for _ in 0..=panics {
            starts.push(begun.recv().await.unwrap());
        }
        tasks.shut_down().await;
        assert!(begun.recv().await.is_none(), "it was begun once more");
        starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_task_is_restarted_after_growing_pauses() {
        assert_eq!(pauses(2, Duration::ZERO).await, [1, 2]);
        assert_eq!(pauses(8, Duration::ZERO).await, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_run_the_pause_is_short_again() {
        assert_eq!(pauses(3, MAX_PAUSE).await, [61, 61, 61]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_does_not_affect_other_tasks() {
        let (begun, ticks) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (say, mut third) = mpsc::unbounded_channel();
        let mut tasks = ServiceTasks::default();
        let mut runs = 0;
        tasks.spawn("faulty", move || {
            runs += 1;
            let (run, say) = (runs, say.clone());
            async move {
                assert!(run > 2, "run {run}");
                say.send(()).unwrap();
                pending().await
            }
        });
        let (other, counts) = (Arc::clone(&begun), Arc::clone(&ticks));
        tasks.spawn("sound", move || {
            other.fetch_add(1, SeqCst);
            let ticks = Arc::clone(&counts);
            async move {
                loop {
                    sleep(Duration::from_millis(100)).await;
                    ticks.fetch_add(1, SeqCst);
                }
            }
        });
        third.recv().await.unwrap();
        assert_eq!(begun.load(SeqCst), 1);
        assert!(ticks.load(SeqCst) >= 29, "{ticks:?}");
        tasks.shut_down().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_returns_is_not_restarted() {
        supervise("test", || async {}).await;
    }
}
