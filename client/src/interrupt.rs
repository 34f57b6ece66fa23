//! The wish to stop what is under way, from a Ctrl-C or from a program.

use std::sync::Arc;
use tokio::sync::watch;

/// A flag that one side raises and the other waits for. Clones share it.
#[derive(Clone, Debug)]
pub struct Interrupt {
    raised: Arc<watch::Sender<bool>>,
    /// When this one is raised, so is the flag.
    above: Option<Arc<Interrupt>>,
}

impl Interrupt {
    /// A flag that is not raised.
    #[must_use]
    pub fn new() -> Interrupt {
        Interrupt { raised: Arc::new(watch::Sender::new(false)), above: None }
    }

    /// A flag for a part of the work: it counts as raised also while this one is.
    #[must_use]
    pub fn below(&self) -> Interrupt {
        Interrupt { above: Some(Arc::new(self.clone())), ..Interrupt::new() }
    }

    /// Asks what is under way to stop. Stays so until [`clear`](Interrupt::clear).
    pub fn raise(&self) {
        self.raised.send_replace(true);
    }

    /// Takes the wish back, before the next command begins.
    pub fn clear(&self) {
        self.raised.send_replace(false);
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.raised.borrow() || self.above.as_ref().is_some_and(|above| above.is_raised())
    }

    /// Returns once the flag is raised; at once if it is already.
    pub async fn raised(&self) {
        match &self.above {
            Some(above) => tokio::select! {
                () = self.itself() => {}
                () = Box::pin(above.raised()) => {}
            },
            None => self.itself().await,
        }
    }

    async fn itself(&self) {
        // It fails only when the sender is gone, and we hold it.
        let _ = self.raised.subscribe().wait_for(|raised| *raised).await;
    }
}

impl Default for Interrupt {
    fn default() -> Interrupt {
        Interrupt::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clone_is_the_same_flag() {
        let flag = Interrupt::new();
        let other = flag.clone();
        let waiting = tokio::spawn(async move { other.raised().await });
        flag.raise();
        waiting.await.unwrap();
        assert!(flag.is_raised());
        flag.raised().await;
        flag.clear();
        assert!(!flag.is_raised());
    }

    #[tokio::test]
    async fn a_flag_below_hears_of_those_above_and_not_the_other_way() {
        let flag = Interrupt::new();
        let (below, beside) = (flag.below().below(), flag.below());
        below.raise();
        below.raised().await;
        assert!(below.is_raised() && !flag.is_raised() && !beside.is_raised());
        below.clear();
        let waiting = tokio::spawn({
            let below = below.clone();
            async move { below.raised().await }
        });
        flag.raise();
        waiting.await.unwrap();
        assert!(below.is_raised() && beside.is_raised());
    }
}
