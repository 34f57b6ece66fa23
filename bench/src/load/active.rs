//! The latency of a small `ls` during transfers of other sessions, and how the throughput is shared.

use super::client::{LoadSession, LoginSource, Way};
use super::host::{LISTER, LoadHost, SOURCE_BYTES, USERS, user};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// The number of listing sessions with each protocol, and the pause of each after an answer.
const LISTERS: usize = 4;
const LISTING_INTERVAL: Duration = Duration::from_millis(25);

/// The transfers beside the `ls`.
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    /// Its name in the table.
    pub(crate) name: &'static str,
    gets: usize,
    puts: usize,
    whose: Whose,
}

#[derive(Clone, Copy)]
enum Whose {
    /// Transfers of the same user.
    Own,
    /// Transfers of this many other users.
    Others(usize),
}

/// The rows of the table, in its order.
pub(crate) const BESIDE: [Beside; 5] = [
    Beside { name: "none", gets: 0, puts: 0, whose: Whose::Own },
    Beside { name: "8 gets of another user", gets: 8, puts: 0, whose: Whose::Others(1) },
    Beside { name: "8 puts of another user", gets: 0, puts: 8, whose: Whose::Others(1) },
    Beside { name: "8 gets of the same user", gets: 8, puts: 0, whose: Whose::Own },
    Beside {
        name: "100 gets and 100 puts of 10 other users",
        gets: 100,
        puts: 100,
        whose: Whose::Others(USERS),
    },
];

/// The measurement.
pub(crate) struct Seen {
    pub(crate) beside: Beside,
    /// The latency of each `ls`, for each protocol.
    pub(crate) latencies: Vec<(Way, Vec<Duration>)>,
    /// The bytes that each session transferred.
    pub(crate) got: Vec<u64>,
    pub(crate) put: Vec<u64>,
    /// The measured time.
    pub(crate) time: Duration,
}

impl Beside {
    /// The same with fewer sessions.
    pub(crate) fn shrunk(self, times: usize) -> Beside {
        Beside { gets: self.gets.div_ceil(times), puts: self.puts.div_ceil(times), ..self }
    }

    fn user(self, session: usize) -> String {
        match self.whose {
            Whose::Own => LISTER.to_owned(),
            Whose::Others(users) => user(session % users),
        }
    }
}

/// Lists with these protocols for some time, during the transfers `beside`.
pub(crate) fn observe(beside: Beside, ways: &[Way], time: Duration, host: &LoadHost<'_>) -> Result<Seen> {
    let door = host.door()?;
    let busy = Runtime::new()?;
    let transfers = busy.block_on(Transfers::start(beside, &door, host))?;
    // On its own thread: otherwise an answer would wait for the transfers.
    let listing = Builder::new_current_thread().enable_all().build()?;
    let mut listers = listing.block_on(enter(&door, ways, host))?;
    let folder = host.folder(LISTER);
    for (_, lister) in &mut listers {
        listing.block_on(lister.ls(&folder))?;
    }
    let (before, begun) = (transfers.moved(), Instant::now());
    let taken = listing.block_on(list(listers, folder, begun + time))?;
    let (after, time) = (transfers.moved(), begun.elapsed());
    busy.block_on(transfers.end())?;
    let moved: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    let (got, put) = moved.split_at_checked(beside.gets).context("a session is missing")?;
    let of = |way: Way| taken.iter().filter(|(own, _)| *own == way).map(|(_, taken)| *taken).collect();
    let latencies = ways.iter().map(|way| (*way, of(*way))).collect();
    Ok(Seen { beside, latencies, got: got.to_vec(), put: put.to_vec(), time })
}

async fn enter(door: &LoginSource, ways: &[Way], host: &LoadHost<'_>) -> Result<Vec<(Way, LoadSession)>> {
    let mut listers = Vec::new();
    for way in ways {
        for _ in 0..LISTERS {
            listers.push((*way, door.enter(&host.login(LISTER)?, *way).await?));
        }
    }
    Ok(listers)
}

/// Lists repeatedly until `end`. Returns the latencies.
async fn list(
    listers: Vec<(Way, LoadSession)>,
    folder: String,
    end: Instant,
) -> Result<Vec<(Way, Duration)>> {
    let mut listing = JoinSet::new();
    for (way, mut session) in listers {
        let folder = folder.clone();
        listing.spawn(async move {
            let mut taken = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                session.ls(&folder).await?;
                taken.push((way, begun.elapsed()));
                tokio::time::sleep(LISTING_INTERVAL).await;
            }
            anyhow::Ok(taken)
        });
    }
    let taken: Result<Vec<_>> = listing.join_all().await.into_iter().collect();
    Ok(taken?.concat())
}

/// Sessions that transfer data until they are stopped.
struct Transfers {
    tasks: JoinSet<Result<()>>,
    /// The bytes that each has transferred: gets first.
    moved: Vec<Arc<AtomicU64>>,
    stop: Arc<AtomicBool>,
}

impl Transfers {
    /// Returns once each has transferred something.
    async fn start(beside: Beside, door: &LoginSource, host: &LoadHost<'_>) -> Result<Transfers> {
        let mut transfers =
            Transfers { tasks: JoinSet::new(), moved: Vec::new(), stop: Arc::new(AtomicBool::new(false)) };
        for number in 0..beside.gets + beside.puts {
            let user = beside.user(number);
            let mut session = door.enter(&host.login(&user)?, Way::Sftp).await?;
            let (moved, stop) = (Arc::new(AtomicU64::new(0)), Arc::clone(&transfers.stop));
            transfers.moved.push(Arc::clone(&moved));
            let (source, target) = (host.source(&user), host.target(&user, number));
            transfers.tasks.spawn(async move {
                let more = |bytes| {
                    moved.fetch_add(bytes, Relaxed);
                    !stop.load(Relaxed)
                };
                match number < beside.gets {
                    true => session.get(&source, SOURCE_BYTES, more).await,
                    false => session.put(&target, SOURCE_BYTES, more).await,
                }
            });
        }
        while transfers.moved().contains(&0) {
            ensure!(transfers.tasks.try_join_next().is_none(), "a transfer has ended too soon");
            tokio::time::sleep(LISTING_INTERVAL).await;
        }
        Ok(transfers)
    }

    fn moved(&self) -> Vec<u64> {
        self.moved.iter().map(|moved| moved.load(Relaxed)).collect()
    }

    async fn end(self) -> Result<()> {
        self.stop.store(true, Relaxed);
        self.tasks.join_all().await.into_iter().collect()
    }
}
