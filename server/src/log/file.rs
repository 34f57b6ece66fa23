//! A log that is begun anew when it has become long.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file of lines. `NAME` is written to; `NAME.1` is what was written before, `NAME.2` what was before
/// that. If somebody else has moved it away, as logrotate does, another one is begun.
pub(super) struct LogFile {
    path: PathBuf,
    most: u64,
    keep: usize,
    file: File,
    length: u64,
}

impl LogFile {
    /// Opens a log that is begun anew before it becomes longer than `most` bytes, and keeps so many old ones.
    pub(super) fn open(path: &Path, most: u64, keep: usize) -> io::Result<LogFile> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = append(path)?;
        let length = file.metadata()?.len();
        Ok(LogFile { path: path.to_owned(), most, keep, file, length })
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    fn is_moved(&self) -> bool {
        let (Ok(ours), Ok(there)) = (self.file.metadata(), fs::metadata(&self.path)) else { return true };
        (ours.dev(), ours.ino()) != (there.dev(), there.ino())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            match fs::rename(self.old(number), self.old(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.old(1))?;
        self.begin_anew()
    }

    fn old(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for LogFile {
    /// Takes whole lines, each in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        // A log that cannot be begun anew goes on: no line is lost for it.
        if self.is_moved() {
            drop(self.begin_anew());
        } else if self.length > 0 && self.length + length > self.most {
            drop(self.rotate());
        }
        self.file.write_all(line)?;
        self.length += length;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_begun_anew_by_size_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log/a.jsonl");
        let mut log = LogFile::open(&path, 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "a long line\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "a long line\n");
        assert_eq!(read(&log.old(1)), "four\nfive\n");
        assert_eq!(read(&log.old(2)), "three\n");
        assert!(!log.old(3).exists());
        // It goes on where it was.
        let mut log = LogFile::open(&path, 100, 2).unwrap();
        log.write_all(b"six\n").unwrap();
        assert_eq!(read(&path), "a long line\nsix\n");
    }

    #[test]
    fn one_that_was_moved_away_or_removed_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
        let mut log = LogFile::open(&path, 1000, 2).unwrap();
        log.write_all(b"one\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(
            (fs::read(&moved).unwrap(), fs::read(&path).unwrap()),
            (b"one\n".to_vec(), b"two\n".to_vec())
        );
        fs::remove_file(&path).unwrap();
        log.write_all(b"three\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three\n");
    }
}
