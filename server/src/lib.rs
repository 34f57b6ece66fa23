//! The sshome server: every user has a home, may use only that home, and may fill it only up to a quota.
//!
//! ```text
//! server → session → auth → Login ┐
//!   config → accounts ────────────┴→ protocol → service → store → disk
//! ```

pub mod accounts;
pub mod admin;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod confine;
pub mod control;
pub mod host_key;
pub mod invocation;
pub mod limits;
pub mod log;
pub mod metrics;
mod permission;
pub mod protocol;
mod reachable;
mod recent_files;
mod regular_file;
pub mod reload;
pub mod server;
pub mod service;
pub mod session;
pub mod setup;
pub mod share;
pub mod sockets;
pub mod systemd;
