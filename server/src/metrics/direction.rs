//! The direction of a transfer, a label of metrics and log lines.

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferDirection {
    /// To the server.
    Upload,
    /// To the client.
    Download,
    /// From one file of the home to another.
    Copy,
}

impl TransferDirection {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TransferDirection::Upload => "upload",
            TransferDirection::Download => "download",
            TransferDirection::Copy => "copy",
        }
    }
}
