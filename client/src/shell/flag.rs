//! Options of commands.

use super::value;
use crate::transfer::{Delta, FilterRules, Jobs};
use std::fmt::Write;

/// An option of a command.
#[derive(Debug)]
pub struct Flag {
    /// The letter after the dash; a control character if there is none.
    pub short: char,
    /// A second letter, as in sftp.
    pub also: Option<char>,
    /// The word after two dashes; empty if there is none.
    pub long: &'static str,
    /// Its value, if it takes one.
    pub value: Option<FlagValue>,
    /// Its description, in one line.
    pub help: &'static str,
}

/// The value of an option: `-j N`, `-jN`, `--jobs N` or `--jobs=N`.
#[derive(Debug)]
pub struct FlagValue {
    /// Its name in help.
    pub name: &'static str,
    /// Checks a value. The error says what is wrong.
    pub check: fn(&str) -> Result<(), String>,
}

/// The placeholder of `--verify`, which has no letter.
pub const VERIFY_LETTER: char = '\u{1}';

/// The placeholder of `--partial`.
pub const PARTIAL_LETTER: char = '\u{2}';

/// The placeholder of `--size`, the expected length of a stream.
pub const SIZE_LETTER: char = '\u{5}';

/// The placeholder of `--b3`, the expected digest of a stream.
pub const B3_LETTER: char = '\u{6}';

/// The placeholder of `--delete`.
pub(super) const DELETE_LETTER: char = '\u{e}';

/// The placeholder of `--delete-excluded`.
pub(super) const DELETE_EXCLUDED_LETTER: char = '\u{f}';

/// The placeholder of `--max-delete`.
pub(super) const MAX_DELETE_LETTER: char = '\u{10}';

/// The placeholder of `--exclude`.
pub(super) const EXCLUDE_LETTER: char = '\u{11}';

/// The placeholder of `--include`.
pub(super) const INCLUDE_LETTER: char = '\u{12}';

/// The placeholder of `--exclude-from`.
pub(super) const EXCLUDE_FROM_LETTER: char = '\u{13}';

/// The placeholder of `--min-size`.
pub(super) const MIN_SIZE_LETTER: char = '\u{14}';

/// The placeholder of `--max-size`.
pub(super) const MAX_SIZE_LETTER: char = '\u{15}';

/// The placeholder of `--existing`.
pub(super) const EXISTING_LETTER: char = '\u{16}';

/// The placeholder of `--ignore-existing`.
pub(super) const IGNORE_EXISTING_LETTER: char = '\u{17}';

/// The placeholder of `--delta`.
pub(super) const DELTA_LETTER: char = '\u{18}';

/// The number of connections of a transfer.
pub const JOBS_LETTER: char = 'j';

/// The number of connections, as an option.
pub(super) const JOBS_FLAG: Flag = Flag {
    short: JOBS_LETTER,
    also: None,
    long: "jobs",
    value: Some(FlagValue {
        name: "N",
        check: |text| text.parse::<Jobs>().map(drop).map_err(|error| error.to_string()),
    }),
    help: "number of parallel connections, or auto",
};

/// The same for the difference to an old version.
pub(super) const DELTA_FLAG: Flag = Flag {
    short: DELTA_LETTER,
    also: None,
    long: "delta",
    value: Some(FlagValue {
        name: "WHEN",
        check: |text| text.parse::<Delta>().map(drop).map_err(|error| error.to_string()),
    }),
    help: "send only what differs from an old version: auto (not on this machine), always, never",
};

/// The expected length of a stream.
pub(super) const SIZE_FLAG: Flag = Flag {
    short: SIZE_LETTER,
    also: None,
    long: "size",
    value: Some(FlagValue { name: "BYTES", check: |text| value::size(text).map(drop) }),
    help: "required length of the input of put -",
};

/// The expected digest of a stream.
pub(super) const B3_FLAG: Flag = Flag {
    short: B3_LETTER,
    also: None,
    long: "b3",
    value: Some(FlagValue { name: "HEX", check: |text| value::digest(text).map(drop) }),
    help: "required BLAKE3 of the input of put -",
};

/// The placeholder of `--fast`.
pub(super) const FAST_LETTER: char = '\u{19}';

/// The placeholder of `--all`.
pub(super) const ALL_LETTER: char = '\u{1c}';

/// The option that transfers what the other side has already.
pub(super) const ALL_FLAG: Flag =
    Flag::new(ALL_LETTER, "transfer files with the same content, too").word("all");

/// The placeholder of `--backup-dir`.
pub(super) const BACKUP_DIR_LETTER: char = '\u{1d}';

/// The placeholder of `--name`.
pub(super) const NAME_LETTER: char = '\u{3}';

/// The placeholder of `--type`.
pub(super) const TYPE_LETTER: char = '\u{4}';

/// The placeholder of `--max-depth`.
pub(super) const MAX_DEPTH_LETTER: char = '\u{7}';

/// The option of `find` for paths that end with a NUL.
pub(super) const NUL_LETTER: char = '0';

/// The placeholder of `--watch`.
pub(super) const WATCH_LETTER: char = '\u{1e}';

const EXCLUDE_FLAG: Flag = Flag::with_value(
    EXCLUDE_LETTER,
    "exclude",
    "PATTERN",
    pattern,
    "leave out names that match, as in .gitignore",
);

const INCLUDE_FLAG: Flag = Flag::with_value(
    INCLUDE_LETTER,
    "include",
    "PATTERN",
    pattern,
    "but not these; the last option that matches decides",
);

const EXCLUDE_FROM_FLAG: Flag = Flag::with_value(
    EXCLUDE_FROM_LETTER,
    "exclude-from",
    "FILE",
    |_| Ok(()),
    "the same for the patterns in a file",
);

const MIN_SIZE_FLAG: Flag = Flag::with_value(
    MIN_SIZE_LETTER,
    "min-size",
    "SIZE",
    |text| value::scaled_size(text).map(drop),
    "leave out smaller files",
);

const MAX_SIZE_FLAG: Flag = Flag::with_value(
    MAX_SIZE_LETTER,
    "max-size",
    "SIZE",
    |text| value::scaled_size(text).map(drop),
    "leave out larger files",
);

/// The options of `check`.
pub(super) const CHECK_FLAGS: &[Flag] = &[
    Flag::new(FAST_LETTER, "trust size and time, and read no file").word("fast"),
    Flag::new('c', "with --fast: trust the server's stored digests instead of times").word("checksum"),
    EXCLUDE_FLAG,
    INCLUDE_FLAG,
    EXCLUDE_FROM_FLAG,
    MIN_SIZE_FLAG,
    MAX_SIZE_FLAG,
];

/// The options that `push` and `pull` share, and these.
macro_rules! sync_flags {
    ($($own:expr)?) => { &[
    Flag::new('n', "show what would be changed, and change nothing").word("dry-run"),
    Flag::new('i', "list each change: create, update or delete").word("itemize"),
    Flag::new('c', "compare digests of files of the same size, not their times").word("checksum"),
    Flag::new('u', "keep files that are newer at the destination").word("update"),
    JOBS_FLAG,
    DELTA_FLAG,
    Flag::new(DELETE_LETTER, "delete what exists only at the destination").word("delete"),
    Flag::new(DELETE_EXCLUDED_LETTER, "the same, and excluded names as well").word("delete-excluded"),
    Flag::with_value(
        MAX_DELETE_LETTER,
        "max-delete",
        "N",
        |text| value::count(text).map(drop),
        "with --delete: delete nothing if it would be more than N entries",
    ),
    Flag::with_value(
        BACKUP_DIR_LETTER,
        "backup-dir",
        "DIR",
        not_empty,
        "keep what is replaced or deleted in DIR at the destination",
    ),
    EXCLUDE_FLAG,
    INCLUDE_FLAG,
    EXCLUDE_FROM_FLAG,
    MIN_SIZE_FLAG,
    MAX_SIZE_FLAG,
    Flag::new(EXISTING_LETTER, "transfer only files that exist at the destination").word("existing"),
    Flag::new(IGNORE_EXISTING_LETTER, "transfer only files that do not exist there").word("ignore-existing"),
    $($own,)?
    ] };
}

/// The options of `pull`.
pub(super) const PULL_FLAGS: &[Flag] = sync_flags!();

/// The options of `push`.
pub(super) const PUSH_FLAGS: &[Flag] =
    sync_flags!(Flag::new(WATCH_LETTER, "keep running, and send changes").word("watch"));

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("wants a path".to_owned()) } else { Ok(()) }
}

fn pattern(text: &str) -> Result<(), String> {
    let mut rules = FilterRules::default();
    rules.exclude(text);
    rules.build().map(drop).map_err(|error| format!("wants a valid pattern ({error})"))
}

impl Flag {
    /// An option of one word with a value.
    pub(super) const fn with_value(
        short: char,
        long: &'static str,
        name: &'static str,
        check: fn(&str) -> Result<(), String>,
        help: &'static str,
    ) -> Flag {
        Flag { short, also: None, long, value: Some(FlagValue { name, check }), help }
    }

    /// An option of one letter.
    pub(super) const fn new(short: char, help: &'static str) -> Flag {
        Flag { short, also: None, long: "", value: None, help }
    }

    /// This option, with a second letter.
    pub(super) const fn or(self, also: char) -> Flag {
        Flag { also: Some(also), ..self }
    }

    /// This option, with a word.
    pub(super) const fn word(self, long: &'static str) -> Flag {
        Flag { long, ..self }
    }

    /// Whether this letter after a dash is this option.
    pub(super) fn is_letter(&self, letter: char) -> bool {
        (self.short == letter || self.also == Some(letter)) && !letter.is_control()
    }

    /// Whether this word after two dashes is this option.
    pub(super) fn is_word(&self, word: &[u8]) -> bool {
        !self.long.is_empty() && self.long.as_bytes() == word
    }

    /// Its longest spelling, for messages.
    pub(super) fn name(&self) -> String {
        if self.long.is_empty() { format!("-{}", self.short) } else { format!("--{}", self.long) }
    }

    /// All spellings, and its value, for help.
    pub(super) fn spellings(&self) -> String {
        let letters = [Some(self.short), self.also].into_iter().flatten().filter(|c| !c.is_control());
        let mut names: Vec<String> = letters.map(|letter| format!("-{letter}")).collect();
        if !self.long.is_empty() {
            names.push(format!("--{}", self.long));
        }
        let mut out = names.join(", ");
        if let Some(value) = &self.value {
            // Writing into a String cannot fail.
            let _ = write!(out, " {}", value.name);
        }
        out
    }
}

/// Whether the last option in a word takes the next word as its value.
pub(super) fn takes_next(flags: &[Flag], word: &[u8]) -> bool {
    let takes = |flag: Option<&Flag>| flag.is_some_and(|flag| flag.value.is_some());
    let of_letter = |letter: u8| takes(flags.iter().find(|flag| flag.is_letter(char::from(letter))));
    match word {
        [b'-', b'-', long @ ..] => takes(flags.iter().find(|flag| flag.is_word(long))),
        [b'-', before @ .., last] => of_letter(*last) && !before.iter().any(|letter| of_letter(*letter)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_word_is_the_value_unless_one_is_attached() {
        let force = Flag::new('f', "").word("force");
        let flags = [JOBS_FLAG, force];
        for word in ["-j", "-fj", "--jobs"] {
            assert!(takes_next(&flags, word.as_bytes()), "{word}");
        }
        for word in ["-j3", "-jj", "-f", "-jf", "--jobs=3", "--force", "-", "j", ""] {
            assert!(!takes_next(&flags, word.as_bytes()), "{word}");
        }
    }
}
