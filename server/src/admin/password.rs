//! Prompts for a new password. It is never an argument, which other processes could see.

use super::AdminError;
use crate::accounts::{MIN_PASSWORD_CHARS, Password};
use std::io::{self, Read};
use zeroize::Zeroizing;

/// The longest input for a password, in bytes.
const MAX_INPUT: u64 = 4096;

/// Asks for a new password on the terminal, twice.
///
/// # Errors
/// If there is no terminal, the two differ, or the password is too short.
pub fn ask_password(user: &str) -> Result<Password, AdminError> {
    ask(user, rpassword::prompt_password)
}

/// Reads a new password, which must be the only line of the input.
///
/// # Errors
/// If there is more than one line, it is not UTF-8, or the password is too short.
pub fn read_password(input: impl Read) -> Result<Password, AdminError> {
    // Allocate once: a growing text leaves copies in memory.
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX_INPUT as usize));
    let read = input.take(MAX_INPUT + 1).read_to_string(&mut text);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if read.is_err() || text.len() as u64 > MAX_INPUT || line.contains(['\n', '\r', '\0']) {
        return Err(AdminError::PasswordInput);
    }
    accept(Password::new(line))
}

fn ask(user: &str, mut prompt: impl FnMut(String) -> io::Result<String>) -> Result<Password, AdminError> {
    let mut answer = |text: String| prompt(text).map(Password::new).map_err(AdminError::NoPrompt);
    let password = accept(answer(format!("New password for {user}: "))?)?;
    let again = answer("Repeat the password: ".to_owned())?;
    if password.same_as(&again) { Ok(password) } else { Err(AdminError::PasswordsDiffer) }
}

fn accept(password: Password) -> Result<Password, AdminError> {
    if password.length() < MIN_PASSWORD_CHARS { Err(AdminError::ShortPassword) } else { Ok(password) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<(), String> {
        read_password(input).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_line_of_input_is_a_password() {
        for input in ["eight ch", "eight ch\n", "eight ch\r\n", "pässwört"] {
            let password = read_password(input.as_bytes()).unwrap();
            assert!(password.same_as(&Password::new(input.trim_end())), "{input:?}");
        }
    }

    #[test]
    fn other_input_is_refused() {
        let input = Err("standard input must be one line of text, the password".into());
        assert_eq!(read(b"one line\nand another\n"), input);
        assert_eq!(read(b"not UTF-8 \xff\xfe"), input);
        assert_eq!(read(&[b'x'; 5000]), input);
        let short = Err("the password is too short: use at least 8 characters".into());
        assert_eq!(read(b""), short);
        assert_eq!(read("sieben\u{e4}\n".as_bytes()), short);
    }

    #[test]
    fn a_password_is_asked_for_twice() {
        let typed = |lines: [&'static str; 2]| {
            let mut lines = lines.into_iter();
            ask("alex", move |_| lines.next().map(str::to_owned).ok_or(io::ErrorKind::UnexpectedEof.into()))
        };
        assert!(typed(["long enough", "long enough"]).is_ok());
        assert!(matches!(typed(["long enough", "long enouhg"]), Err(AdminError::PasswordsDiffer)));
        assert!(matches!(typed(["short", "short"]), Err(AdminError::ShortPassword)));
    }

    #[test]
    fn without_a_terminal_the_remedy_is_printed() {
        let error = ask("alex", |_| Err(io::ErrorKind::NotFound.into())).unwrap_err().to_string();
        assert!(error.ends_with("without a terminal, use --password-stdin"), "{error}");
    }
}
