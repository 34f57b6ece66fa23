//! Recovery of the partial uploads of an earlier run of the server.

use super::{HomeHandle, PartialUpload, Result, replaced_file};

impl HomeHandle {
    /// Recovers the partial uploads of an earlier run of the server with their reservations, and deletes all other
    /// staged files. No session may be in the home.
    pub(super) fn recover(&self) -> Result<()> {
        let Some(staging) = &self.staging else { return Ok(()) };
        let mut all = staging.recover(self.root().user())?;
        // The longest first: of several that replace the same file, it borrows the most.
        all.sort_by_key(|file| std::cmp::Reverse(file.length));
        for mut file in all {
            // Its client could not reconnect while the server was down.
            file.renew();
            let recorded = file.source().and_then(|_| self.locate_target(&file.path()).ok());
            let replaced = recorded.as_ref().and_then(|(_, stat)| stat.as_ref()).map(replaced_file);
            file.set_target(recorded.and_then(|(target, _)| target.identity().ok()));
            let reservation = self.ledger().reserve_existing(file.length, replaced);
            tracing::info!(user = self.root().user(), path = %file.path(), bytes = file.length, "a partial upload was found");
            self.partial_uploads().put(PartialUpload { file, reservation });
        }
        Ok(())
    }
}
