//! Paths in a home.

use crate::display::Escaped;
use alloc::vec::Vec;
use core::fmt;

/// The longest path that is accepted, in bytes: Linux's own limit, less the NUL.
pub const MAX_PATH: usize = 4095;

/// An absolute path in a home, normal in form: it begins with `/`, has no empty component, no `.`,
/// no `..`, no NUL and no slash at its end; the home's top is `/`. Names are bytes, not text.
///
/// `..` is taken away by the names alone, as a shell's `cd` does it, and at the top it stays there.
/// This type says where a path points *if no link is on the way*; what keeps a user inside the home
/// is the kernel's resolution below the home's directory handle, not this.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemotePath(Vec<u8>);

/// Why bytes are no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is a NUL in it.
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

    /// The path that `path` means in the directory `self`: itself if it is absolute.
    ///
    /// # Errors
    /// If there is a NUL in it, or the path or the result is too long.
    pub fn join(&self, path: &[u8]) -> Result<RemotePath, PathError> {
        if path.contains(&0) {
            return Err(PathError::Nul);
        }
        if path.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let mut out = if path.first() == Some(&b'/') { Vec::new() } else { self.0.clone() };
        if out == b"/" {
            out.clear();
        }
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => out.truncate(out.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
                name => {
                    out.push(b'/');
                    out.extend_from_slice(name);
                }
            }
        }
        if out.is_empty() {
            out.push(b'/');
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

    /// The path without the leading slash, for a call that takes a directory handle; `.` for the top.
    #[must_use]
    pub fn relative(&self) -> &[u8] {
        match self.0.get(1..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => b".",
        }
    }

    /// The names on the way, none for the top.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The directory that the path is in, and its name there; none for the top.
    #[must_use]
    pub fn split(&self) -> Option<(RemotePath, &[u8])> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        let name = self.0.get(slash + 1..).filter(|name| !name.is_empty())?;
        let parent = self.0.get(..slash.max(1))?;
        Some((RemotePath(parent.to_vec()), name))
    }

    /// The last name; none for the top.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().last()
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

    fn joined(base: &str, path: &str) -> Vec<u8> {
        RemotePath::root().join(base.as_bytes()).unwrap().join(path.as_bytes()).unwrap().0
    }

    #[test]
    fn dots_go_and_the_top_holds() {
        for (base, path, want) in [
            ("/", "", "/"),
            ("/", "..", "/"),
            ("/", "../../..//../etc/passwd", "/etc/passwd"),
            ("/a/b", "c", "/a/b/c"),
            ("/a/b", "./c/", "/a/b/c"),
            ("/a/b", "..", "/a"),
            ("/a/b", "../..", "/"),
            ("/a/b", "../../../x", "/x"),
            ("/a/b", "/x", "/x"),
            ("/a/b", "//x///y//", "/x/y"),
            ("/a/b", "...", "/a/b/..."),
            ("/a/b", "..c/.d", "/a/b/..c/.d"),
        ] {
            assert_eq!(joined(base, path), want.as_bytes(), "{path} in {base}");
        }
    }

    #[test]
    fn nul_and_length_are_refused() {
        let root = RemotePath::root();
        assert_eq!(root.join(b"a\0b"), Err(PathError::Nul));
        assert_eq!(root.join(&vec![b'a'; MAX_PATH + 1]), Err(PathError::TooLong));
        let long = root.join(&vec![b'a'; MAX_PATH - 1]).unwrap();
        assert_eq!(long.join(b"b"), Err(PathError::TooLong));
        assert_eq!(long.join(b"..").unwrap(), root);
    }

    #[test]
    fn names_are_bytes() {
        let path = RemotePath::root().join(b"d/\xff\xfe").unwrap();
        assert_eq!(path.file_name(), Some(&b"\xff\xfe"[..]));
        assert_eq!(path.relative(), b"d/\xff\xfe");
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.as_bytes(), name), (&b"/d"[..], &b"\xff\xfe"[..]));
        assert_eq!(parent.split().unwrap().0, RemotePath::root());
        assert_eq!(RemotePath::root().split(), None);
        assert_eq!(RemotePath::root().relative(), b".");
    }
}
