//! A proxy to the server that breaks connections where a test wants it to.

#![allow(dead_code)] // each test file uses what it needs

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Returns the number of bytes that the next connection may carry in both directions together; `u64::MAX` is no limit.
type Lengths = Box<dyn FnMut() -> u64 + Send>;

/// Forwards data until a connection has carried its limit; then both of its ends are closed. With a limit of 0 it is
/// closed at once.
pub struct Proxy {
    address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    /// The bytes that each connection has carried.
    carried: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    open: Arc<AtomicUsize>,
    gate: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

/// What each connection may carry before all that are expected have carried [`FIRST_BYTES`].
const GATE_BYTES: u64 = 4 << 20;

/// What a connection carries once it works.
const FIRST_BYTES: u64 = 1 << 20;

/// The fate of a connection that has reached its limit.
#[derive(Clone, Copy)]
enum Then {
    /// Both of its ends are closed.
    Close,
    /// It stays open, but nothing sent into it is ever read: the path has gone dead.
    Vanish,
}

impl Proxy {
    pub async fn new(server: SocketAddr, lengths: impl FnMut() -> u64 + Send + 'static) -> Proxy {
        Proxy::start(server, lengths, Then::Close).await
    }

    /// The same, but nothing is closed: a connection that has reached its limit drops all later data.
    pub async fn vanishing(server: SocketAddr, lengths: impl FnMut() -> u64 + Send + 'static) -> Proxy {
        Proxy::start(server, lengths, Then::Vanish).await
    }

    async fn start(server: SocketAddr, lengths: impl FnMut() -> u64 + Send + 'static, then: Then) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::<Mutex<Vec<Arc<AtomicU64>>>>::default();
        let open = Arc::<AtomicUsize>::default();
        let lengths: Mutex<Lengths> = Mutex::new(Box::new(lengths));
        let (all, count) = (Arc::clone(&carried), Arc::clone(&open));
        let server = Arc::new(Mutex::new(server));
        let aim = Arc::clone(&server);
        let gate = Arc::<AtomicUsize>::default();
        let (expected, each) = (Arc::clone(&gate), Arc::clone(&carried));
        let serving = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let left = lengths.lock().unwrap()();
                let server = *aim.lock().unwrap();
                let (carried, count) = (Arc::<AtomicU64>::default(), Arc::clone(&count));
                all.lock().unwrap().push(Arc::clone(&carried));
                count.fetch_add(1, Ordering::SeqCst);
                let gate = Gate { expected: Arc::clone(&expected), each: Arc::clone(&each) };
                tokio::spawn(async move {
                    carry(near, server, left, carried, (gate, then)).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Proxy { address, server, carried, open, gate, serving }
    }

    /// The first connections have these limits, and later ones have none.
    pub async fn cutting(server: SocketAddr, lengths: &[u64]) -> Proxy {
        let lengths = lengths.to_vec();
        let mut lengths = lengths.into_iter();
        Proxy::new(server, move || lengths.next().unwrap_or(u64::MAX)).await
    }

    /// From now on no connection carries more than some megabytes before this number of connections have carried data. So all
    /// of them take part, however fast the first one is.
    pub fn await_connections(&self, number: usize) {
        self.gate.store(number, Ordering::SeqCst);
    }

    /// From now on, connections lead to a different server.
    pub fn aim(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The bytes carried over all connections, both directions together.
    pub fn carried(&self) -> u64 {
        self.carried_each().iter().sum()
    }

    /// The same of each connection, in the order of their beginning.
    pub fn carried_each(&self) -> Vec<u64> {
        self.carried.lock().unwrap().iter().map(|carried| carried.load(Ordering::SeqCst)).collect()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.carried.lock().unwrap().len()
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Holds connections back until enough of them carry data.
#[derive(Clone)]
struct Gate {
    /// Their number.
    expected: Arc<AtomicUsize>,
    each: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

impl Gate {
    fn is_open(&self) -> bool {
        let each = self.each.lock().unwrap();
        let working = each.iter().filter(|carried| carried.load(Ordering::SeqCst) >= FIRST_BYTES).count();
        working >= self.expected.load(Ordering::SeqCst)
    }

    /// Waits until it is open, if this connection has carried what it may before.
    async fn pass(&self, carried: &AtomicU64) {
        let wait = async {
            while carried.load(Ordering::SeqCst) >= GATE_BYTES && !self.is_open() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.is_err() {
            // They never will: the test fails by what they have carried.
            self.expected.store(0, Ordering::SeqCst);
        }
    }
}

async fn carry(
    near: TcpStream,
    server: SocketAddr,
    left: u64,
    carried: Arc<AtomicU64>,
    (gate, then): (Gate, Then),
) {
    if left == 0 {
        return match then {
            Then::Close => {}
            Then::Vanish => std::future::pending().await,
        };
    }
    let Ok(far) = TcpStream::connect(server).await else { return };
    let (left, cut) = (Arc::new(AtomicU64::new(left)), Arc::new(Notify::new()));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let way = |read, write| {
        let (left, cut, carried) = (Arc::clone(&left), Arc::clone(&cut), Arc::clone(&carried));
        one_way(read, write, left, cut, carried, (gate.clone(), then))
    };
    tokio::select! {
        () = way(near_read, far_write) => {}
        () = way(far_read, near_write) => {}
    }
}

/// Forwards one direction until its end, or until both together have reached the limit.
async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    left: Arc<AtomicU64>,
    cut: Arc<Notify>,
    carried: Arc<AtomicU64>,
    (gate, then): (Gate, Then),
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        gate.pass(&carried).await;
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0) as u64,
            () = cut.notified() => return,
        };
        let before =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(read)));
        let may = before.unwrap_or(0).min(read);
        carried.fetch_add(may, Ordering::SeqCst);
        if may < read && matches!(then, Then::Vanish) {
            // The halves stay open.
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..may as usize]).await.is_err() || may < read || read == 0 {
            return;
        }
    }
}
