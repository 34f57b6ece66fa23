//! The sshome client: a prompt and a command for files kept by sshomed.

pub mod cli;
pub mod exit;
pub mod names;
pub mod pattern;
pub mod shell;
pub mod ssh;
pub mod tell;
