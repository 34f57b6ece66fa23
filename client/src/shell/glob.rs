//! Expansion of globs, component by component, locally and on the server.

use super::words::Word;
use sshome_ssh::Glob;
use std::collections::HashMap;
use std::path::PathBuf;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobEntry {
    /// The name itself.
    pub name: Vec<u8>,
    /// Whether it may contain names: a directory, or a link, which may lead to one.
    pub may_be_directory: bool,
    /// Whether it is a symbolic link.
    pub is_link: bool,
}

/// A source of directory listings.
pub trait GlobSource {
    /// The error that ends an expansion.
    type Error;

    /// The names in a directory; empty if it is not a directory or cannot be read. An empty path is the working
    /// directory.
    fn names(&mut self, directory: &[u8]) -> impl Future<Output = Result<Vec<GlobEntry>, Self::Error>>;
}

/// The paths that match a word, sorted; the word itself if it is not a glob. Names that begin with a dot match only
/// patterns that do.
///
/// # Errors
/// Those of the source.
pub async fn expand<T: GlobSource>(tree: &mut T, word: &Word) -> Result<Vec<Vec<u8>>, T::Error> {
    if !word.is_glob() {
        return Ok(vec![word.bytes()]);
    }
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    // After the first pattern a plain name must exist, too: `*/README` matches every existing README.
    let mut choosing = false;
    let mut components = word.letters().split(|letter| letter.0 == b'/').enumerate().peekable();
    while let Some((index, component)) = components.next() {
        let last = components.peek().is_none();
        let literal: Vec<u8> = component.iter().map(|letter| letter.0).collect();
        if index > 0 {
            paths.iter_mut().for_each(|path| path.push(b'/'));
        }
        choosing |= component.iter().any(|(byte, quoted)| !quoted && b"*?[".contains(byte));
        if !choosing || matches!(literal.as_slice(), b"" | b"." | b"..") {
            paths.iter_mut().for_each(|path| path.extend_from_slice(&literal));
            continue;
        }
        let pattern = Glob::shell(component);
        let hidden = literal.first() == Some(&b'.');
        let mut matched = Vec::new();
        for path in paths {
            for entry in tree.names(&path).await? {
                let dotted = entry.name.first() == Some(&b'.');
                if (dotted && !hidden) || (!last && !entry.may_be_directory) || !pattern.matches(&entry.name)
                {
                    continue;
                }
                matched.push([path.as_slice(), &entry.name].concat());
            }
        }
        paths = matched;
    }
    paths.sort();
    Ok(paths)
}

/// The local disk below a directory. It has no errors: nothing matches in an unreadable directory.
pub struct LocalTree {
    base: PathBuf,
}

impl LocalTree {
    /// The local disk as seen from `base`.
    #[must_use]
    pub fn new(base: PathBuf) -> LocalTree {
        LocalTree { base }
    }
}

impl GlobSource for LocalTree {
    type Error = super::ShellError;

    async fn names(&mut self, directory: &[u8]) -> Result<Vec<GlobEntry>, Self::Error> {
        let Some(directory) = crate::names::path(directory) else { return Ok(Vec::new()) };
        let Ok(entries) = std::fs::read_dir(self.base.join(directory)) else { return Ok(Vec::new()) };
        let name = |entry: std::fs::DirEntry| {
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let may_be_directory = is_link || entry.file_type().is_ok_and(|kind| kind.is_dir());
            GlobEntry { name: crate::names::bytes(&entry.file_name()), may_be_directory, is_link }
        };
        Ok(entries.flatten().map(name).collect())
    }
}

/// A source with a cache: one command often has several patterns in one directory.
pub struct Cached<T> {
    tree: T,
    known: HashMap<Vec<u8>, Vec<GlobEntry>>,
}

impl<T> Cached<T> {
    /// An empty cache of this source.
    pub fn new(tree: T) -> Cached<T> {
        Cached { tree, known: HashMap::new() }
    }

    /// The source.
    pub fn into_inner(self) -> T {
        self.tree
    }
}

impl<T: GlobSource> GlobSource for Cached<T> {
    type Error = T::Error;

    async fn names(&mut self, directory: &[u8]) -> Result<Vec<GlobEntry>, T::Error> {
        if let Some(names) = self.known.get(directory) {
            return Ok(names.clone());
        }
        let names = self.tree.names(directory).await?;
        self.known.insert(directory.to_vec(), names.clone());
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;
    use std::convert::Infallible;

    /// Paths; a directory's ends in a slash. Counts how often it is asked.
    struct Fake(&'static [&'static str], usize);

    impl GlobSource for Fake {
        type Error = Infallible;

        async fn names(&mut self, directory: &[u8]) -> Result<Vec<GlobEntry>, Infallible> {
            self.1 += 1;
            let mut directory = String::from_utf8(directory.to_vec()).unwrap().replace("./", "");
            if directory.ends_with("/.") {
                // The rest above `X/../`.
                directory.clear();
            }
            let below =
                self.0.iter().filter_map(|path| path.strip_prefix(&directory)).filter(|rest| *rest != "/");
            let names = below.filter(|rest| !rest.trim_end_matches('/').contains('/') && !rest.is_empty());
            Ok(names
                .map(|rest| GlobEntry {
                    name: rest.trim_end_matches('/').as_bytes().to_vec(),
                    may_be_directory: rest.ends_with('/'),
                    is_link: false,
                })
                .collect())
        }
    }

    const TREE: &[&str] = &[
        "b.txt",
        "a.txt",
        ".hidden.txt",
        "file",
        "src/",
        "src/README",
        "src/x.rs",
        "src/.git/",
        "doc/",
        "doc/README",
        "doc/y.rs",
        "empty/",
        "we[i]rd",
        "/",
        "/etc/",
        "/etc/hosts",
    ];

    async fn expanded(pattern: &str) -> Vec<String> {
        let word = split(pattern.as_bytes()).unwrap().remove(0);
        let paths = expand(&mut Fake(TREE, 0), &word).await.unwrap();
        paths.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[tokio::test]
    async fn patterns_match_existing_names() {
        for (pattern, want) in [
            ("*.txt", &["a.txt", "b.txt"][..]),
            (".*.txt", &[".hidden.txt"]),
            ("*/README", &["doc/README", "src/README"]),
            ("s*/*.rs", &["src/x.rs"]),
            ("src/*", &["src/README", "src/x.rs"]),
            ("*/", &["doc/", "empty/", "src/"]),
            ("./*.txt", &["./a.txt", "./b.txt"]),
            ("*/../file", &["doc/../file", "empty/../file", "src/../file"]),
            ("/e*/*", &["/etc/hosts"]),
            ("nothing*", &[]),
            ("file/*", &[]),
            (r"we\[i\]rd", &["we[i]rd"]),
            (r"we\[*", &["we[i]rd"]),
            ("'*'.txt", &["*.txt"]),
        ] {
            assert_eq!(expanded(pattern).await, want, "{pattern}");
        }
    }

    #[tokio::test]
    async fn a_directory_is_asked_for_once() {
        let mut tree = Cached::new(Fake(TREE, 0));
        for pattern in ["*.txt", "s*", "d*"] {
            let word = Word::plain(pattern.as_bytes());
            expand(&mut tree, &word).await.unwrap();
        }
        assert_eq!(tree.tree.1, 1);
    }

    #[tokio::test]
    async fn local_patterns_match_files_on_the_local_disk() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".c"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/e"), "").unwrap();
        let mut tree = LocalTree::new(dir.path().to_owned());
        let paths = expand(&mut tree, &Word::plain(b"*")).await.unwrap();
        assert_eq!(paths, [b"a", b"b", b"d"]);
        let paths = expand(&mut tree, &Word::plain(b"*/*")).await.unwrap();
        assert_eq!(paths, [b"d/e"]);
        let absolute = [dir.path().as_os_str().as_encoded_bytes(), b"/?"].concat();
        assert_eq!(expand(&mut tree, &Word::plain(&absolute)).await.unwrap().len(), 3);
    }
}
