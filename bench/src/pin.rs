//! Client and server on one core.
//!
//! If each request waits for the previous answer, most of the time passes while one core wakes another, and on a
//! virtual machine that depends on the host. On one core it depends on the programs.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs;

/// A server, this thread and what it starts stay on one core until this is dropped.
pub(crate) struct Pinned {
    server: u32,
    before: CpuSet,
}

impl Pinned {
    /// Chooses the first core that this thread may be on.
    pub(crate) fn begin(server: u32) -> Result<Pinned> {
        let before = sched_getaffinity(None).context("asking which cores there are")?;
        let first = (0..CpuSet::MAX_CPU).find(|core| before.is_set(*core)).context("there is no core")?;
        let mut only = CpuSet::new();
        only.set(first);
        let pinned = Pinned { server, before };
        pinned.put(&only).context("staying on one core")?;
        Ok(pinned)
    }

    /// New threads and processes inherit it.
    fn put(&self, cores: &CpuSet) -> Result<()> {
        for thread in fs::read_dir(format!("/proc/{}/task", self.server))? {
            let id = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(id), cores)?;
        }
        Ok(sched_setaffinity(None, cores)?)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A server that has ended has no threads.
        let _ = self.put(&self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_pinned_process_has_one_core_until_it_is_released() {
        let cores = |id: Option<Pid>| sched_getaffinity(id).unwrap().count();
        let all = cores(None);
        let mut server = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let id = Pid::from_raw(i32::try_from(server.id()).unwrap());
        let pinned = Pinned::begin(server.id()).unwrap();
        assert_eq!((cores(None), cores(id)), (1, 1));
        drop(pinned);
        assert_eq!((cores(None), cores(id)), (all, all));
        drop(server.stdin.take());
        server.wait().unwrap();
    }
}
