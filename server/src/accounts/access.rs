//! What a login may do.

/// The permissions of an account or of a key. A login has those that both grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Neither reading nor writing: an upload-only key of a read-only account.
    Nothing,
    /// Reading only.
    ReadOnly,
    /// Adding files and directories, without reading, listing or changing any.
    UploadOnly,
    /// Reading, and adding files and directories, without changing any.
    AppendOnly,
    /// Reading and writing.
    #[default]
    ReadWrite,
}

impl Access {
    /// Those that a key can have.
    pub const OF_KEYS: [Access; 4] =
        [Access::ReadWrite, Access::ReadOnly, Access::AppendOnly, Access::UploadOnly];

    /// Its name in the settings, status and log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Access::Nothing => "nothing",
            Access::ReadOnly => "read-only",
            Access::UploadOnly => "upload-only",
            Access::AppendOnly => "append-only",
            Access::ReadWrite => "read-write",
        }
    }

    /// Whether files may be read and directories listed.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Access::ReadOnly | Access::AppendOnly | Access::ReadWrite)
    }

    /// Whether files and directories may be added.
    #[must_use]
    pub fn adds(self) -> bool {
        matches!(self, Access::UploadOnly | Access::AppendOnly | Access::ReadWrite)
    }

    /// Whether what exists may be changed and removed.
    #[must_use]
    pub fn changes(self) -> bool {
        self == Access::ReadWrite
    }

    /// The permissions that both grant.
    #[must_use]
    pub fn and(self, other: Access) -> Access {
        let of = |reads: bool, adds: bool, changes: bool| match (reads, adds, changes) {
            (true, true, true) => Access::ReadWrite,
            (true, true, false) => Access::AppendOnly,
            (true, false, _) => Access::ReadOnly,
            (false, true, _) => Access::UploadOnly,
            (false, false, _) => Access::Nothing,
        };
        of(self.reads() && other.reads(), self.adds() && other.adds(), self.changes() && other.changes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Access::{AppendOnly, Nothing, ReadOnly, ReadWrite, UploadOnly};

    #[test]
    fn two_accesses_grant_what_both_grant() {
        for (a, b, want) in [
            (ReadWrite, AppendOnly, AppendOnly),
            (ReadWrite, UploadOnly, UploadOnly),
            (ReadOnly, AppendOnly, ReadOnly),
            (ReadOnly, UploadOnly, Nothing),
            (AppendOnly, UploadOnly, UploadOnly),
            (Nothing, ReadWrite, Nothing),
        ] {
            assert_eq!((a.and(b), b.and(a), a.and(a), b.and(b)), (want, want, a, b), "{a:?} {b:?}");
        }
    }
}
