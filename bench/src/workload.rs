//! What the tools have to do.

use crate::tool::Tool;

/// Some files, a direction, and the tools that do it.
#[derive(Clone)]
pub(crate) struct Workload {
    /// As it stands in the table.
    pub(crate) name: &'static str,
    pub(crate) files: FileSet,
    pub(crate) direction: Direction,
    pub(crate) tools: &'static [Tool],
}

/// Files of one length. One of them is a file, several are a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSet {
    /// The name of the file, or of the tree.
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    /// The length of each in bytes.
    pub(crate) size: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Get,
    Put,
}

const BIG: FileSet = FileSet { name: "big.bin", count: 1, size: 1 << 30 };
const SMALL: FileSet = FileSet { name: "small", count: 10_000, size: 4096 };

/// All of them, in the table's order.
pub(crate) const WORKLOADS: [Workload; 4] = [
    Workload { name: "get 1 GiB", files: BIG, direction: Direction::Get, tools: &[Tool::Sshome, Tool::Sftp] },
    Workload { name: "put 1 GiB", files: BIG, direction: Direction::Put, tools: &[Tool::Sshome, Tool::Sftp] },
    Workload {
        name: "get 10,000 × 4 KiB",
        files: SMALL,
        direction: Direction::Get,
        tools: &[Tool::Sshome, Tool::Sftp, Tool::Rsync],
    },
    Workload {
        name: "put 10,000 × 4 KiB",
        files: SMALL,
        direction: Direction::Put,
        tools: &[Tool::Sshome, Tool::Sftp, Tool::Rsync],
    },
];

impl Workload {
    /// The same with a file that many times smaller, or that many times fewer files.
    pub(crate) fn shrunk(&self, times: u64) -> Workload {
        let FileSet { name, count, size } = self.files;
        let files = if count == 1 {
            FileSet { name, count, size: (size / times).max(1) }
        } else {
            FileSet { name, count: (count / times).max(2), size }
        };
        Workload { files, ..self.clone() }
    }
}

impl FileSet {
    /// Bytes in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.count * self.size
    }

    /// Whether it is a tree.
    pub(crate) fn is_tree(&self) -> bool {
        self.count > 1
    }
}
