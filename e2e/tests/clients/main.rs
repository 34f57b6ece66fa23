//! Other people's programs, unchanged, at a real server; what they can do is in docs/clients.md.

mod document;
mod lftp;
mod putty;
mod python;
mod rclone;
mod site;
mod sshfs;
