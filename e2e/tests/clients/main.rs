//! Other people's programs, unchanged, at a real server; what they can do is in docs/clients.md.

mod compatible;
mod document;
mod lftp;
mod libraries;
mod putty;
mod python;
mod rclone;
mod restic;
mod restricted;
mod site;
mod sshfs;
