//! The client's settings of an SSH connection.

use russh::kex;
use sshome_ssh::{MAX_PACKET_BYTES, preferred};
use std::time::Duration;

/// The receive window of a channel, in bytes. A link is fully used if this is at least twice its rate times its round
/// trip.
const WINDOW_BYTES: u32 = 64 << 20;

/// The time limit for steps that a server can do at once: a key exchange, a step of a login, opening a channel, sending
/// its hello.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// The settings of a client's connection: algorithms in their order, and flow control.
#[must_use]
pub fn config() -> russh::client::Config {
    russh::client::Config {
        window_size: WINDOW_BYTES,
        maximum_packet_size: MAX_PACKET_BYTES,
        channel_buffer_size: 64,
        keepalive_interval: Some(Duration::from_secs(30)),
        nodelay: true,
        preferred: preferred([kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT]),
        ..Default::default()
    }
}
