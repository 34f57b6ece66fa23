//! "Did you mean": the command or option that is most similar to a mistyped one.

use super::table::COMMANDS;

/// Names of commands in other programs, with ours.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("bookmarks", "bookmark"),
    ("del", "rm"),
    ("delete", "rm"),
    ("download", "get"),
    ("erase", "rm"),
    ("logout", "exit"),
    ("ll", "ls -l"),
    ("md", "mkdir"),
    ("more", "less"),
    ("move", "mv"),
    ("open", "bookmark"),
    ("rd", "rmdir"),
    ("type", "cat"),
    ("upload", "put"),
];

/// The command that was probably meant.
pub(super) fn command(typed: &[u8]) -> Option<&'static str> {
    let other = OTHER_NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(typed));
    let names = COMMANDS.iter().flat_map(|command| command.aliases.iter().copied().chain([command.name]));
    other.map(|(_, ours)| *ours).or_else(|| nearest(typed, names))
}

/// The name that needs the fewest changes; `None` if even that one is not similar.
pub(super) fn nearest(typed: &[u8], names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let typed = typed.to_ascii_lowercase();
    // A third of the letters may be wrong.
    let limit = typed.len().div_ceil(3);
    let rated = names.map(|name| (distance(&typed, name.as_bytes()), name));
    let (changes, name) = rated.min_by_key(|(changes, name)| (*changes, name.len().abs_diff(typed.len())))?;
    (changes <= limit && changes < name.len()).then_some(name)
}

/// The number of letters to insert, delete, replace or swap with the next (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut above = None;
    for (row, &letter) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        let mut left = None;
        for (column, &other) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&last, column + 1) + 1).min(at(&line, column) + 1);
            cost = cost.min(at(&last, column) + usize::from(letter != other));
            if above == Some(other) && left == Some(letter) {
                cost = cost.min(at(&before, column - 1) + 1);
            }
            line.push(cost);
            left = Some(other);
        }
        before = std::mem::replace(&mut last, line);
        above = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::command::CommandSpec;
    use super::*;

    #[test]
    fn slips_of_the_finger_are_corrected() {
        for (typed, meant) in [
            ("sl", "ls"),
            ("gte", "get"),
            ("exi", "exit"),
            ("mkdri", "mkdir"),
            ("PUTT", "put"),
            ("hlep", "help"),
            ("symlnk", "symlink"),
            ("delete", "rm"),
        ] {
            assert_eq!(command(typed.as_bytes()), Some(meant), "{typed}");
        }
        for typed in ["frobnicate", "", "x", "zzz", "\u{e4}\u{e4}"] {
            assert_eq!(command(typed.as_bytes()), None, "{typed}");
        }
    }

    #[test]
    fn suggestions_exist() {
        for (name, ours) in OTHER_NAMES {
            assert!(CommandSpec::find(name.as_bytes()).is_none(), "{name} is a command");
            let ours = ours.split(' ').next().unwrap();
            assert!(CommandSpec::find(ours.as_bytes()).is_some(), "{ours} is no command");
        }
    }

    #[test]
    fn a_swap_is_one_change() {
        for (a, b, changes) in
            [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("abc", "axc", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), changes, "{a} {b}");
        }
    }
}
