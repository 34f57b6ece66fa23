//! Log rotation: a log file that is renamed when it reaches a size, with a number of old files.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A rotated log file: `NAME` is current, `NAME.1` is the previous one, and so on. If the file was moved away, as
/// logrotate does, a new one is created.
pub(super) struct LogFile {
    path: PathBuf,
    most: u64,
    keep: usize,
    file: File,
    length: u64,
    /// Whether it ends within a line.
    torn: bool,
}

impl LogFile {
    /// Opens a log that is rotated before it exceeds `most` bytes, with `keep` rotated files.
    pub(super) fn open(path: &Path, most: u64, keep: usize) -> io::Result<LogFile> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = append(path)?;
        let length = file.metadata()?.len();
        let torn = ends_within_a_line(path, length);
        Ok(LogFile { path: path.to_owned(), most, keep, file, length, torn })
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        self.length = self.file.metadata()?.len();
        self.torn = ends_within_a_line(&self.path, self.length);
        Ok(())
    }

    /// Writes a line completely or not at all: a partial line on a full disk is removed.
    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.length += 1;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(line) {
            if self.file.set_len(self.length).is_err() {
                self.torn = true;
                self.length = self.file.metadata().map_or(self.length, |metadata| metadata.len());
            }
            return Err(error);
        }
        self.length += line.len() as u64;
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
    /// Writes one complete line. After an error, the file contains nothing of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        // If either fails, the current file is used further, so that no line is lost.
        if self.is_moved() {
            let _ = self.begin_anew();
        } else if self.length > 0 && self.length + length > self.most {
            let _ = self.rotate();
        }
        self.append_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the last line of a file is incomplete, because the server was killed or the machine crashed. `false` if the
/// file cannot be read.
fn ends_within_a_line(path: &Path, length: u64) -> bool {
    let mut last = [b'\n'];
    if let (Ok(file), Some(at)) = (File::open(path), length.checked_sub(1)) {
        let _ = file.read_at(&mut last, at);
    }
    last != [b'\n']
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_rotated_by_size_and_old_files_are_removed() {
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
        // A reopened log is continued at its end.
        let mut log = LogFile::open(&path, 100, 2).unwrap();
        log.write_all(b"six\n").unwrap();
        assert_eq!(read(&path), "a long line\nsix\n");
    }

    #[test]
    fn an_unterminated_line_is_separated_from_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one\ntw").unwrap();
        let mut log = LogFile::open(&path, 1000, 2).unwrap();
        log.write_all(b"three\n").unwrap();
        log.write_all(b"four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\nfour\n");
        assert_eq!(log.length, fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_partly_written_line_is_removed() {
        // The limit of a file's length applies to a process, so a child process writes.
        const LIMIT: &str = "SSHOMED_TEST_LOG";
        if let Some(path) = std::env::var_os(LIMIT) {
            let mut log = LogFile::open(Path::new(&path), 1 << 20, 2).unwrap();
            log.write_all(b"whole\n").unwrap();
            assert!(log.write_all(&[b'x'; 2000]).is_err());
            log.write_all(b"whole\n").unwrap();
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let test = "log::file::tests::a_partly_written_line_is_removed";
        let script = "trap '' XFSZ; exec prlimit --fsize=1024 \"$0\" --exact \"$1\"";
        let status = std::process::Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env(LIMIT, &path)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nwhole\n");
    }

    #[test]
    fn a_moved_or_removed_file_is_recreated() {
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
