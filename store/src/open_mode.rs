//! Open modes.

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenMode {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// For appending: offsets of writes are ignored.
    pub append: bool,
    /// Create the file if it does not exist.
    pub create: bool,
    /// Truncate an existing file.
    pub truncate: bool,
    /// With `create`: fail if the name exists, even as a link.
    pub exclusive: bool,
    /// A new file's permissions.
    pub mode: Option<u32>,
}

impl OpenMode {
    /// For reading only.
    pub const READ_ONLY: OpenMode = OpenMode {
        read: true,
        write: false,
        append: false,
        create: false,
        truncate: false,
        exclusive: false,
        mode: None,
    };

    /// Whether it is for writing.
    #[must_use]
    pub fn writes(self) -> bool {
        self.write || self.append
    }

    /// Whether opening the file in this mode, or using it afterwards, changes anything.
    #[must_use]
    pub fn changes(self) -> bool {
        self.writes() || self.create || self.truncate
    }

    /// Whether this is an upload, which can be staged. Clients that may create the file usually write all of it, even over
    /// the old content: scp sets the length at the end. A file that is also read is an upload only if it is truncated.
    #[must_use]
    pub fn is_upload(self) -> bool {
        self.write && self.create && (self.truncate || !self.read)
    }
}
