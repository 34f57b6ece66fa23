//! The store in memory passes the tests that every store passes.

use sshome_store::conformance::ConformanceHost;
use sshome_store::memory::{MemoryBacking, MemoryStore};
use sshome_store::{Capabilities, HomeStore};
use std::sync::Arc;

/// Stores on one backing.
struct MemoryHost {
    backing: Arc<MemoryBacking>,
    nodes: usize,
}

impl MemoryHost {
    fn boxed(capabilities: Capabilities, nodes: usize) -> Box<dyn ConformanceHost> {
        Box::new(MemoryHost { backing: MemoryBacking::new(capabilities), nodes })
    }
}

impl ConformanceHost for MemoryHost {
    fn open(&self) -> Vec<Arc<dyn HomeStore>> {
        (0..self.nodes).map(|_| Arc::new(MemoryStore::on(&self.backing)) as Arc<dyn HomeStore>).collect()
    }
}

mod plain {
    use super::*;

    sshome_store::conformance_tests!(|| MemoryHost::boxed(Capabilities::ALL, 1));
}

/// Two nodes: each channel is opened through the other one.
mod two_nodes {
    use super::*;

    sshome_store::conformance_tests!(|| MemoryHost::boxed(Capabilities::ALL, 2));
}

mod without_writes_in_place {
    use super::*;

    const CAPABILITIES: Capabilities = Capabilities { in_place_write: false, ..Capabilities::ALL };
    sshome_store::conformance_tests!(|| MemoryHost::boxed(CAPABILITIES, 1));
}

mod without_append {
    use super::*;

    const CAPABILITIES: Capabilities = Capabilities { append: false, ..Capabilities::ALL };
    sshome_store::conformance_tests!(|| MemoryHost::boxed(CAPABILITIES, 1));
}

mod without_hard_links {
    use super::*;

    const CAPABILITIES: Capabilities = Capabilities { hard_links: false, ..Capabilities::ALL };
    sshome_store::conformance_tests!(|| MemoryHost::boxed(CAPABILITIES, 1));
}

mod without_open_files_that_count {
    use super::*;

    const CAPABILITIES: Capabilities = Capabilities { open_files_count: false, ..Capabilities::ALL };
    sshome_store::conformance_tests!(|| MemoryHost::boxed(CAPABILITIES, 1));
}
