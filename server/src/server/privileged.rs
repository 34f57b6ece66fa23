//! Resources that may need root.

use super::Error;
use crate::config::Config;
use crate::session::Transport;
use crate::sockets::Sockets;
use russh::keys::PrivateKey;
use sshome_store_posix::OpenDescriptors;

/// Resources that may need root: listening ports and host keys.
pub struct Privileged {
    pub(super) sockets: Sockets,
    pub(super) transport: Transport,
    pub(super) descriptors: OpenDescriptors,
}

impl Privileged {
    /// Binds the sockets, and loads or generates the host keys.
    ///
    /// # Errors
    /// If an address cannot be bound or a key cannot be loaded.
    pub fn acquire(config: &Config) -> Result<Privileged, Error> {
        let sockets = Sockets::bind(config)?;
        let transport = Transport::new(config)?;
        Ok(Privileged { sockets, transport, descriptors: OpenDescriptors::begin() })
    }

    /// Binds the sockets, for a server with a host key that no file holds.
    ///
    /// # Errors
    /// If an address cannot be bound.
    pub(crate) fn with_host_key(config: &Config, key: PrivateKey) -> Result<Privileged, Error> {
        let sockets = Sockets::bind(config)?;
        let transport = Transport::with_key(config, key);
        Ok(Privileged { sockets, transport, descriptors: OpenDescriptors::begin() })
    }
}
