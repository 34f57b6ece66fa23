//! Names that a filesystem may take for the same, because it ignores case or normalises text.

use std::collections::BTreeMap;

/// Groups of names that may be the same somewhere, each in its order. Names that are like no other are left out.
pub(super) fn alike<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<&'a [u8]>> {
    let mut groups: BTreeMap<Vec<u8>, Vec<&[u8]>> = BTreeMap::new();
    for name in names {
        groups.entry(key(name)).or_default().push(name);
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// What names that may be the same have in common: the ASCII letters before the first other one, without case. The last of
/// them is left out, because an accent may follow it.
fn key(name: &[u8]) -> Vec<u8> {
    let ascii = name.iter().position(|byte| !byte.is_ascii());
    let length = ascii.map_or(name.len(), |first| first.saturating_sub(1));
    let mut key = name.get(..length).unwrap_or_default().to_ascii_lowercase();
    // No name in ASCII is like one that is not.
    key.extend(ascii.map(|_| 0));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_without_case_and_accents() {
        let names =
            ["Makefile", "b", "e\u{301}t\u{e9}", "makefile", "\u{e9}te\u{301}", "makefiles", "MAKEFILE"];
        let groups = alike(names.iter().map(|name| name.as_bytes()));
        let text = |name: &&[u8]| std::str::from_utf8(name).unwrap().to_owned();
        let groups: Vec<Vec<String>> = groups.iter().map(|group| group.iter().map(text).collect()).collect();
        assert_eq!(
            groups,
            [vec!["e\u{301}t\u{e9}", "\u{e9}te\u{301}"], vec!["Makefile", "makefile", "MAKEFILE"],]
        );
    }
}
