//! The ledger of one home: how much is stored, and whether more may be.
//!
//! Invariant: no byte is stored that was not booked first, or that does not take the place of one
//! that goes: a file that is replaced counts in favour of one upload, unless it is open. A [`Reservation`]
//! takes from what is left at once, so two uploads side by side never share free bytes; it ends in a
//! `commit`, or is dropped and gives everything back. A file that is written in place grows through a
//! [`ContentChange`], one at a time. Use is the sum of file lengths, each file counted once however many
//! names it has, and a removed file counts for as long as it is held open through us ([`Held`]).

mod count;
mod ledger;
mod ledgers;
mod open;
mod reservation;
#[cfg(test)]
mod tests;

pub use count::{Comparison, Opening};
pub use ledger::{Change, Exceeded, FileId, Ledger, Limits, Use};
pub use ledgers::Ledgers;
pub use open::{ContentChange, Held};
pub use reservation::{Replaced, Reservation};
