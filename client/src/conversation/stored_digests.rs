//! The stored digests of files on the server, which it need not read for that.

use super::{Conversation, ConversationError, encoded, unexpected};
use sshome_wire::{Features, Frame, RemotePath, Request, StoredFile};
use tokio_util::sync::CancellationToken;

/// The largest number of paths in a request.
pub(crate) const MAX_LOOKED_UP: usize = 1000;

/// The largest length of the paths in a request, in bytes.
const MAX_PATH_BYTES: usize = 128 << 10;

/// The largest number of requests that are sent ahead.
const MAX_PIPELINED_LOOKUPS: usize = 8;

impl Conversation {
    /// Whether the server knows these requests, and those for attributes and copies of files.
    pub(crate) fn has_same_content(&self) -> bool {
        self.hello.features.has(Features::SAME_CONTENT)
    }

    /// What the server has stored at these paths: `None` for what is not a file, cannot be read, or if the server is too old
    /// or the login may not ask.
    ///
    /// # Errors
    /// `Cancelled` after a cancellation, or if the conversation is over.
    pub(crate) async fn stored_files(
        &mut self,
        paths: &[RemotePath],
        cancel: &CancellationToken,
    ) -> Result<Vec<Option<StoredFile>>, ConversationError> {
        let mut stored = Vec::with_capacity(paths.len());
        if !self.has_same_content() {
            stored.resize(paths.len(), None);
            return Ok(stored);
        }
        let (mut unasked, mut asked) = (paths, 0);
        while stored.len() < paths.len() {
            while !unasked.is_empty() && self.outstanding() < MAX_PIPELINED_LOOKUPS {
                let (next, rest) = unasked.split_at(batch_length(unasked));
                self.send(encoded(&Frame::Request(lookup(next)))?, 1, cancel).await?;
                (unasked, asked) = (rest, asked + next.len());
            }
            // Each answer is that of the first request without one, which is as long as the batch was.
            let first = paths.get(stored.len()..asked).unwrap_or_default();
            let count = batch_length(first);
            stored.extend(self.receive_stored(count, cancel).await?);
        }
        Ok(stored)
    }

    async fn receive_stored(
        &mut self,
        count: usize,
        cancel: &CancellationToken,
    ) -> Result<Vec<Option<StoredFile>>, ConversationError> {
        let mut stored = vec![None; count];
        loop {
            match self.receive(cancel).await? {
                Frame::StoredFiles(files) => fill(&mut stored, files)?,
                Frame::Progress(_) => {}
                // A refusal means that nothing is known.
                Frame::Reply(_) => return Ok(stored),
                frame => return Err(unexpected(&frame)),
            }
        }
    }
}

/// Puts files that the server has at the places of their paths.
///
/// # Errors
/// If the server lists one that was not asked for.
pub(crate) fn fill(
    stored: &mut [Option<StoredFile>],
    files: Vec<StoredFile>,
) -> Result<(), ConversationError> {
    for file in files {
        let place = usize::try_from(file.number).ok().and_then(|number| stored.get_mut(number));
        let unknown =
            || ConversationError::Protocol("it sent the digest of a file that was not asked for".into());
        *place.ok_or_else(unknown)? = Some(file);
    }
    Ok(())
}

/// The request for files, at most [`MAX_LOOKED_UP`]. Their paths are sent without the directory that they share.
pub(crate) fn lookup(paths: &[RemotePath]) -> Request {
    let first = paths.first().map_or(&b""[..], RemotePath::as_bytes);
    let common = paths.iter().map(|path| common_length(first, path.as_bytes())).min().unwrap_or(0);
    let directory = first.get(..common).unwrap_or_default();
    let length = directory.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let mut relative = Vec::new();
    for path in paths {
        relative.extend_from_slice(path.as_bytes().get(length..).unwrap_or_default());
        relative.push(0);
    }
    Request::StoredDigests { directory: first.get(..length).unwrap_or_default().to_vec(), paths: relative }
}

fn common_length(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// How many of these paths the next request has.
fn batch_length(paths: &[RemotePath]) -> usize {
    let mut bytes = 0;
    let fits = |path: &&RemotePath| {
        bytes += path.as_bytes().len() + 1;
        bytes <= MAX_PATH_BYTES
    };
    paths.iter().take(MAX_LOOKED_UP).take_while(fits).count().max(paths.len().min(1))
}

#[cfg(test)]
mod tests {
    use super::super::peer::{connect, hello};
    use super::*;
    use sshome_wire::{Hello, Status, Time};

    fn paths(names: &[&str]) -> Vec<RemotePath> {
        names.iter().map(|name| RemotePath::root().join(name.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn paths_are_sent_without_the_directory_that_they_share() {
        for (names, directory, relative) in [
            (&["/a/b/c", "/a/b/d/e"][..], "/a/b/", "c\0d/e\0"),
            (&["/a/bc", "/a/bd"], "/a/", "bc\0bd\0"),
            (&["/a/b"], "/a/", "b\0"),
            (&["/a", "/b/c"], "/", "a\0b/c\0"),
            (&["/a/b", "/a/b/c"], "/a/", "b\0b/c\0"),
        ] {
            let request = lookup(&paths(names));
            let expected = Request::StoredDigests { directory: directory.into(), paths: relative.into() };
            assert_eq!(request, expected);
        }
    }

    #[tokio::test]
    async fn many_files_are_asked_for_ahead_and_the_answers_find_their_paths() {
        let all: Vec<RemotePath> =
            (0..2500).map(|n| RemotePath::root().join(format!("{n}").as_bytes()).unwrap()).collect();
        let hello = Hello { features: Features::SAME_CONTENT, ..hello(4096) };
        let talk = connect(hello, |mut peer| async move {
            // All requests arrive before the first answer.
            for _ in 0..3 {
                assert!(matches!(peer.hear_request().await, Request::StoredDigests { .. }));
            }
            for number in [7, 8, 499] {
                let (mtime, mode, digest) = (Time::default(), 0, None);
                peer.say(Frame::StoredFiles(vec![StoredFile { number, size: 1, mtime, mode, digest }])).await;
                peer.reply(if number == 8 { Status::PermissionDenied } else { Status::Done }).await;
            }
            peer.hear().await;
        });
        let mut talk = talk.await.unwrap();
        let stored = talk.conversation.stored_files(&all, &CancellationToken::new()).await.unwrap();
        let found: Vec<usize> = (0..2500).filter(|number| stored[*number].is_some()).collect();
        assert_eq!(found, [7, 1008, 2499]);
    }

    #[tokio::test]
    async fn a_server_that_does_not_know_the_request_is_not_asked() {
        let talk = connect(hello(1), |mut peer| async move {
            peer.hear().await;
        });
        let mut talk = talk.await.unwrap();
        let stored = talk.conversation.stored_files(&paths(&["/a"]), &CancellationToken::new()).await;
        assert_eq!(stored.unwrap(), [None]);
    }

    #[test]
    fn a_file_that_was_not_asked_for_is_an_error() {
        let file = StoredFile { number: 1, size: 1, mtime: Time::default(), mode: 0, digest: None };
        assert!(fill(&mut [None, None], vec![file]).is_ok());
        assert!(fill(&mut [None], vec![file]).is_err());
    }
}
