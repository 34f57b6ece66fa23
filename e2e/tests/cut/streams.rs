//! Streams whose connection is cut. `SSHOME_TORTURE_ROUNDS` cuts more of them, `SSHOME_TORTURE_SEED` at different
//! places.

use crate::client::{InProcessClient, books, noise};
use crate::proxy::Proxy;
use crate::{BIG, MIB, host, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome::conversation::ConversationError;
use sshome_e2e::{Host, HostBuilder};
use sshome_wire::{BLOCK_BYTES, Status};
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// The default number of streams that are cut at random.
const ROUNDS: u64 = 16;

/// A writer that records the output.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn length(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A source that a test feeds.
struct Fed(mpsc::Receiver<Vec<u8>>, Cursor<Vec<u8>>);

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.1.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        // Its end is the end of the stream.
        self.1 = Cursor::new(self.0.recv().unwrap_or_default());
        self.1.read(buffer)
    }
}

fn fed() -> (mpsc::Sender<Vec<u8>>, Fed) {
    let (feed, source) = mpsc::channel();
    (feed, Fed(source, Cursor::default()))
}

async fn assert_stored(host: &Host, name: &str, content: &[u8]) {
    assert!(std::fs::read(host.home("ann").join(name)).unwrap() == content, "{name}");
    let (parts, usage) = books(host).await;
    assert_eq!((parts.len(), usage.used, usage.reserved), (0, content.len() as u64, 0));
    assert_eq!(std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_where_the_connection_was_lost() {
    let host = host().await;
    let content = noise(BIG, 21);
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    let summary = client.put_stream(Cursor::new(content.clone()), "/big").await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 0), "{summary:?}");
    let offset = summary.resumed.first().map_or(0, |resumed| resumed.offset);
    assert!(offset >= BLOCK_BYTES && offset.is_multiple_of(BLOCK_BYTES), "{summary:?}");
    assert_eq!(client.heard(), (BIG as u64, vec![(BIG as u64, offset)]));
    assert!(proxy.carried() < (BIG + 14 * MIB) as u64 - offset + MIB as u64, "{}", proxy.carried());
    assert_stored(&host, "big", &content).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_any_length_survive_cuts_at_any_place() {
    let host = host().await;
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let rounds = number("SSHOME_TORTURE_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("SSHOME_TORTURE_SEED").unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let length = match round {
            0 => 0,
            1 => BLOCK_BYTES as usize,
            2 => 2 * BLOCK_BYTES as usize,
            _ => random.random_range(0..24 * MIB),
        };
        let content = noise(length, round);
        // Limits from the login to a little more than the whole stream. Some connections are cut between the end of the
        // stream and its answer.
        let cuts: Vec<u64> = (0..4).map(|_| 9000 + random.random_range(0..length as u64 + 5000)).collect();
        let proxy = Proxy::cutting(host.address(), &cuts).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        client.pause = Duration::from_millis(5);
        let summary = client.put_stream(Cursor::new(content.clone()), "/f").await.unwrap();
        assert_eq!((summary.files, summary.bytes), (1, length as u64), "round {round}: {summary:?}");
        assert_stored(&host, "f", &content).await;
        let proxy = Proxy::cutting(host.address(), &cuts).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        client.pause = Duration::from_millis(5);
        let out = Written::default();
        let done = client.get_stream("/f", out.clone()).await.unwrap();
        assert_eq!((done.summary.files, done.output.is_ok()), (1, true), "round {round}: {done:?}");
        assert!(*out.0.lock().unwrap() == content, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_loses_nothing() {
    let host = host().await;
    let content = noise(9 * MIB, 23);
    // The bytes of a whole transfer; the next connection carries all except the answer.
    let proxy = Proxy::cutting(host.address(), &[]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.put_stream(Cursor::new(content.clone()), "/f").await.unwrap();
    let whole = proxy.carried();
    for before in [40, 120, 400] {
        let host = crate::host().await;
        let proxy = Proxy::cutting(host.address(), &[whole - before]).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        let summary = client.put_stream(Cursor::new(content.clone()), "/f").await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (1, 0), "{summary:?}");
        // A transfer may carry a few bytes less than the first one; then nothing is lost.
        assert!(proxy.connections() <= 2);
        assert_stored(&host, "f", &content).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_the_server() {
    let mut host = HostBuilder::new().unwrap().user("ann", "quota = \"200 MiB\"").unwrap().prepare().unwrap();
    let mut program = host.start_apart().unwrap();
    let proxy = Proxy::cutting(host.address(), &[]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = u32::MAX;
    let content = noise(BIG, 24);
    let (feed, source) = fed();
    feed.send(content[..14 * MIB].to_vec()).unwrap();
    let killing = async {
        until(async || proxy.carried() > 14 * MIB as u64).await;
        program.kill().unwrap();
        let program = host.start_apart().unwrap();
        proxy.aim(host.address());
        feed.send(content[14 * MIB..].to_vec()).unwrap();
        drop(feed);
        program
    };
    let (put, _program) = tokio::join!(client.put_stream(source, "/f"), killing);
    let summary = put.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 0), "{summary:?}");
    assert!(summary.resumed[0].offset >= BLOCK_BYTES, "{summary:?}");
    assert_stored(&host, "f", &content).await;
}

/// A host where partial streams expire soon.
async fn forgetful() -> Host {
    let host = HostBuilder::new().unwrap().setting("stream-expiry = 1");
    host.user("ann", "quota = \"200 MiB\"").unwrap().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_stream_expires() {
    let host = forgetful().await;
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 0;
    let error = client.put_stream(Cursor::new(noise(BIG, 25)), "/f").await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
    until(async || {
        let (parts, usage) = books(&host).await;
        parts.is_empty() && (usage.used, usage.reserved) == (0, 0)
    })
    .await;
    assert_eq!(std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_part_is_gone_is_not_published() {
    let host = forgetful().await;
    // More than the client keeps, so some of it has been acknowledged.
    let proxy = Proxy::cutting(host.address(), &[50 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.pause = Duration::from_secs(4);
    let summary = client.put_stream(Cursor::new(noise(64 * MIB, 26)), "/f").await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (0, 1), "{summary:?}");
    assert!(summary.failures[0].why.contains("nothing was published"), "{summary:?}");
    assert!(!host.home("ann").join("f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_between_two_connections_fails() {
    let host = host().await;
    let file = host.home("ann").join("f");
    std::fs::write(&file, noise(BIG, 27)).unwrap();
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.pause = Duration::from_millis(1500);
    let out = Written::default();
    let changing = async {
        until(async || out.length() > 5 * MIB).await;
        std::fs::write(host.home("ann").join("g"), noise(BIG, 28)).unwrap();
        std::fs::rename(host.home("ann").join("g"), &file).unwrap();
    };
    let (got, ()) = tokio::join!(client.get_stream("/f", out.clone()), changing);
    let summary = got.unwrap().summary;
    assert_eq!((summary.files, summary.failures[0].status), (0, Some(Status::Changed)), "{summary:?}");
    assert!(out.0.lock().unwrap().len() < BIG);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_stream_leaves_nothing() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    let cancel = client.cancel.clone();
    let (feed, source) = fed();
    feed.send(noise(10 * MIB, 29)).unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    let arrived = || {
        let files = std::fs::read_dir(&staging).into_iter().flatten();
        files.filter_map(|file| file.ok()?.metadata().ok()).any(|seen| seen.len() == 10 * MIB as u64)
    };
    let raising = async {
        until(async || arrived()).await;
        cancel.cancel();
    };
    let (put, ()) = tokio::join!(client.put_stream(source, "/f"), raising);
    assert!(matches!(put, Err(ConversationError::Cancelled)), "{put:?}");
    // The source is still open, and has not ended.
    feed.send(vec![]).unwrap();
    assert!(!host.home("ann").join("f").exists());
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    assert_eq!(books(&host).await.1.reserved, 0);
}
