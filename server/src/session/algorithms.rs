//! russh's configuration: algorithms, windows, keepalives.

use crate::config::{Algorithms, Kex};
use crate::limits::ConnectionLimits;
use russh::keys::PrivateKey;
use russh::{MethodKind, MethodSet, Preferred, SshId, kex, mac, server};
use sshome_ssh::MAX_PACKET_BYTES;
use std::borrow::Cow;
use std::time::Duration;

/// The receive window of a channel, in bytes. It is reopened when half of it is used up, so this allows 1.3 Gbit/s at
/// 100 ms.
pub(super) const CHANNEL_WINDOW_BYTES: u32 = 32 << 20;

/// The receive window until a client has used up half of it, in bytes. Everything that a client sends without reading
/// replies has to be held; one that reads gets [`CHANNEL_WINDOW_BYTES`]. Not less: russh ends a connection that has
/// more than twice this in flight when keys are exchanged again.
const INITIAL_WINDOW_BYTES: u32 = 20 << 20;

/// The number of outgoing messages that may wait for russh, about a packet each. russh merges waiting messages, and
/// keeps its largest buffer for the life of the connection.
const EVENT_QUEUE_MESSAGES: usize = 4;

/// The delay of every rejected login, so that its timing reveals nothing.
const AUTH_REJECTION_DELAY: Duration = Duration::from_millis(300);

/// russh's configuration for these host keys and limits.
pub(super) fn transport(
    kex: Kex,
    algorithms: Algorithms,
    keys: Vec<PrivateKey>,
    limits: &ConnectionLimits,
) -> server::Config {
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-sshomed_", env!("CARGO_PKG_VERSION")))),
        methods: methods(),
        auth_rejection_time: AUTH_REJECTION_DELAY,
        // The first "none" only asks for the list of methods.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        window_size: INITIAL_WINDOW_BYTES,
        maximum_packet_size: MAX_PACKET_BYTES,
        channel_buffer_size: 64,
        event_buffer_size: EVENT_QUEUE_MESSAGES,
        preferred: preferred(kex, algorithms),
        max_auth_attempts: limits.login_attempts,
        // russh's timeout would count its own keepalives as activity; ours is in `super::watchdog`.
        inactivity_timeout: None,
        keepalive_interval: Some(limits.keepalive_interval),
        keepalive_max: limits.keepalive_count,
        nodelay: true,
        ..server::Config::default()
    }
}

/// The login methods. `keyboard-interactive` asks for the password, for clients without the method `password`.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive][..])
}

/// Key exchanges for older clients, at the end of the list: the group that JSch and libssh2 share, and Diffie-Hellman
/// with 4096 and 2048 bits.
const OLDER_EXCHANGES: [kex::Name; 3] = [kex::ECDH_SHA2_NISTP256, kex::DH_G16_SHA512, kex::DH_G14_SHA256];

/// The offered algorithms, best first. Finite-field Diffie-Hellman and encrypt-and-MAC are for older clients only.
fn preferred(kex: Kex, algorithms: Algorithms) -> Preferred {
    let mut offered = sshome_ssh::preferred([
        kex::EXTENSION_SUPPORT_AS_SERVER,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ]);
    if kex == Kex::PostQuantum {
        const CLASSICAL: [kex::Name; 2] = [kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
        offered.kex.to_mut().retain(|name| !CLASSICAL.contains(name));
    }
    if algorithms == Algorithms::Compatible {
        offered.kex.to_mut().extend(OLDER_EXCHANGES);
        offered.mac.to_mut().extend([mac::HMAC_SHA256, mac::HMAC_SHA512]);
    }
    offered
}
