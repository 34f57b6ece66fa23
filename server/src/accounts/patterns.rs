//! Patterns of names and paths in the settings.

use sshome_ssh::Glob;
use sshome_wire::RemotePath;

/// The temporary names of restic and rclone.
const TEMPORARY_NAMES: [&str; 2] = ["*-restic-temp-*", "*.partial"];

/// A pattern of a path from `/` on: names between slashes, each with `*`, `?` and `[a-z]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Vec<Glob>);

/// A pattern of a name, with `*`, `?` and `[a-z]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Glob);

impl PathPattern {
    /// Reads a pattern. A slash before it changes nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<PathPattern> {
        let names = text.strip_prefix('/').unwrap_or(text).split('/');
        names.map(glob).collect::<Option<_>>().map(PathPattern)
    }

    /// Whether it matches the whole of a canonical path.
    #[must_use]
    pub fn matches(&self, path: &RemotePath) -> bool {
        let mut names = path.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        let all = self.0.iter().all(|glob| names.next().is_some_and(|name| glob.matches(name)));
        all && names.next().is_none()
    }
}

impl NamePattern {
    /// Reads a pattern.
    #[must_use]
    pub fn parse(text: &str) -> Option<NamePattern> {
        if text.contains('/') { None } else { glob(text).map(NamePattern) }
    }

    /// Whether it matches a whole name.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.matches(name)
    }

    /// The temporary names of well-known programs.
    #[must_use]
    pub fn of_temporary_names() -> Vec<NamePattern> {
        TEMPORARY_NAMES.iter().filter_map(|text| NamePattern::parse(text)).collect()
    }
}

/// The glob of one name; `None` if no name could match.
fn glob(text: &str) -> Option<Glob> {
    let letters: Vec<(u8, bool)> = text.bytes().map(|byte| (byte, false)).collect();
    (!matches!(text, "" | "." | "..")).then(|| Glob::shell(&letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_paths() {
        for (pattern, path, want) in [
            ("locks/*", "/locks/a", true),
            ("/locks/*", "/locks/a", true),
            ("locks/*", "/locks", false),
            ("locks/*", "/locks/a/b", false),
            ("locks/*", "/data/locks/a", false),
            ("*/locks/[ab]?", "/laptop/locks/ax", true),
            ("*/locks/[ab]?", "/laptop/locks/cx", false),
            ("*", "/", false),
        ] {
            let path = RemotePath::root().join(path.as_bytes()).unwrap();
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(&path), want, "{pattern} {path}");
        }
        for pattern in ["", "/", "a//b", "a/", "../a", "a/./b"] {
            assert_eq!(PathPattern::parse(pattern), None, "{pattern}");
        }
        assert_eq!(NamePattern::parse("a/b"), None);
        let names = NamePattern::of_temporary_names();
        let is_temporary = |name: &[u8]| names.iter().any(|pattern| pattern.matches(name));
        assert!(is_temporary(b"x-restic-temp-123") && is_temporary(b"f.abc.partial") && !is_temporary(b"f"));
    }
}
