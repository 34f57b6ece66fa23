//! The ledger of one home: how much is stored, and whether more may be. docs/quota.md has the model.
//!
//! Invariant: what is charged ([`LedgerUsage::charged`]) never exceeds the quota, and no byte is on the disk that is
//! not booked. A [`Reservation`] takes from what is left at once, so two uploads side by side never share free
//! bytes; it ends in a `commit`, or is dropped and gives everything back. A file that is replaced lends its
//! bytes to one upload (`credit`). A file that is written in place grows through a [`ContentChange`], one at a
//! time. Use is the sum of the lengths of files and links, each counted once however many names it has, and a
//! removed file counts for as long as it is held open through us ([`HeldFile`]).

mod amount;
mod count;
mod credit;
mod ledger;
mod ledgers;
#[cfg(test)]
mod model;
mod open_files;
mod reservation;
#[cfg(test)]
mod tests;
mod unreadable;

pub use amount::{Amount, FileId, LedgerUsage, QuotaExceeded, QuotaLimits, UsageChange};
pub use count::{Comparison, ScanBaseline, ScanResult, StagedBytes};
pub use ledger::{FreedSpace, Ledger};
pub use ledgers::Ledgers;
pub use open_files::{ContentChange, HeldFile};
pub use reservation::{ReplacedFile, Reservation};
pub use unreadable::{UnreadableEntries, UnreadablePath};
