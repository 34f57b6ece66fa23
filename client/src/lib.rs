//! The sshome client: an interactive prompt and one-shot commands for files on an sshomed server.
//!
//! ```text
//! cli → ssh → conversation ┐
//!         shell → transfer ┴→ the server
//! ```

pub mod cli;
pub mod conversation;
pub mod exit;
pub mod messages;
pub mod names;
pub mod shell;
pub mod ssh;
#[cfg(unix)]
pub mod terminal;
pub mod throttle;
pub mod transfer;
