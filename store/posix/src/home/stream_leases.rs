//! Leases of streams are the same in every store.

pub use sshome_store::{StreamLease, StreamLeases};
