//! The lines about lost connections: one for each loss, however many connections it hits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the lines about losses of one connection, and those that all connections of the transfer printed.
/// Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct LossLines {
    /// How often this connection wanted to print each line.
    own: Arc<Mutex<HashMap<String, u64>>>,
    /// How often each line was printed.
    printed: Arc<Mutex<HashMap<String, u64>>>,
}

impl LossLines {
    /// The lines of another connection of the same transfer.
    pub(super) fn beside(&self) -> LossLines {
        LossLines { own: Arc::default(), printed: Arc::clone(&self.printed) }
    }

    /// Whether to print a line: it has not yet been printed as often as this connection wants to print it.
    pub(super) fn is_news(&self, line: &str) -> bool {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let times = own.entry(line.to_owned()).or_default();
        *times += 1;
        let printed = printed.entry(line.to_owned()).or_default();
        let is_news = *printed < *times;
        *printed = (*printed).max(*times);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losing_several_connections_prints_one_line() {
        let first = LossLines::default();
        let connections = [first.clone(), first.beside(), first.beside()];
        for _ in 0..3 {
            let news = connections.iter().filter(|connection| connection.is_news("lost: reset")).count();
            assert_eq!(news, 1);
        }
        // The loss of a single connection is printed again.
        assert!(connections[1].is_news("lost: reset") && !connections[2].is_news("lost: reset"));
        assert!(connections[2].is_news("lost: closed"));
    }
}
