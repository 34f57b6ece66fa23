//! Leases of streams are the same in every store.

pub(crate) use sshome_store::{StreamLease, StreamLeases};
