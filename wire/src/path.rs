//! Paths in a home.

use crate::display::Escaped;
use alloc::vec::Vec;
use core::fmt;

/// The longest accepted path, in bytes: Linux's limit without the NUL.
pub const MAX_PATH: usize = 4095;

/// An absolute path in a home, as spelled, not resolved. `..` is kept, since only the kernel knows the links before it,
/// and so is a final `/`, `.` or `..`, which requires a directory. Only repeated slashes and other `.` are removed: the
/// kernel ignores them as well.
///
/// Names are bytes, not text, without NUL. Two spellings can name one file, so use it for system calls and messages,
/// never to compare files. It does not confine users: the kernel does, as it resolves paths below the home's directory
/// handle.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemotePath(Vec<u8>);

/// Why bytes are not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It contains a NUL.
    #[error("a path cannot contain a NUL byte")]
    Nul,
    /// It is longer than [`MAX_PATH`].
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
}

impl RemotePath {
    /// The home's top.
    #[must_use]
    pub fn root() -> RemotePath {
        RemotePath(b"/".to_vec())
    }

    /// `path` relative to the directory `self`; `path` itself if it is absolute. An empty path is the directory, as `.`
    /// is.
    ///
    /// # Errors
    /// If it contains a NUL, or the path or the result is too long.
    pub fn join(&self, path: &[u8]) -> Result<RemotePath, PathError> {
        if path.contains(&0) {
            return Err(PathError::Nul);
        }
        if path.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let base = if path.first() == Some(&b'/') { &b"/"[..] } else { &self.0 };
        let base = base.strip_suffix(b"/.").unwrap_or(base);
        let mut out = base.strip_suffix(b"/").unwrap_or(base).to_vec();
        // The part after the last name.
        let mut end: &[u8] = if path.is_empty() { b"/." } else { b"" };
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" if end.is_empty() => end = b"/",
                b"" => {}
                b"." => end = b"/.",
                name => {
                    out.push(b'/');
                    out.extend_from_slice(name);
                    end = b"";
                }
            }
        }
        // `..` is a directory without a slash, too.
        if !out.ends_with(b"/..") {
            out.extend_from_slice(end);
        }
        if out.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        Ok(RemotePath(out))
    }

    /// The whole path.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the path requires a directory: it ends in `/`, `.` or `..`.
    #[must_use]
    pub fn names_directory(&self) -> bool {
        self.0.ends_with(b"/") || matches!(self.last(), Some(b"." | b".."))
    }

    /// The components including `..`; none for the top.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The parent directory, and the last component, which may be `.` or `..`; `None` for the top. A final slash
    /// belongs to neither.
    #[must_use]
    pub fn split(&self) -> Option<(RemotePath, &[u8])> {
        let path = self.0.strip_suffix(b"/").unwrap_or(&self.0);
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        let parent = path.get(..slash.max(1))?;
        Some((RemotePath(parent.to_vec()), path.get(slash + 1..)?))
    }

    /// The last name, without a final slash; `None` for the top, and for a path that ends in `.` or `..`.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.last().filter(|name| !matches!(*name, b"." | b".."))
    }

    fn last(&self) -> Option<&[u8]> {
        self.0.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty())
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl fmt::Debug for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemotePath({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn path(path: &str) -> RemotePath {
        RemotePath::root().join(path.as_bytes()).unwrap()
    }

    #[test]
    fn components_that_the_kernel_resolves_are_kept() {
        for (base, relative, want) in [
            ("/", "", "/."),
            ("/", "/", "/"),
            ("/", "//", "/"),
            ("/", "..", "/.."),
            ("/", "../../..//../etc/passwd", "/../../../../etc/passwd"),
            ("/a/b", "", "/a/b/."),
            ("/a/b", ".", "/a/b/."),
            ("/a/b", "././", "/a/b/."),
            ("/a/b", "c", "/a/b/c"),
            ("/a/b/", "c", "/a/b/c"),
            ("/a/b/.", "c", "/a/b/c"),
            ("/a/b/..", "c", "/a/b/../c"),
            ("/a/b", "./c/", "/a/b/c/"),
            ("/a/b", "./c//", "/a/b/c/"),
            ("/a/b", "c/.", "/a/b/c/."),
            ("/a/b", "c/./", "/a/b/c/."),
            ("/a/b", "..", "/a/b/.."),
            ("/a/b", ".././", "/a/b/.."),
            ("/a/b", "none/../x", "/a/b/none/../x"),
            ("/a/b", "/x", "/x"),
            ("/a/b", "//x///./y//", "/x/y/"),
            ("/a/b", "...", "/a/b/..."),
            ("/a/b", "..c/.d.", "/a/b/..c/.d."),
            ("/a/b", "c../", "/a/b/c../"),
        ] {
            let joined = path(base).join(relative.as_bytes()).unwrap();
            assert_eq!(joined.as_bytes(), want.as_bytes(), "{relative} in {base}");
        }
    }

    #[test]
    fn a_trailing_slash_requires_a_directory() {
        for (spelled, name, directory) in [
            ("/", None, true),
            ("/.", None, true),
            ("/..", None, true),
            ("/a", Some(&b"a"[..]), false),
            ("/a/", Some(b"a"), true),
            ("/a/.", None, true),
            ("/a/../b", Some(b"b"), false),
            ("/a/..b", Some(b"..b"), false),
        ] {
            let path = path(spelled);
            assert_eq!((path.file_name(), path.names_directory()), (name, directory), "{spelled}");
            let inside = path.join(b".").unwrap();
            assert!(inside.names_directory() && inside.join(b"x") == path.join(b"x"), "{spelled}");
        }
    }

    #[test]
    fn nul_bytes_and_excessive_lengths_are_refused() {
        let root = RemotePath::root();
        assert_eq!(root.join(b"a\0b"), Err(PathError::Nul));
        assert_eq!(root.join(&vec![b'a'; MAX_PATH + 1]), Err(PathError::TooLong));
        let long = root.join(&vec![b'a'; MAX_PATH - 1]).unwrap();
        assert_eq!(long.join(b"b"), Err(PathError::TooLong));
        assert_eq!(long.join(b".."), Err(PathError::TooLong));
    }

    #[test]
    fn names_are_bytes() {
        let path = RemotePath::root().join(b"d/\xff\xfe").unwrap();
        assert_eq!(path.file_name(), Some(&b"\xff\xfe"[..]));
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.as_bytes(), name), (&b"/d"[..], &b"\xff\xfe"[..]));
        assert_eq!(parent.split().unwrap().0, RemotePath::root());
        assert_eq!(RemotePath::root().split(), None);
    }
}
