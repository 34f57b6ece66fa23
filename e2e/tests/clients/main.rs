//! Other people's programs, unchanged, with a real server. docs/clients.md lists what they can do.

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
