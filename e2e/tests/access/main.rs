//! Restricted keys: how they are shown, how they expire, and the result of each operation of each protocol with each
//! access.

mod exec;
mod finishing;
mod folders;
mod keys;
mod native;
mod sftp;
mod world;
