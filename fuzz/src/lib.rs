//! What several targets stand on: a home with somebody in it, and a channel that is made of bytes.

mod channel;
mod world;

pub use channel::{Answers, Pieces};
pub use world::World;
