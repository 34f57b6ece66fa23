//! Options of commands.

use super::value;
use crate::transfer::Jobs;
use std::fmt::Write;

/// An option of a command.
#[derive(Debug)]
pub struct Flag {
    /// The letter behind the dash; a control character where there is none.
    pub short: char,
    /// Another letter for it, as in sftp.
    pub also: Option<char>,
    /// The word behind two dashes; empty where there is none.
    pub long: &'static str,
    /// What has to follow it, if something has to.
    pub value: Option<Value>,
    /// What it does, in a line.
    pub help: &'static str,
}

/// What follows an option: `-j N`, `-jN`, `--jobs N` or `--jobs=N`.
#[derive(Debug)]
pub struct Value {
    /// What help calls it.
    pub name: &'static str,
    /// Says what is wrong with a text that is none.
    pub check: fn(&str) -> Result<(), String>,
}

/// Stands for an option that has no letter.
pub const VERIFY: char = '\u{1}';

/// Stands for another one.
pub const PARTIAL: char = '\u{2}';

/// Stands for the length that a stream must have.
pub const SIZE: char = '\u{5}';

/// Stands for the digest that a stream must have.
pub const B3: char = '\u{6}';

/// How many connections a transfer has.
pub const JOBS: char = 'j';

/// The same, as an option.
pub(super) const JOBS_FLAG: Flag = Flag {
    short: JOBS,
    also: None,
    long: "jobs",
    value: Some(Value {
        name: "N",
        check: |text| text.parse::<Jobs>().map(drop).map_err(|error| error.to_string()),
    }),
    help: "number of parallel connections, or auto",
};

/// The length that a stream must have.
pub(super) const SIZE_FLAG: Flag = Flag {
    short: SIZE,
    also: None,
    long: "size",
    value: Some(Value { name: "BYTES", check: |text| value::size(text).map(drop) }),
    help: "required length of the input of put -",
};

/// The digest that a stream must have.
pub(super) const B3_FLAG: Flag = Flag {
    short: B3,
    also: None,
    long: "b3",
    value: Some(Value { name: "HEX", check: |text| value::digest(text).map(drop) }),
    help: "required BLAKE3 of the input of put -",
};

impl Flag {
    /// An option of one letter.
    pub(super) const fn new(short: char, help: &'static str) -> Flag {
        Flag { short, also: None, long: "", value: None, help }
    }

    /// The same, which may be another letter as well.
    pub(super) const fn or(self, also: char) -> Flag {
        Flag { also: Some(also), ..self }
    }

    /// The same, which may be a word as well.
    pub(super) const fn word(self, long: &'static str) -> Flag {
        Flag { long, ..self }
    }

    /// Whether it is written so behind one dash.
    pub(super) fn is_letter(&self, letter: char) -> bool {
        (self.short == letter || self.also == Some(letter)) && !letter.is_control()
    }

    /// Whether it is written so behind two dashes.
    pub(super) fn is_word(&self, word: &[u8]) -> bool {
        !self.long.is_empty() && self.long.as_bytes() == word
    }

    /// All ways to write it, and its value, for people.
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

/// Whether the last of the options in a word takes the word behind it.
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
    fn what_follows_an_option_is_its_value_unless_it_has_one() {
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
