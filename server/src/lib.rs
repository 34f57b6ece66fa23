//! The sshome server: a home and a quota for every user, over SSH.

pub mod accounts;
pub mod admin;
pub mod auth;
pub mod config;
