//! Expands `~` to the local home directory.

use super::error::ShellError;
use super::words::Word;
use crate::names;
use std::path::PathBuf;

/// Replaces an unquoted `~` at the beginning of a path by the home directory.
pub(super) fn expand(word: &Word) -> Result<Word, ShellError> {
    match word.letters() {
        [(b'~', false)] | [(b'~', false), (b'/', _), ..] => {
            let home = Word::literal(&names::bytes(home_directory()?.as_os_str()));
            Ok(home.followed_by(word.letters().get(1..).unwrap_or_default()))
        }
        _ => Ok(word.clone()),
    }
}

pub(super) fn home_directory() -> Result<PathBuf, ShellError> {
    std::env::home_dir().ok_or_else(|| ShellError::Failed("there is no home directory: set HOME".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_unless_it_is_quoted() {
        let expanded = |line: &str| {
            let word = super::super::words::split(line.as_bytes()).unwrap().remove(0);
            expand(&word).unwrap().bytes()
        };
        let home = names::bytes(std::env::home_dir().unwrap().as_os_str());
        assert_eq!(expanded("~"), home);
        assert_eq!(expanded("~/x"), [home.as_slice(), b"/x"].concat());
        assert_eq!(expanded("'~'/x"), b"~/x");
        assert_eq!(expanded("~x"), b"~x");
    }
}
