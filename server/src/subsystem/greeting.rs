//! `ssh USER@HOST` without a command: a short text in place of a shell.

use super::{Ended, Outgoing};
use crate::operations::{self, User};
use sshome_wire::Usage;
use sshome_wire::display::Size;

/// The exit status: no shell was had.
const NO_SHELL: u8 = 1;

/// Says who the user is, what is left of the quota, and how to connect. On a terminal lines end as it
/// wants them.
pub async fn greet(outgoing: impl Outgoing, user: User, terminal: bool) -> Ended {
    let turns = user.turns();
    let text = async {
        let _turn = turns.acquire().await;
        tokio::task::spawn_blocking(move || text(&user)).await
    };
    let Ok(text) = text.await else { return Ended::Fault };
    let text = if terminal { text.replace('\n', "\r\n") } else { text };
    match outgoing.send(text.into()).await {
        Ok(()) => Ended::Failed(NO_SHELL),
        Err(_) => Ended::Gone,
    }
}

fn text(user: &User) -> String {
    let name = user.name();
    let used = match operations::usage(user) {
        Ok(usage) => used(&usage),
        Err(error) => error.to_string(),
    };
    let access = if user.may_write() { "" } else { "You may read here, and not write.\n" };
    format!(
        "Hello, {name}: {used}.\n{access}\
         There is no shell here. What works:\n  \
           sshome {name}@HOST         the client of this server\n  \
           ssh {name}@HOST help       what can be done in one command\n"
    )
}

/// What is used, as people say it.
fn used(usage: &Usage) -> String {
    let bytes = match usage.quota {
        Some(quota) => format!("{} of {} used", Size(usage.used), Size(quota)),
        None => format!("{} used, no quota", Size(usage.used)),
    };
    match usage.max_entries {
        Some(most) => format!("{bytes}, {} of {most} files", usage.entries),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_said_with_its_limits() {
        let usage = Usage {
            used: 1 << 20,
            reserved: 0,
            quota: Some(100 << 20),
            entries: 3,
            max_entries: Some(10),
            disk_free: 0,
        };
        assert_eq!(used(&usage), "1.0 MiB of 100.0 MiB used, 3 of 10 files");
        let free = Usage { quota: None, max_entries: None, ..usage };
        assert_eq!(used(&free), "1.0 MiB used, no quota");
    }
}
