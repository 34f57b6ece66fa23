//! The sshome client as a library: the conversation with the server, and what is done with it.

pub mod conversation;
pub mod interrupt;
pub mod transfer;
