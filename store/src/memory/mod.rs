//! A store in memory, for tests.
//!
//! It behaves like a store on a disk, but nothing survives the process. Modes are stored, but deny nothing.
//! The homes are in a [`MemoryBacking`]; several stores on one backing are several nodes of one host.

mod attributes;
mod content;
mod directories;
mod failure;
mod faulty;
mod home;
mod names;
mod node;
mod open_file;
mod partial;
mod pending;
mod publish;
mod reserve;
mod resolve;
mod shared;
mod staged_content;
mod staged_file;
mod store;
mod tree;
mod upload;
mod walk;

pub use faulty::{CallKind, FaultPoint, Faults, FaultyStore};
pub use store::{MemoryBacking, MemoryStore};
