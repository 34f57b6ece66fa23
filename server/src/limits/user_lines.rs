//! Rate limits for users' log lines about actions that change nothing, so that one user's reads and refusals cannot
//! displace the lines of others from the rotated log.

use super::refusal_log::LOG_INTERVAL;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The number of these lines that a user has in a minute.
const MAX_LINES_PER_USER: u64 = 1000;

/// Counts the lines of each user.
#[derive(Debug, Default)]
pub struct UserLineLimit(Mutex<HashMap<String, UserMinute>>);

#[derive(Debug)]
struct UserMinute {
    begun: Instant,
    lines: u64,
}

impl UserMinute {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= LOG_INTERVAL
    }

    fn suppressed(&self) -> Option<u64> {
        Some(self.lines.saturating_sub(MAX_LINES_PER_USER)).filter(|suppressed| *suppressed > 0)
    }
}

/// Whether to log a line of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserLineDecision {
    /// Whether this one is logged.
    pub is_logged: bool,
    /// The number of suppressed lines in the user's previous minute, if it has just ended.
    pub suppressed: Option<u64>,
}

impl UserLineLimit {
    /// Counts a line of a user.
    pub fn note(&self, user: &str, now: Instant) -> UserLineDecision {
        let mut users = self.users();
        let mut suppressed = None;
        match users.get_mut(user) {
            Some(minute) if !minute.is_over(now) => {
                minute.lines += 1;
                return UserLineDecision { is_logged: minute.lines <= MAX_LINES_PER_USER, suppressed };
            }
            Some(minute) => {
                suppressed = minute.suppressed();
                *minute = UserMinute { begun: now, lines: 1 };
            }
            None => {
                users.insert(user.to_owned(), UserMinute { begun: now, lines: 1 });
            }
        }
        UserLineDecision { is_logged: true, suppressed }
    }

    /// The users whose minute is over and had suppressed lines, with their number. They are reported once.
    pub fn rest(&self, now: Instant) -> Vec<(String, u64)> {
        let mut users = self.users();
        let over = users.extract_if(|_, minute| minute.is_over(now));
        over.filter_map(|(user, minute)| Some((user, minute.suppressed()?))).collect()
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, UserMinute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_user_has_a_line_limit_and_suppressed_lines_are_counted() {
        let (limit, now) = (UserLineLimit::default(), Instant::now());
        let note = |user, after| limit.note(user, now + Duration::from_secs(after));
        let lines = |user| (0..5000).filter(|_| note(user, 1).is_logged).count();
        assert_eq!((lines("ann"), lines("bob")), (1000, 1000));
        assert!(note("eve", 1).is_logged);
        assert_eq!(note("ann", 61), UserLineDecision { is_logged: true, suppressed: Some(4000) });
        assert_eq!(note("ann", 62), UserLineDecision { is_logged: true, suppressed: None });
        assert_eq!(limit.rest(now + Duration::from_secs(61)), [("bob".to_owned(), 4000)]);
        assert_eq!(limit.rest(now + Duration::from_secs(200)), []);
        assert!(limit.users().is_empty());
    }
}
