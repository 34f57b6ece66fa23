//! Fixtures of the end-to-end tests. Each test has its own server on a free port of 127.0.0.1, in a temporary folder.

mod administrator;
mod client;
mod coarse;
mod exec;
mod faulty;
pub mod foreign;
mod fuse;
mod home_mount;
mod host;
pub mod json_schema;
mod jump_host;
mod liar;
mod mount;
mod peer;
mod program;
pub mod recorder;
pub mod sftp;
pub mod siege;
mod sshd;
mod terminal;
pub mod tree;

pub use administrator::Administrator;
pub use client::{Client, Outcome};
pub use coarse::CoarseDisk;
pub use exec::{Commands, Exec, command, run};
pub use faulty::Faulty;
pub use fuse::DiskOperation;
pub use host::{Host, HostBuilder};
pub use jump_host::JumpHost;
pub use liar::Liar;
pub use mount::Mount;
pub use peer::{Peer, Trusting, connect, connect_with, end_of, hello};
pub use program::{Program, binary, copy_program};
pub use sshd::Sshd;
pub use terminal::{Ended, Terminal};

use std::time::{Duration, Instant};

/// Whether the test runs as root. If it does not, the test is reported as skipped. The names of tests that
/// call this end in `as_root`, so that `cargo test as_root` runs them all.
#[must_use]
pub fn has_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: {test}: it needs root");
    }
    root
}

/// Waits until a condition holds, by polling.
///
/// # Panics
/// If it does not hold within a minute.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not happen that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
