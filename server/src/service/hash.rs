//! BLAKE3 digests of stored files: `hash`.

use super::{Download, Error, LongOperation, OperationResult, Result, STEP_BYTES, StepLimit, User};
use sshome_wire::{Hashed, RemotePath};

/// The computation of a file's digest, in steps.
#[derive(Debug)]
pub struct Hashing {
    path: RemotePath,
    file: Download,
    verify: bool,
    buffer: Vec<u8>,
}

impl Hashing {
    /// Opens the file. With `verify` the result is compared with the stored digest.
    ///
    /// # Errors
    /// If it is not a regular file.
    pub fn begin(user: &User, path: &RemotePath, verify: bool) -> Result<Hashing> {
        let file = Download::open(user, path)?;
        Ok(Hashing { path: path.clone(), file, verify, buffer: Vec::with_capacity(1 << 20) })
    }

    /// Executes one step. Returns the result at the end.
    ///
    /// # Errors
    /// If the file changed meanwhile, or with `verify` differs from its stored digest.
    pub fn step(&mut self, limit: StepLimit) -> Result<Option<Hashed>> {
        let start = self.file.position();
        while !limit.is_reached(self.file.position() - start) {
            self.buffer.clear();
            if self.file.read(&mut self.buffer)? == 0 {
                return self.result().map(Some);
            }
        }
        Ok(None)
    }

    fn result(&mut self) -> Result<Hashed> {
        let digest = match self.file.finish() {
            // Without `verify`, the digest of the current content is wanted.
            Err(Error::Rotten(_)) if !self.verify => self.file.digest(),
            Err(error @ Error::Rotten(_)) => {
                tracing::error!(%error, "rotten");
                return Err(error);
            }
            result => result?,
        };
        tracing::debug!(path = %self.path, %digest, "hashed");
        Ok(Hashed { digest, size: self.file.size(), stored: self.file.stored() })
    }
}

impl LongOperation for Hashing {
    fn advance(&mut self, _: &User) -> Result<Option<OperationResult>> {
        Ok(self.step(StepLimit::bytes(STEP_BYTES))?.map(OperationResult::Hashed))
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.file.position(), Some(self.file.size()))
    }
}
