//! Bookmarks: names for directories on servers, in a file of the user.

use super::Shell;
use super::error::ShellError;
use super::event::OutputEvent;
use super::invocation::Invocation;
use super::words::{self, Word, quote};
use crate::conversation::ConversationError;
use crate::names;
use sshome_wire::display::Escaped;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The actions of `bookmark`.
pub(super) const BOOKMARK_ACTIONS: [&str; 3] = ["add", "list", "remove"];

/// The first line of the file.
const FILE_HEADER: &str =
    "# Bookmarks of sshome: server, name, directory. They are quoted as at the prompt.\n";

/// A name for a directory on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bookmark {
    /// `USER@HOST:PORT`.
    server: Vec<u8>,
    name: Vec<u8>,
    directory: Vec<u8>,
}

/// The bookmarks of all servers.
#[derive(Debug, Default)]
struct Bookmarks(Vec<Bookmark>);

impl Bookmarks {
    /// Reads the file. If it does not exist, there are none.
    fn load(file: &Path) -> io::Result<Bookmarks> {
        match std::fs::read(file) {
            Ok(bytes) => Ok(Bookmarks(bytes.split(|byte| *byte == b'\n').filter_map(bookmark).collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Bookmarks::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, so that a crash leaves the old or the new one.
    fn save(&self, file: &Path) -> io::Result<()> {
        let mut text = FILE_HEADER.to_owned();
        for Bookmark { server, name, directory } in &self.0 {
            text.push_str(&format!("{} {} {}\n", quote(server), quote(name), quote(directory)));
        }
        let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        let new = file.with_extension(format!("{:016x}", rand::random::<u64>()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&new).and_then(|mut opened| {
            opened.write_all(text.as_bytes())?;
            opened.sync_all()?;
            std::fs::rename(&new, file)
        });
        if written.is_err() {
            // The error says more than a file that is left.
            let _ = std::fs::remove_file(&new);
        }
        written
    }

    fn find(&self, server: &str, name: &[u8]) -> Option<&Bookmark> {
        self.0.iter().find(|bookmark| bookmark.is(server, name))
    }
}

impl Bookmark {
    fn is(&self, server: &str, name: &[u8]) -> bool {
        self.server == server.as_bytes() && self.name == name
    }
}

/// The bookmark of a line; `None` if it has none.
fn bookmark(line: &[u8]) -> Option<Bookmark> {
    let words = words::split(line).ok()?;
    let [server, name, directory] = words.as_slice() else { return None };
    Some(Bookmark { server: server.bytes(), name: name.bytes(), directory: directory.bytes() })
}

/// The file of bookmarks.
fn file() -> Result<PathBuf, ShellError> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(std::env::home_dir()?.join(".config")));
    let config =
        config.ok_or_else(|| ShellError::Failed("there is no home directory: set HOME".to_owned()))?;
    Ok(config.join("sshome").join("bookmarks"))
}

fn failed(error: &io::Error) -> ShellError {
    let path = file().map(|file| names::shown(&file)).unwrap_or_default();
    ShellError::Failed(format!("{path}: {error}"))
}

fn unknown(name: &[u8]) -> ShellError {
    let name = Escaped(name);
    ShellError::Failed(format!("no bookmark {name} for this server: bookmark list shows them"))
}

impl Shell {
    pub(super) async fn bookmark(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let action = invocation.operands.first().map(Word::bytes).unwrap_or_default();
        match (action.as_slice(), invocation.operands.get(1..).unwrap_or_default()) {
            (b"" | b"list", []) => self.list_bookmarks(),
            (b"add", [name]) => self.add_bookmark(name, None).await,
            (b"add", [name, directory]) => self.add_bookmark(name, Some(directory)).await,
            (b"remove", [name]) => self.remove_bookmark(&name.bytes()),
            _ => {
                let usage = invocation.command.synopsis();
                Err(ShellError::Failed(format!("unknown action of bookmark; usage: {usage}")))
            }
        }
    }

    fn list_bookmarks(&self) -> Result<(), ShellError> {
        let bookmarks = Bookmarks::load(&file()?).map_err(|error| failed(&error))?;
        let own: Vec<_> =
            bookmarks.0.iter().filter(|bookmark| bookmark.server == self.server.as_bytes()).collect();
        let shown = |bytes: &[u8]| Escaped(bytes).to_string();
        let width = own.iter().map(|bookmark| shown(&bookmark.name).chars().count()).max().unwrap_or(0);
        own.iter().try_for_each(|bookmark| {
            let (name, directory) = (shown(&bookmark.name), shown(&bookmark.directory));
            let event = OutputEvent::Text { text: &format!("{name} {directory}") };
            self.out.show(&event, || format!("{name:width$}  {directory}\n"))
        })
    }

    async fn add_bookmark(&mut self, name: &Word, directory: Option<&Word>) -> Result<(), ShellError> {
        let name = name.bytes();
        if name.is_empty() || name.contains(&b'/') {
            return Err(ShellError::Failed("a bookmark needs a name without a slash".to_owned()));
        }
        let path = match directory {
            None => self.conversation.cwd().clone(),
            Some(word) => {
                let path = self.remote_path(word);
                self.directory(&path).await?;
                self.conversation.absolute(&path).map_err(ConversationError::from)?
            }
        };
        self.change_bookmarks(|bookmarks, server| {
            bookmarks.0.retain(|bookmark| !bookmark.is(server, &name));
            let (server, directory) = (server.as_bytes().to_vec(), path.as_bytes().to_vec());
            bookmarks.0.push(Bookmark { server, name, directory });
            Ok(())
        })
    }

    fn remove_bookmark(&self, name: &[u8]) -> Result<(), ShellError> {
        self.change_bookmarks(|bookmarks, server| {
            bookmarks.find(server, name).ok_or_else(|| unknown(name))?;
            bookmarks.0.retain(|bookmark| !bookmark.is(server, name));
            Ok(())
        })
    }

    fn change_bookmarks(
        &self,
        change: impl FnOnce(&mut Bookmarks, &str) -> Result<(), ShellError>,
    ) -> Result<(), ShellError> {
        let file = file()?;
        let mut bookmarks = Bookmarks::load(&file).map_err(|error| failed(&error))?;
        change(&mut bookmarks, &self.server)?;
        bookmarks.save(&file).map_err(|error| failed(&error))
    }

    /// The directory of the bookmark that an operand of `cd` names: an unquoted `@` and the name.
    ///
    /// # Errors
    /// If the bookmarks cannot be read.
    pub(super) fn bookmarked(&self, word: &Word) -> Result<Option<Vec<u8>>, ShellError> {
        if word.letters().first() != Some(&(b'@', false)) {
            return Ok(None);
        }
        let bookmarks = Bookmarks::load(&file()?).map_err(|error| failed(&error))?;
        let name = word.split_at(1).1.bytes();
        Ok(bookmarks.find(&self.server, &name).map(|bookmark| bookmark.directory.clone()))
    }

    /// The names of this server's bookmarks, as operands of `cd`, for completion.
    pub(super) fn bookmark_names(&self) -> Vec<Vec<u8>> {
        let bookmarks = file().ok().and_then(|file| Bookmarks::load(&file).ok()).unwrap_or_default();
        let own = bookmarks.0.into_iter().filter(|bookmark| bookmark.server == self.server.as_bytes());
        own.map(|bookmark| [b"@", bookmark.name.as_slice()].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/bookmarks");
        assert!(Bookmarks::load(&file).unwrap().0.is_empty());
        let bookmark = |name: &[u8], directory: &[u8]| Bookmark {
            server: b"ann@host:2222".to_vec(),
            name: name.to_vec(),
            directory: directory.to_vec(),
        };
        let all = vec![bookmark(b"a b", b"/x y"), bookmark(b"n\xff", b"/\n#'\"")];
        Bookmarks(all.clone()).save(&file).unwrap();
        let read = Bookmarks::load(&file).unwrap();
        assert_eq!(read.0, all);
        assert!(
            read.find("ann@host:2222", b"a b").is_some() && read.find("ann@other:2222", b"a b").is_none()
        );
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "no other file is left");
    }
}
