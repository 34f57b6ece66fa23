//! The store in memory passes the tests that every store passes. `SSHOME_STORE_DELAY_MS=200` makes each call of the
//! slow store take up to 200 ms; by default the delays are short.

use sshome_store::conformance::ConformanceHost;
use sshome_store::memory::{Faults, FaultyStore, MemoryBacking, MemoryStore};
use sshome_store::{Capabilities, HomeStore};
use std::sync::Arc;
use std::time::Duration;

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

    fn hold_counts(&self) -> bool {
        self.backing.hold_counts();
        true
    }

    fn release_counts(&self) {
        self.backing.release_counts();
    }
}

mod plain {
    use super::*;

    sshome_store::conformance_tests!(|| MemoryHost::boxed(Capabilities::ALL, 1));
}

/// Two nodes. Channels are opened through them in turn.
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

/// Two nodes whose calls take a random time.
struct SlowHost(MemoryHost);

impl ConformanceHost for SlowHost {
    fn open(&self) -> Vec<Arc<dyn HomeStore>> {
        let delay = std::env::var("SSHOME_STORE_DELAY_MS").ok().and_then(|delay| delay.parse().ok());
        let delay = delay.map_or(Duration::from_micros(20), Duration::from_millis);
        let stores = self.0.open().into_iter().zip(1..);
        let slow = |(store, seed)| Arc::new(FaultyStore::new(store, &Faults::delayed(seed, delay)));
        stores.map(|store| slow(store) as Arc<dyn HomeStore>).collect()
    }

    fn hold_counts(&self) -> bool {
        self.0.hold_counts()
    }

    fn release_counts(&self) {
        self.0.release_counts();
    }
}

mod slow {
    use super::*;

    sshome_store::conformance_tests!(|| {
        let backing = MemoryBacking::new(Capabilities::ALL);
        Box::new(SlowHost(MemoryHost { backing, nodes: 2 })) as Box<dyn ConformanceHost>
    });
}
