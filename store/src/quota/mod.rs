//! Quota: the ledger of a home records how much is stored and decides whether more may be. docs/quota.md has the model.
//!
//! Invariant: the charged amount ([`LedgerUsage::charged`]) never exceeds the quota, and every byte on the disk is in the
//! ledger. A [`Reservation`] takes free bytes immediately, so concurrent uploads never share them; it ends with `commit`,
//! or is dropped and releases everything. A file that will be replaced lends its bytes to one upload (`credit`). A file that
//! is written in place grows through a [`ContentChange`], one at a time. The usage is the sum of the lengths of files and
//! links, each counted once however many names it has. A removed file counts until its last handle closes
//! ([`HeldFile`]).

mod amount;
mod count;
mod credit;
mod ledger;
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
pub use open_files::{ContentChange, HeldFile};
pub use reservation::{ReplacedFile, Reservation};
pub use unreadable::{UnreadableEntries, UnreadablePath};
