//! Entries that a scan could not read.

/// The entries of a home that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableEntries {
    /// Their number.
    pub count: u64,
    /// The first of them.
    pub first: Vec<UnreadablePath>,
}

/// An entry that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePath {
    /// Its path in the home.
    pub path: Vec<u8>,
    /// The reason, with the remedy.
    pub why: String,
}

impl UnreadableEntries {
    /// Maximum number of entries that are listed.
    pub const MAX_NAMED: usize = 10;

    /// Whether everything could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an entry: its path, and the reason.
    pub fn add(&mut self, entry: impl FnOnce() -> (Vec<u8>, String)) {
        self.count += 1;
        if self.first.len() < UnreadableEntries::MAX_NAMED {
            let (path, why) = entry();
            self.first.push(UnreadablePath { path, why });
        }
    }
}
