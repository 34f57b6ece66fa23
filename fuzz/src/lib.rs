//! Fixtures of several targets: a home with a logged-in user, and a channel that is made of bytes.

mod channel;
mod world;

pub use channel::{Answers, Pieces};
pub use world::World;
