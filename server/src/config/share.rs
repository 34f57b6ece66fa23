//! Settings that no file holds.

use super::{Config, ConfigLocation, parse};
use crate::accounts::Account;
use std::net::SocketAddr;
use std::sync::Arc;

/// Nothing exists below this path, so no file can be mistaken for one of the server.
const NO_FOLDER: &str = "/dev/null";

impl Config {
    /// The settings for one account: the defaults, without a folder of the server, host keys and a control socket.
    #[must_use]
    pub(crate) fn without_file(account: Account, listen: Vec<SocketAddr>) -> Config {
        let dir = NO_FOLDER.into();
        let location = ConfigLocation { dir, file: NO_FOLDER.into(), shown: NO_FOLDER.into() };
        // The mistakes concern the folder that does not exist.
        let (defaults, _) = parse(&location, "", &[]);
        let accounts = vec![Arc::new(account)];
        Config { listen, host_keys: Vec::new(), control_socket: None, accounts, ..defaults }
    }
}
