//! How files are opened.

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenMode {
    /// To be read.
    pub read: bool,
    /// To be written to.
    pub write: bool,
    /// To be written to at its end, whatever offset is given.
    pub append: bool,
    /// Made if it is missing.
    pub create: bool,
    /// Emptied if it is there.
    pub truncate: bool,
    /// With `create`: refused if anything is there, be it a link.
    pub exclusive: bool,
    /// A new file's permissions.
    pub mode: Option<u32>,
}

impl OpenMode {
    /// Of a file that is only read.
    pub const READ_ONLY: OpenMode = OpenMode {
        read: true,
        write: false,
        append: false,
        create: false,
        truncate: false,
        exclusive: false,
        mode: None,
    };

    pub(super) fn writes(self) -> bool {
        self.write || self.append
    }

    pub(super) fn changes(self) -> bool {
        self.writes() || self.create || self.truncate
    }

    /// Whether this is an upload, which can be staged. Who may make the file writes all of it, as a rule, be it
    /// over the old content: scp sets the length at the end. What is read as well is an upload only if it is
    /// emptied.
    pub(super) fn is_upload(self) -> bool {
        self.write && self.create && (self.truncate || !self.read)
    }
}
