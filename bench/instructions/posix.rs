//! Small files in the store on a local filesystem, in memory if there is such a folder. What the kernel does does not
//! count. It needs a Valgrind that knows `openat2`.

mod session;

use gungraun::{library_benchmark, library_benchmark_group, main};
use session::Session;
use sshome_store_posix::PosixStore;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn empty() -> (Session, TempDir) {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let dir = TempDir::with_prefix_in("sshome-instructions-", parent).unwrap();
    (Session::new(Arc::new(PosixStore::default()), dir.path().join("ann")), dir)
}

fn with_files() -> (Session, TempDir) {
    let (session, dir) = empty();
    session.put();
    (session, dir)
}

#[library_benchmark(setup = empty)]
#[bench::small_files()]
fn put((session, dir): (Session, TempDir)) -> (Session, TempDir) {
    session.put();
    (session, dir)
}

#[library_benchmark(setup = with_files)]
#[bench::small_files()]
fn get((session, dir): (Session, TempDir)) -> (Session, TempDir) {
    session.get();
    (session, dir)
}

library_benchmark_group!(name = posix_store, benchmarks = [put, get]);

main!(library_benchmark_groups = posix_store);
