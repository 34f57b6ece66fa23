//! The storage seam: what a store of homes is, without saying where it keeps them.

pub mod quota;
mod takeover;

pub use takeover::Takeover;
