//! Homes on a local filesystem.

mod display;
pub mod home;
pub mod permission;

pub use display::shown;
