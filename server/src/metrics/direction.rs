//! The direction of a transfer, a label of metrics and log lines.

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the server.
    Upload,
    /// To the client.
    Download,
    /// From one file of the home to another.
    Copy,
}

impl Direction {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::Upload => "upload",
            Direction::Download => "download",
            Direction::Copy => "copy",
        }
    }
}
