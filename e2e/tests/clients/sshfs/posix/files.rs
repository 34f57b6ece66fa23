//! The content of files, and their attributes.

use super::Check;
use rustix::fs::{CWD, FallocateFlags, FileType, Mode, fallocate, mknodat};
use sshome_e2e::tree::{mode, noise, set_mode};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, chown};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// A file with some content, open for reading and writing.
fn opened(top: &Path, content: &[u8]) -> std::io::Result<File> {
    fs::write(top.join("f"), content)?;
    File::options().read(true).write(true).open(top.join("f"))
}

/// The file's content, readable.
fn shown(top: &Path) -> std::io::Result<String> {
    Ok(fs::read(top.join("f"))?.escape_ascii().to_string())
}

/// The modes of a folder and a file, after both were set to `wanted`.
fn modes(top: &Path, wanted: u32) -> std::io::Result<String> {
    fs::write(top.join("f"), "")?;
    fs::create_dir(top.join("d"))?;
    set_mode(top.join("f"), wanted).unwrap();
    set_mode(top.join("d"), wanted).unwrap();
    Ok(format!("{:o} {:o}", mode(top.join("f")).unwrap(), mode(top.join("d")).unwrap()))
}

pub(super) const CHECKS: [Check; 39] = [
    ("truncate to less", |top| {
        opened(top, b"content")?.set_len(3)?;
        shown(top)
    }),
    ("truncate to more", |top| {
        opened(top, b"abc")?.set_len(5)?;
        shown(top)
    }),
    ("truncate to less, and write behind it", |top| {
        let file = opened(top, b"content")?;
        file.set_len(2)?;
        file.write_all_at(b"x", 4)?;
        file.sync_all()?;
        shown(top)
    }),
    ("truncate to more, and read", |top| {
        let mut file = opened(top, b"abc")?;
        file.set_len(5)?;
        let mut read = Vec::new();
        file.read_to_end(&mut read)?;
        Ok(read.escape_ascii().to_string())
    }),
    ("truncate one handle, read by another", |top| {
        let file = opened(top, b"content")?;
        let mut other = File::open(top.join("f"))?;
        file.set_len(3)?;
        let mut read = String::new();
        other.read_to_string(&mut read)?;
        Ok(read)
    }),
    ("truncate what is open for reading only", |top| {
        drop(opened(top, b"content")?);
        File::open(top.join("f"))?.set_len(3)?;
        shown(top)
    }),
    ("truncate to 100 MiB, all of it a hole", |top| {
        let file = opened(top, b"abc")?;
        file.set_len(100 << 20)?;
        let mut last = [1; 4];
        file.read_exact_at(&mut last, (100 << 20) - 4)?;
        let length = file.metadata()?.len();
        file.set_len(0)?;
        Ok(format!("{length} {last:?}"))
    }),
    ("open with O_TRUNC", |top| {
        drop(opened(top, b"content")?);
        File::options().write(true).truncate(true).open(top.join("f"))?.write_all(b"new")?;
        shown(top)
    }),
    ("open with O_EXCL what is there", |top| {
        drop(opened(top, b"content")?);
        File::options().write(true).create_new(true).open(top.join("f"))?;
        shown(top)
    }),
    ("open with O_CREAT what is there", |top| {
        drop(opened(top, b"content")?);
        File::options().write(true).create(true).truncate(false).open(top.join("f"))?.write_all(b"X")?;
        shown(top)
    }),
    ("open a folder to be written", |top| {
        fs::create_dir(top.join("d"))?;
        File::options().write(true).open(top.join("d"))?;
        Ok("done".to_owned())
    }),
    ("open with a mode", |top| {
        File::options().write(true).create_new(true).mode(0o640).open(top.join("f"))?;
        Ok(format!("{:o}", mode(top.join("f")).unwrap()))
    }),
    ("open to be read only, with a mode that forbids to write", |top| {
        let mut file = File::options().write(true).create_new(true).mode(0o400).open(top.join("f"))?;
        file.write_all(b"written all the same")?;
        drop(file);
        shown(top)
    }),
    ("append", |top| {
        drop(opened(top, b"one ")?);
        let mut file = File::options().append(true).open(top.join("f"))?;
        file.write_all(b"two ")?;
        file.write_all(b"three")?;
        drop(file);
        shown(top)
    }),
    ("append with two handles in turn", |top| {
        drop(opened(top, b"")?);
        let mut files = [(); 2].map(|()| File::options().append(true).open(top.join("f")).unwrap());
        for number in 0..6 {
            files[number % 2].write_all(number.to_string().as_bytes())?;
            files[number % 2].sync_all()?;
        }
        drop(files);
        shown(top)
    }),
    ("append after somebody cut it off", |top| {
        let other = opened(top, b"content")?;
        let mut file = File::options().append(true).open(top.join("f"))?;
        other.set_len(2)?;
        file.write_all(b"!")?;
        drop(file);
        shown(top)
    }),
    ("append and read what was appended", |top| {
        drop(opened(top, b"one ")?);
        let mut file = File::options().read(true).append(true).open(top.join("f"))?;
        file.write_all(b"two")?;
        file.seek(SeekFrom::Start(0))?;
        let mut read = String::new();
        file.read_to_string(&mut read)?;
        Ok(read)
    }),
    ("append, wherever one has sought to", |top| {
        drop(opened(top, b"content")?);
        let mut file = File::options().append(true).open(top.join("f"))?;
        file.seek(SeekFrom::Start(1))?;
        file.write_all(b"!")?;
        drop(file);
        shown(top)
    }),
    ("write far behind the end", |top| {
        let file = opened(top, b"ab")?;
        file.write_all_at(b"c", 5)?;
        drop(file);
        shown(top)
    }),
    ("read behind the end", |top| {
        let file = opened(top, b"ab")?;
        Ok(file.read_at(&mut [0; 4], 10)?.to_string())
    }),
    ("read across the end", |top| {
        let file = opened(top, b"ab")?;
        Ok(file.read_at(&mut [0; 4], 1)?.to_string())
    }),
    ("read what is open for writing only", |top| {
        drop(opened(top, b"ab")?);
        let file = File::options().write(true).open(top.join("f"))?;
        Ok(file.read_at(&mut [0; 4], 0)?.to_string())
    }),
    ("write what is open for reading only", |top| {
        drop(opened(top, b"ab")?);
        File::open(top.join("f"))?.write_all(b"x")?;
        shown(top)
    }),
    ("write with one handle, read with another", |top| {
        let file = opened(top, b"ab")?;
        let other = File::open(top.join("f"))?;
        file.write_all_at(b"X", 1)?;
        let mut read = [0; 2];
        other.read_exact_at(&mut read, 0)?;
        Ok(read.escape_ascii().to_string())
    }),
    ("write pieces in any order", |top| {
        let (file, content) = (opened(top, b"")?, noise(300_000, "any order"));
        for piece in (0..300).map(|piece| (piece * 7) % 300 * 1000) {
            file.write_all_at(&content[piece..piece + 1000], piece as u64)?;
        }
        drop(file);
        Ok((fs::read(top.join("f"))? == content).to_string())
    }),
    ("chmod 640", |top| modes(top, 0o640)),
    ("chmod 555", |top| modes(top, 0o555)),
    ("chmod 4755", |top| modes(top, 0o4755)),
    ("chmod 1777", |top| modes(top, 0o1777)),
    ("chown to whose it is", |top| {
        drop(opened(top, b"")?);
        let stat = fs::metadata(top.join("f"))?;
        chown(top.join("f"), Some(stat.uid()), Some(stat.gid()))?;
        Ok("done".to_owned())
    }),
    ("times, to the second", |top| {
        let file = opened(top, b"content")?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_007))?;
        drop(file);
        Ok(fs::metadata(top.join("f"))?.mtime().to_string())
    }),
    ("times, to the nanosecond", |top| {
        let file = opened(top, b"content")?;
        file.set_modified(UNIX_EPOCH + Duration::new(1_000_000_007, 123))?;
        drop(file);
        Ok(fs::metadata(top.join("f"))?.mtime_nsec().to_string())
    }),
    ("a time before 1970", |top| {
        let file = opened(top, b"content")?;
        file.set_modified(UNIX_EPOCH - Duration::from_secs(1000))?;
        drop(file);
        Ok(fs::metadata(top.join("f"))?.mtime().to_string())
    }),
    ("a time after 2038", |top| {
        let file = opened(top, b"content")?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(4_000_000_000))?;
        drop(file);
        Ok(fs::metadata(top.join("f"))?.mtime().to_string())
    }),
    ("write and read behind 4 GiB", |top| {
        let file = opened(top, b"")?;
        file.write_all_at(b"content", (5 << 30) + 3)?;
        file.sync_all()?;
        let mut read = [0; 9];
        file.read_exact_at(&mut read, (5 << 30) + 1)?;
        let length = file.metadata()?.len();
        file.set_len(0)?;
        Ok(format!("{length} {}", read.escape_ascii()))
    }),
    ("reserve room with fallocate", |top| {
        let file = opened(top, b"content")?;
        fallocate(&file, FallocateFlags::empty(), 0, 9)?;
        shown(top)
    }),
    ("how many names a file has", |top| {
        drop(opened(top, b"")?);
        fs::hard_link(top.join("f"), top.join("g"))?;
        Ok(fs::metadata(top.join("g"))?.nlink().to_string())
    }),
    ("a named pipe", |top| {
        mknodat(CWD, top.join("p"), FileType::Fifo, Mode::RUSR, 0)?;
        Ok("made".to_owned())
    }),
    ("fsync of a file and of its folder", |top| {
        opened(top, b"content")?.sync_all()?;
        File::open(top)?.sync_all()?;
        shown(top)
    }),
];
