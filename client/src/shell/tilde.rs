//! Expands `~`: locally to the home directory, on the server to the top of the home.

use super::error::ShellError;
use super::words::Word;
use crate::names;
use std::path::PathBuf;

/// Replaces an unquoted `~` at the beginning of a local path by the home directory.
pub(super) fn expand(word: &Word) -> Result<Word, ShellError> {
    if !is_home(word) {
        return Ok(word.clone());
    }
    let home = Word::literal(&names::bytes(home_directory()?.as_os_str()));
    Ok(home.followed_by(word.letters().get(1..).unwrap_or_default()))
}

/// Replaces an unquoted `~` at the beginning of a path on the server by the top of the home.
pub(super) fn expand_remote(word: &Word) -> Word {
    match word.letters() {
        letters if !is_home(word) => Word::default().followed_by(letters),
        [_] => Word::literal(b"/"),
        letters => Word::default().followed_by(letters.get(1..).unwrap_or_default()),
    }
}

fn is_home(word: &Word) -> bool {
    matches!(word.letters(), [(b'~', false)] | [(b'~', false), (b'/', _), ..])
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

    #[test]
    fn on_the_server_it_is_the_top_of_the_home() {
        for (line, path) in
            [("~", "/"), ("~/x", "/x"), ("'~'", "~"), ("~x", "~x"), ("a/~", "a/~"), ("~/", "/")]
        {
            let word = super::super::words::split(line.as_bytes()).unwrap().remove(0);
            assert_eq!(expand_remote(&word).bytes(), path.as_bytes(), "{line}");
        }
    }
}
