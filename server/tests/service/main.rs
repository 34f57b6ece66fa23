//! The service on a real home, without SSH: what they do, and that the accounting matches the disk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "that is how tests fail")]

mod added;
mod cases;
mod files;
mod model;
mod partial;
mod race;
mod staged;
mod steps;
mod world;
