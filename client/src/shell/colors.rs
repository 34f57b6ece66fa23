//! The colours of names, as GNU ls has them: LS_COLORS, and NO_COLOR to turn them off.

use sshome_wire::{Entry, FileKind};
use std::collections::HashMap;

/// The colours of GNU ls without LS_COLORS, as far as the server tells types.
const DEFAULT_COLORS: &str = "di=01;34:ln=01;36:ex=01;32:su=37;41:sg=30;43:tw=30;42:ow=34;42:st=37;44";

/// Terminals without colours.
const COLORLESS_TERMINALS: [&str; 2] = ["", "dumb"];

/// The colour of each kind of name, as parameters of the escape sequence SGR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Colors {
    kinds: HashMap<String, String>,
    /// Endings of names in lower case; the last one that matches counts.
    endings: Vec<(String, String)>,
}

impl Colors {
    /// The colours that the environment asks for; `None` if it asks for none.
    #[must_use]
    pub fn current() -> Option<Colors> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        Colors::of(&variable("NO_COLOR"), &variable("TERM"), std::env::var("LS_COLORS").ok().as_deref())
    }

    pub(super) fn of(no_color: &str, term: &str, ls_colors: Option<&str>) -> Option<Colors> {
        if !no_color.is_empty() || COLORLESS_TERMINALS.contains(&term) {
            return None;
        }
        let mut colors = Colors::default();
        colors.read(DEFAULT_COLORS);
        colors.read(ls_colors.unwrap_or_default());
        Some(colors)
    }

    /// Reads `KIND=SGR:*.ENDING=SGR`. Everything else, such as control characters, is skipped.
    fn read(&mut self, text: &str) {
        for (name, code) in text.split(':').filter_map(|rule| rule.split_once('=')) {
            if !code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') {
                continue;
            }
            match name.strip_prefix('*') {
                Some(ending) => self.endings.push((ending.to_ascii_lowercase(), code.to_owned())),
                None => drop(self.kinds.insert(name.to_owned(), code.to_owned())),
            }
        }
    }

    /// A text in the colour of an entry.
    #[must_use]
    pub fn paint(&self, entry: &Entry, text: &str) -> String {
        match self.code(entry) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    fn code(&self, entry: &Entry) -> Option<&str> {
        let kind = |name: &str| {
            // As in ls, 0 means no colour.
            let code = self.kinds.get(name).map(String::as_str);
            code.filter(|code| !code.bytes().all(|byte| byte == b'0'))
        };
        let has = |bits: u32| entry.mode & bits == bits;
        let special = match entry.kind {
            FileKind::Directory if has(0o1002) => kind("tw"),
            FileKind::Directory if has(0o002) => kind("ow"),
            FileKind::Directory if has(0o1000) => kind("st"),
            FileKind::File if has(0o4000) => kind("su"),
            FileKind::File if has(0o2000) => kind("sg"),
            _ => None,
        };
        let plain = || match entry.kind {
            FileKind::Directory => kind("di"),
            FileKind::Symlink => kind("ln"),
            FileKind::File if entry.mode & 0o111 != 0 => kind("ex"),
            FileKind::File => self.ending(&entry.name).or_else(|| kind("fi")),
            FileKind::Special => None,
        };
        special.or_else(plain)
    }

    fn ending(&self, name: &[u8]) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        let matching = |(ending, _): &&(String, String)| name.ends_with(ending.as_bytes());
        self.endings.iter().rev().find(matching).map(|(_, code)| code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Time;

    fn entry(name: &str, kind: FileKind, mode: u32) -> Entry {
        let name = name.as_bytes().to_vec();
        Entry { name, kind, size: 0, mtime: Time::default(), mode, links: 1, target: Vec::new() }
    }

    #[test]
    fn each_kind_has_its_colour() {
        let text = "di=36:*.tar=31:*.gz=32:*.TAR.gz=33:fi=0:ln=target:ex=1;\x1b[2J:su=";
        let colors = Colors::of("", "xterm", Some(text)).unwrap();
        for (name, kind, mode, code) in [
            ("d", FileKind::Directory, 0o755, Some("36")),
            ("d", FileKind::Directory, 0o1777, Some("30;42")),
            ("d.tar", FileKind::Directory, 0o755, Some("36")),
            ("a.tar", FileKind::File, 0o644, Some("31")),
            ("A.TAR", FileKind::File, 0o644, Some("31")),
            ("a.tar.gz", FileKind::File, 0o644, Some("33")),
            ("a", FileKind::File, 0o644, None),
            // What is no colour in LS_COLORS does not reach the terminal.
            ("run.tar", FileKind::File, 0o755, Some("01;32")),
            ("l", FileKind::Symlink, 0o777, Some("01;36")),
        ] {
            assert_eq!(colors.code(&entry(name, kind, mode)), code, "{name} {mode:o}");
        }
        let directory = entry("d", FileKind::Directory, 0o755);
        assert_eq!(colors.paint(&directory, "d"), "\x1b[36md\x1b[0m");
    }

    #[test]
    fn the_environment_turns_colours_off() {
        assert_eq!(Colors::of("1", "xterm", Some("di=36")), None);
        assert_eq!(Colors::of("", "dumb", Some("di=36")), None);
        assert_eq!(Colors::of("", "", None), None);
        assert!(Colors::of("", "xterm", None).is_some());
    }
}
