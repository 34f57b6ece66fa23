//! Reads files of the administrator. A pipe would block the reader for ever, and a device might never end.

use nix::libc::O_NONBLOCK;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The longest settings or key file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Opens a regular file to read it.
///
/// # Errors
/// If it cannot be opened or is not a regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// Reads a regular file of at most [`MAX_BYTES`].
///
/// # Errors
/// If it cannot be read, is not a regular file, or is too long.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_BYTES {
        let text = format!("it is longer than {} MiB", MAX_BYTES >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_regular_files_of_a_bounded_length_are_read() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        assert_eq!(read(&path("file")).unwrap(), b"text");
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        for (other, kind) in [
            (path("pipe"), ErrorKind::InvalidInput),
            ("/dev/zero".into(), ErrorKind::InvalidInput),
            (place.path().to_owned(), ErrorKind::IsADirectory),
            (path("missing"), ErrorKind::NotFound),
        ] {
            assert_eq!(read(&other).unwrap_err().kind(), kind, "{}", other.display());
        }
        let sparse = File::create(path("sparse")).unwrap();
        sparse.set_len(MAX_BYTES).unwrap();
        assert_eq!(read(&path("sparse")).unwrap().len() as u64, MAX_BYTES);
        sparse.set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(read(&path("sparse")).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
