//! `pull`: only differences are fetched, and nothing is deleted that should stay.

mod delete;
mod disks;
mod lies;
mod transfer;
mod world;
