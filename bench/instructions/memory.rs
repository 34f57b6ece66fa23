//! Small files in the store in memory: what the seam, the ledger and the digests cost without a disk.

mod session;

use gungraun::{library_benchmark, library_benchmark_group, main};
use session::Session;
use sshome_store::memory::MemoryStore;
use std::path::PathBuf;
use std::sync::Arc;

fn empty() -> Session {
    Session::new(Arc::new(MemoryStore::new()), PathBuf::from("/ann"))
}

fn with_files() -> Session {
    let session = empty();
    session.put();
    session
}

#[library_benchmark(setup = empty)]
#[bench::small_files()]
fn put(session: Session) -> Session {
    session.put();
    session
}

#[library_benchmark(setup = with_files)]
#[bench::small_files()]
fn get(session: Session) -> Session {
    session.get();
    session
}

library_benchmark_group!(name = memory_store, benchmarks = [put, get]);

main!(library_benchmark_groups = memory_store);
