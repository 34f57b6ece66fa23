//! Keys with permissions of their own: how they are shown and expire, and what each operation of each protocol does
//! with each access.

mod exec;
mod finishing;
mod keys;
mod native;
mod sftp;
mod world;
