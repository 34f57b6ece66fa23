//! The test files: made, compared, removed.

use crate::workload::{Content, FileSet};
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The size of a read or write, in bytes.
const BUFFER_BYTES: usize = 1 << 18;

/// Files in a directory of a tree.
const FILES_IN_A_DIRECTORY: u64 = 100;

/// The number of different words in a text.
const WORDS: usize = 4000;

/// Makes the files under `parent`: the same in every run.
pub(crate) fn make(set: &FileSet, parent: &Path) -> Result<()> {
    let random = StdRng::seed_from_u64(set.bytes());
    let top = parent.join(set.name);
    if !set.is_tree() {
        return fill(&top, set.size, &mut Filler::of(set.content, random));
    }
    let mut filler = Filler::of(set.content, random);
    for path in paths(set) {
        let path = top.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fill(&path, set.size, &mut filler)?;
    }
    Ok(())
}

/// The files of a tree, relative to its top.
pub(crate) fn paths(set: &FileSet) -> impl Iterator<Item = PathBuf> {
    (0..set.count).map(|number| format!("{:04}/{number:06}.bin", number / FILES_IN_A_DIRECTORY).into())
}

fn fill(path: &Path, size: u64, filler: &mut Filler) -> Result<()> {
    let mut file = File::create_new(path).with_context(|| format!("making {}", path.display()))?;
    let mut piece = vec![0; BUFFER_BYTES];
    let mut left = size;
    while left > 0 {
        piece.truncate(usize::try_from(left).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES));
        filler.fill(&mut piece);
        file.write_all(&piece).with_context(|| format!("writing {}", path.display()))?;
        left -= piece.len() as u64;
    }
    Ok(())
}

/// The source of what is in the files.
struct Filler {
    random: StdRng,
    /// The words of a text; none for random bytes.
    words: Vec<String>,
}

impl Filler {
    fn of(content: Content, mut random: StdRng) -> Filler {
        let count = if content == Content::Text { WORDS } else { 0 };
        let words = (0..count).map(|_| word(&mut random)).collect();
        Filler { random, words }
    }

    fn fill(&mut self, piece: &mut [u8]) {
        if self.words.is_empty() {
            return self.random.fill_bytes(piece);
        }
        let mut rest = piece;
        while !rest.is_empty() {
            // Some words are frequent, most are rare.
            let rank = self.random.random::<f64>().powi(3) * self.words.len() as f64;
            let word = self.words.get(rank as usize).map_or(&b" "[..], |word| word.as_bytes());
            let (here, after) = rest.split_at_mut(word.len().min(rest.len()));
            here.copy_from_slice(word.get(..here.len()).unwrap_or_default());
            rest = after;
        }
    }
}

/// A word with what follows it.
fn word(random: &mut StdRng) -> String {
    let letters = random.random_range(2..10);
    let mut word: String = (0..letters).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    word.push(if random.random_range(0..8) == 0 { '\n' } else { ' ' });
    word
}

/// Checks that two files have the same content, or two trees the same files.
pub(crate) fn same(expected: &Path, found: &Path) -> Result<()> {
    if expected.is_dir() {
        let names = names(expected)?;
        ensure!(names == self::names(found)?, "{} has other names in it", found.display());
        return names.iter().try_for_each(|name| same(&expected.join(name), &found.join(name)));
    }
    let open = |path: &Path| File::open(path).with_context(|| format!("opening {}", path.display()));
    let (expected, file) = (open(expected)?, open(found)?);
    let (mut wanted, mut read) = (Vec::with_capacity(BUFFER_BYTES), Vec::with_capacity(BUFFER_BYTES));
    loop {
        next_piece(&expected, &mut wanted)?;
        next_piece(&file, &mut read)?;
        ensure!(wanted == read, "{} has other bytes in it", found.display());
        if wanted.is_empty() {
            return Ok(());
        }
    }
}

/// The next bytes of a file; empty at its end.
fn next_piece(file: &File, into: &mut Vec<u8>) -> Result<()> {
    into.clear();
    file.take(BUFFER_BYTES as u64).read_to_end(into)?;
    Ok(())
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

/// Removes the entries of a directory.
pub(crate) fn empty(directory: &Path) -> Result<()> {
    for name in names(directory)? {
        let path = directory.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: FileSet =
        FileSet { name: "tree", count: 250, size: 10, content: Content::Random, stored: false };

    #[test]
    fn a_tree_is_made_the_same_way_every_time() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(&SET, one.path()).unwrap();
        make(&SET, other.path()).unwrap();
        same(one.path(), other.path()).unwrap();
        assert_eq!(names(&one.path().join("tree")).unwrap().len(), 3);
    }

    #[test]
    fn a_text_is_words_and_the_same_every_time() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let set = FileSet { content: Content::Text, size: 5000, ..SET };
        make(&set, one.path()).unwrap();
        make(&set, other.path()).unwrap();
        same(one.path(), other.path()).unwrap();
        let text = fs::read_to_string(one.path().join("tree/0001/000123.bin")).unwrap();
        assert_eq!(
            (text.len(), text.contains(|c: char| !c.is_ascii_lowercase() && !" \n".contains(c))),
            (5000, false)
        );
        assert!(text.split_whitespace().count() > 500, "{text}");
    }

    #[test]
    fn any_difference_is_found() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(&SET, one.path()).unwrap();
        make(&SET, other.path()).unwrap();
        let file = other.path().join("tree/0001/000123.bin");
        let original = fs::read(&file).unwrap();
        let changed = [&original[..9], &[original[9] ^ 1]].concat();
        for wrong in [&changed[..], &original[..9], &[&original[..], b"x"].concat()] {
            fs::write(&file, wrong).unwrap();
            assert!(same(one.path(), other.path()).is_err());
        }
        fs::write(&file, &original).unwrap();
        same(one.path(), other.path()).unwrap();
        fs::write(other.path().join("more"), b"").unwrap();
        assert!(same(one.path(), other.path()).is_err());
    }

    #[test]
    fn a_file_has_its_length_and_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let set = FileSet { name: "big", count: 1, size: BUFFER_BYTES as u64 + 7, ..SET };
        make(&set, parent.path()).unwrap();
        assert_eq!(fs::metadata(parent.path().join("big")).unwrap().len(), set.size);
        empty(parent.path()).unwrap();
        assert!(names(parent.path()).unwrap().is_empty());
    }
}
