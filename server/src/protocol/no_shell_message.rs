//! The message that `ssh USER@HOST` gets without a command: there is no shell.

use super::{BlockingPool, ChannelEnd, ChannelOutput, SlicePriority};
use crate::accounts::Access;
use crate::service::{self, User};
use sshome_wire::Usage;
use sshome_wire::display::Size;

/// The exit status if a client asks for a shell.
const EXIT_NO_SHELL: u8 = 1;

/// Sends the user's name, the quota and the commands that work. `terminal` selects CR LF as line ends. `port` is the
/// port that the server listens on.
pub async fn send(
    outgoing: impl ChannelOutput,
    user: User,
    terminal: bool,
    port: u16,
    pool: &BlockingPool,
) -> ChannelEnd {
    // Reading the free space of the disk may block.
    let text = pool.run(user.slice_permits(), SlicePriority::Interactive, move || text(&user, port));
    let Ok(Some(text)) = text.await else { return ChannelEnd::Fault };
    let text = if terminal { text.replace('\n', "\r\n") } else { text };
    match outgoing.send(text.into()).await {
        Ok(()) => ChannelEnd::Failed(EXIT_NO_SHELL),
        Err(_) => ChannelEnd::Gone,
    }
}

fn text(user: &User, port: u16) -> String {
    let name = user.name();
    let used = match service::usage(user) {
        Ok(credited) => used(&credited.usage),
        Err(error) => error.to_string(),
    };
    let access = match (user.access(), user.account_access()) {
        (Access::ReadWrite, _) => String::new(),
        (access, account) if access == account => "Your account is read-only.\n".to_owned(),
        (access, _) => format!("Your key is restricted: {}.\n", access.name()),
    };
    format!(
        "Hello, {name}: {used}.\n{access}\
         There is no shell. These commands work:\n{}",
        commands(name, port)
    )
}

/// The default port of `sshome`.
const SSHOME_PORT: u16 = 2222;

/// The default port of OpenSSH.
const SSH_PORT: u16 = 22;

/// The commands that connect, with their purpose.
fn commands(name: &str, port: u16) -> String {
    let option =
        |letter: char, usual| if port == usual { String::new() } else { format!(" -{letter} {port}") };
    let rows = [
        (format!("sshome{} {name}@HOST", option('P', SSHOME_PORT)), "the client of this server"),
        (format!("sftp{} {name}@HOST", option('P', SSH_PORT)), "files by SFTP; so do scp, sshfs and rclone"),
        (format!("ssh{} {name}@HOST help", option('p', SSH_PORT)), "the list of single commands"),
    ];
    let width = rows.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    rows.iter().map(|(command, what)| format!("  {command:width$}   {what}\n")).collect()
}

/// The usage as text.
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
    fn commands_include_the_port_unless_it_is_the_default() {
        for (port, want) in [
            (2222, ["sshome ann@HOST", "sftp -P 2222 ann@HOST", "ssh -p 2222 ann@HOST help"]),
            (22, ["sshome -P 22 ann@HOST", "sftp ann@HOST", "ssh ann@HOST help"]),
        ] {
            let text = commands("ann", port);
            let commands: Vec<_> = text.lines().filter_map(|line| line.trim().split("   ").next()).collect();
            assert_eq!(commands, want);
        }
    }

    #[test]
    fn usage_is_shown_with_its_limits() {
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
