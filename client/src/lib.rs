//! The sshome client: a prompt and a command for files kept by sshomed.
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
pub mod pattern;
pub mod shell;
pub mod ssh;
mod stream_wrapper;
#[cfg(unix)]
pub mod terminal;
pub mod throttle;
pub mod transfer;
