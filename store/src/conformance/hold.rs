//! Holds counts of homes, so that a test can act during a count.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Holds counts on request. `P` is a phase of a count, as the store reports it. Clones hold the same counts.
#[derive(Clone, Debug)]
pub struct CountHold<P>(Arc<HoldState<P>>);

#[derive(Debug)]
struct HoldState<P> {
    seen: Mutex<Seen<P>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Seen<P> {
    holds: bool,
    /// The phases that were reached, in order.
    reached: Vec<(String, P)>,
    /// The number of phases that may pass although counts are held.
    passes: usize,
}

impl<P> Default for CountHold<P> {
    /// Holds nothing.
    fn default() -> CountHold<P> {
        let seen = Mutex::new(Seen { holds: false, reached: Vec::new(), passes: 0 });
        CountHold(Arc::new(HoldState { seen, changed: Condvar::new() }))
    }
}

impl<P: Clone> CountHold<P> {
    /// Holds all counts from the start.
    #[must_use]
    pub fn held() -> CountHold<P> {
        let hold = CountHold::default();
        hold.hold();
        hold
    }

    /// Holds all counts at their next phase.
    pub fn hold(&self) {
        self.seen().holds = true;
    }

    /// Lets all counts continue.
    pub fn release(&self) {
        self.seen().holds = false;
        self.0.changed.notify_all();
    }

    /// Lets one count that is held, now or later, pass one phase.
    pub fn pass_one(&self) {
        self.seen().passes += 1;
        self.0.changed.notify_all();
    }

    /// Records that a count has reached a phase, and waits while it is held.
    pub fn pass(&self, user: &str, phase: P) {
        let mut seen = self.seen();
        seen.reached.push((user.to_owned(), phase));
        self.0.changed.notify_all();
        let held = |seen: &mut Seen<P>| seen.holds && seen.passes == 0;
        let mut seen = self.0.changed.wait_while(seen, held).unwrap_or_else(PoisonError::into_inner);
        seen.passes = seen.passes.saturating_sub(1);
    }

    /// Waits until this many phases were reached.
    pub fn wait_for(&self, number: usize) {
        drop(self.reached(number));
    }

    /// Waits until this many phases were reached, and returns them.
    #[must_use]
    pub fn reached(&self, number: usize) -> Vec<(String, P)> {
        let lacks = |seen: &mut Seen<P>| seen.reached.len() < number;
        let seen = self.0.changed.wait_while(self.seen(), lacks).unwrap_or_else(PoisonError::into_inner);
        seen.reached.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen<P>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
