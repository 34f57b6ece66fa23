//! How the client wants its SSH connection.

use russh::kex;
use sshome_ssh::{MAX_PACKET_BYTES, preferred};
use std::time::Duration;

/// How much the server may send ahead on a channel, in bytes. A link is kept full as long as this
/// is at least twice its rate times its round trip.
const WINDOW_BYTES: u32 = 64 << 20;

/// How long a server may take for each thing that it can do at once: a key exchange, a step of a
/// login, opening a channel, saying hello.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// The settings of a client's connection: which algorithms, in which order, and how much flows.
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
