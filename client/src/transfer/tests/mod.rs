mod deltas;
mod getting;
mod model;
mod putting;
mod resolving;
mod same;
mod streaming;

use super::*;
use crate::conversation::peer::Talk;
use model::Model;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The server, the connection and the directory of a test.
struct World {
    talk: Talk,
    cancel: CancellationToken,
    progress: ProgressDisplay,
    /// The number of retries of a put.
    retries: u32,
    place: tempfile::TempDir,
}

impl World {
    async fn with(model: &Model) -> World {
        let talk = model.start().await;
        let place = tempfile::tempdir().unwrap();
        let (cancel, progress) = (model.cancel.clone(), ProgressDisplay::new(false));
        World { talk, cancel, progress, retries: 0, place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The names in the test's directory; unfinished files would be among them.
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.place.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    async fn get(
        &mut self,
        sources: &[&str],
        target: &str,
        options: TransferOptions,
    ) -> Result<TransferSummary, ConversationError> {
        let target = self.path(target);
        let sources: Vec<RemotePath> = sources.iter().map(|source| remote(source)).collect();
        let World { talk, cancel, progress, .. } = self;
        let ctx = TransferContext { conversation: &mut talk.conversation, cancel, progress, reconnect: None };
        get(ctx, &sources, &target, options).await
    }

    async fn put(
        &mut self,
        sources: &[&str],
        target: &str,
        options: TransferOptions,
    ) -> Result<TransferSummary, ConversationError> {
        let sources: Vec<PathBuf> = sources.iter().map(|source| self.path(source)).collect();
        let World { talk, cancel, progress, retries, .. } = self;
        let mut patient = Patient(*retries);
        let reconnect = (*retries > 0).then_some(&mut patient as &mut dyn Reconnect);
        let ctx = TransferContext { conversation: &mut talk.conversation, cancel, progress, reconnect };
        put(ctx, &sources, &remote(target), options).await
    }
}

/// Retries this many times without a pause, and never reconnects.
struct Patient(u32);

impl Reconnect for Patient {
    fn retries(&self) -> u32 {
        self.0
    }

    fn pause(&self, _tried: u32) -> Duration {
        Duration::ZERO
    }

    fn reconnect(&mut self) -> Reconnecting<'_> {
        Box::pin(async { Err(ReconnectError::Refused("no other connection".into())) })
    }

    fn beside(&self) -> Box<dyn Reconnect> {
        Box::new(Patient(self.0))
    }

    fn close(self: Box<Self>) -> Closing {
        Box::pin(std::future::ready(()))
    }
}

fn remote(path: &str) -> RemotePath {
    RemotePath::root().join(path.as_bytes()).unwrap()
}

const PLAIN: TransferOptions = TransferOptions {
    delta: Delta::Auto,
    recursive: false,
    preserve: false,
    follow: false,
    all: false,
    force: false,
    jobs: Jobs::Auto,
    batch_entries: TransferOptions::DEFAULT_BATCH_ENTRIES,
    split_bytes: TransferOptions::DEFAULT_SPLIT_BYTES,
};
const RECURSIVE: TransferOptions = TransferOptions { recursive: true, ..PLAIN };
const FORCE: TransferOptions = TransferOptions { force: true, ..PLAIN };

/// Bytes without repetitions.
fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}
