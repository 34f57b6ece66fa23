//! The operations of the service on a real home, without SSH, and their accounting.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "that is how tests fail")]

mod added;
mod backup;
mod cases;
mod files;
mod model;
mod partial;
mod race;
mod staged;
mod steps;
mod world;
