//! Idle sessions: the server's memory for each of them.

use super::client::{LoadSession, LoginSource, Way};
use super::host::{LISTER, LoadHost};
use crate::measure::proportional;
use crate::servers::Service;
use crate::stage::Stage;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of simultaneous logins.
const AT_ONCE: usize = 32;

/// The pause before the server is measured: its threads end, and its allocator returns memory.
const IDLE_BEFORE_MEASURE: Duration = Duration::from_secs(15);

/// The bytes that each session downloads and uploads, so that it was active once.
const WORK_BYTES: u64 = 1 << 20;

/// Sessions of one kind with one server.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    /// Its name in the table.
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    pub(crate) way: Way,
    pub(crate) sessions: usize,
}

/// The rows of the table, in its order. Sessions of sshd are processes: a machine can hold fewer of them.
pub(crate) const CROWDS: [Crowd; 3] = [
    Crowd { name: "sshomed, sftp", service: Service::Sshomed, way: Way::Sftp, sessions: 2000 },
    Crowd { name: "sshomed, sshome", service: Service::Sshomed, way: Way::Native, sessions: 2000 },
    Crowd { name: "sshd, sftp", service: Service::Sshd, way: Way::Sftp, sessions: 200 },
];

/// The memory of a server, in bytes: the proportional set size of all its processes.
pub(crate) struct Weight {
    pub(crate) crowd: Crowd,
    /// Without sessions.
    pub(crate) alone: u64,
    /// With all sessions, each of which has listed a folder.
    pub(crate) listed: u64,
    /// After each has transferred something. Only with SFTP.
    pub(crate) worked: Option<u64>,
}

impl Weight {
    /// The memory of one session, in bytes.
    pub(crate) fn each(&self, with_all: u64) -> u64 {
        with_all.saturating_sub(self.alone) / self.crowd.sessions as u64
    }
}

/// Opens the sessions, and measures the server.
pub(crate) fn weigh(crowd: Crowd, stage: &Stage) -> Result<Weight> {
    let host = LoadHost::start(crowd.service, stage)?;
    let weight = || proportional(host.server.id());
    std::thread::sleep(IDLE_BEFORE_MEASURE);
    let alone = weight()?;
    let runtime = Runtime::new()?;
    let (door, user) = (host.door()?, host.login(LISTER)?);
    let mut sessions = runtime.block_on(enter(&door, &user, host.folder(LISTER), crowd))?;
    std::thread::sleep(IDLE_BEFORE_MEASURE);
    let listed = weight()?;
    let worked = match crowd.way {
        Way::Native => None,
        Way::Sftp => {
            sessions = runtime.block_on(work(sessions, &host))?;
            std::thread::sleep(IDLE_BEFORE_MEASURE);
            Some(weight()?)
        }
    };
    drop(sessions);
    Ok(Weight { crowd, alone, listed, worked })
}

/// Logs in all sessions; each lists the folder once.
async fn enter(door: &LoginSource, user: &str, folder: String, crowd: Crowd) -> Result<Vec<LoadSession>> {
    let (turns, mut entering) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for _ in 0..crowd.sessions {
        let (door, user, folder) = (door.clone(), user.to_owned(), folder.clone());
        let turns = Arc::clone(&turns);
        entering.spawn(async move {
            let _turn = turns.acquire().await?;
            let mut session = door.enter(&user, crowd.way).await?;
            session.ls(&folder).await?;
            anyhow::Ok(session)
        });
    }
    all(entering).await
}

/// Each session downloads and uploads a little, one after the other.
async fn work(sessions: Vec<LoadSession>, host: &LoadHost<'_>) -> Result<Vec<LoadSession>> {
    let (turns, mut working) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (number, mut session) in sessions.into_iter().enumerate() {
        let (source, target) = (host.source(LISTER), host.target(LISTER, number % AT_ONCE));
        let turns = Arc::clone(&turns);
        working.spawn(async move {
            let _turn = turns.acquire().await?;
            session.get(&source, WORK_BYTES, until(WORK_BYTES)).await?;
            session.put(&target, WORK_BYTES, until(WORK_BYTES)).await?;
            anyhow::Ok(session)
        });
    }
    all(working).await
}

/// Returns `false` once this many bytes were transferred.
fn until(most: u64) -> impl FnMut(u64) -> bool {
    let mut sum = 0;
    move |moved| {
        sum += moved;
        sum < most
    }
}

async fn all(mut tasks: JoinSet<Result<LoadSession>>) -> Result<Vec<LoadSession>> {
    let mut sessions = Vec::new();
    while let Some(session) = tasks.join_next().await {
        let there = sessions.len();
        sessions.push(session?.with_context(|| format!("{there} sessions are there"))?);
    }
    Ok(sessions)
}
