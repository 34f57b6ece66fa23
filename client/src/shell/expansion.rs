//! What words mean as paths: patterns and `~`, locally and on the server.

use super::glob::{self, Cached, GlobEntry, GlobSource, LocalTree};
use super::tilde;
use super::words::Word;
use super::{Shell, ShellError};
use crate::conversation::{Conversation, ConversationError};
use sshome_wire::{Entries, Entry, FileKind, Request};
use std::collections::HashMap;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

impl Shell {
    /// The paths on the server that words expand to.
    pub(super) async fn remote_paths(&mut self, words: &[Word]) -> Result<Vec<Vec<u8>>, ShellError> {
        Ok(self.remote_entries(words).await?.into_iter().map(|(path, _)| path).collect())
    }

    /// As [`remote_paths`](Self::remote_paths). Patterns without a match are ignored.
    pub(super) async fn matching_paths(&mut self, words: &[Word]) -> Result<Vec<Vec<u8>>, ShellError> {
        let found = self.expand_remote(words, false).await?;
        Ok(found.into_iter().map(|(path, _)| path).collect())
    }

    /// As [`remote_paths`](Self::remote_paths), with the entries that the server has sent for them.
    pub(super) async fn remote_entries(
        &mut self,
        words: &[Word],
    ) -> Result<Vec<(Vec<u8>, Option<Entry>)>, ShellError> {
        self.expand_remote(words, true).await
    }

    async fn expand_remote(
        &mut self,
        words: &[Word],
        must_match: bool,
    ) -> Result<Vec<(Vec<u8>, Option<Entry>)>, ShellError> {
        let mut named = Vec::with_capacity(words.len());
        for word in words {
            let word = self.remote_word(word);
            named.push(if self.arguments { self.argument_word(&word).await? } else { word });
        }
        let seen = HashMap::new();
        let tree = RemoteTree { conversation: &mut self.conversation, cancel: &self.cancel, seen };
        let mut tree = Cached::new(tree);
        let paths = paths(&mut tree, &named, must_match).await?;
        let mut seen = tree.into_inner().seen;
        Ok(paths
            .into_iter()
            .map(|path| (seen.remove(&path), path))
            .map(|(entry, path)| (path, entry))
            .collect())
    }

    /// A word that names something on the server, with `~` expanded. In the program's arguments another shell has done
    /// that, and sftp does not expand it.
    fn remote_word(&self, word: &Word) -> Word {
        if self.arguments || self.batch { word.clone() } else { tilde::expand_remote(word) }
    }

    /// The path on the server that a word means literally, without patterns.
    pub(super) fn remote_path(&self, word: &Word) -> Vec<u8> {
        self.remote_word(word).bytes()
    }

    /// The meaning of an argument of the program: a name if it exists on the server, otherwise a pattern. A script that
    /// passes on a name means exactly that name.
    async fn argument_word(&mut self, word: &Word) -> Result<Word, ShellError> {
        if !word.is_glob() {
            return Ok(word.clone());
        }
        match self.request(Request::Stat { path: word.bytes(), follow: false }).await {
            Ok(_) => Ok(Word::literal(&word.bytes())),
            Err(ShellError::Conversation(ConversationError::Refused(_))) => Ok(word.unescaped()),
            Err(error) => Err(error),
        }
    }

    /// As [`argument_word`](Self::argument_word), for local names.
    fn local_argument_word(&self, word: &Word) -> Result<Word, ShellError> {
        let exists = word.is_glob() && self.local_path(&word.bytes())?.symlink_metadata().is_ok();
        Ok(if exists { Word::literal(&word.bytes()) } else { word.unescaped() })
    }

    /// The local paths that words expand to. A `~` in the program's arguments was expanded by the other shell.
    pub(super) async fn local_paths(&mut self, words: &[Word]) -> Result<Vec<PathBuf>, ShellError> {
        let named = words.iter().map(|word| match self.arguments {
            true => self.local_argument_word(word),
            false => tilde::expand(word),
        });
        let words = named.collect::<Result<Vec<_>, _>>()?;
        let paths = paths(&mut Cached::new(LocalTree::new(self.local.clone())), &words, true).await?;
        paths.iter().map(|path| self.local_path(path)).collect()
    }
}

/// The server's directories.
pub(super) struct RemoteTree<'a> {
    pub(super) conversation: &'a mut Conversation,
    pub(super) cancel: &'a CancellationToken,
    /// Entries that were seen, by path.
    pub(super) seen: HashMap<Vec<u8>, Entry>,
}

impl GlobSource for RemoteTree<'_> {
    type Error = ConversationError;

    async fn names(&mut self, directory: &[u8]) -> Result<Vec<GlobEntry>, ConversationError> {
        let path = if directory.is_empty() { b"." } else { directory };
        let mut found = Vec::new();
        let mut each = |entries: Entries| found.extend(entries.entries);
        match self.conversation.list(path, false, self.cancel, &mut each).await {
            Ok(entry) if entry.kind == FileKind::Directory => {}
            // Nothing matches in a path that is not a directory, or is unreadable.
            Ok(_) | Err(ConversationError::Refused(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let name = |entry: &Entry| GlobEntry {
            may_be_directory: matches!(entry.kind, FileKind::Directory | FileKind::Symlink),
            is_link: entry.kind == FileKind::Symlink,
            name: entry.name.clone(),
        };
        let names = found.iter().map(name).collect();
        self.seen.extend(found.into_iter().map(|entry| ([directory, &entry.name].concat(), entry)));
        Ok(names)
    }
}

async fn paths<T: GlobSource>(
    tree: &mut T,
    words: &[Word],
    must_match: bool,
) -> Result<Vec<Vec<u8>>, ShellError>
where
    ShellError: From<T::Error>,
{
    let mut all = Vec::new();
    for word in words {
        let paths = glob::expand(tree, word).await?;
        if paths.is_empty() && must_match {
            let shown = sshome_wire::display::Escaped(&word.bytes()).to_string();
            return Err(ShellError::Failed(format!("no match for {shown}")));
        }
        all.extend(paths);
    }
    Ok(all)
}
