//! Files that are replaced by the difference to their old version.

use super::{Actor, noise, stored};
use crate::history::{Content, Entry, Promise};
use crate::store::Piece;
use anyhow::Result;
use rand::RngExt;

impl Actor<'_> {
    /// Puts a new version of a small file: ranges of the old one, and new data. Some are lost on the way.
    pub(super) fn put_delta(&mut self) -> Result<()> {
        let Some(name) = self.existing() else { return Ok(()) };
        let Some(Entry::File(Content { digest, .. })) = self.names.get(&name) else { return Ok(()) };
        let Some(old) = self.contents.get(digest).cloned().filter(|old| !old.is_empty()) else {
            return Ok(());
        };
        let (mut pieces, mut content) = (Vec::new(), Vec::new());
        for number in 0..self.random.random_range(1..5) {
            let start = self.random.random_range(0..old.len());
            let range = start..self.random.random_range(start + 1..=old.len());
            content.extend_from_slice(&old[range.clone()]);
            pieces.push(Piece::Copy(range));
            let seed = format!("{} delta {} {number}", self.number, self.history.operations.len());
            let data = noise(self.random.random_range(1..5000), seed);
            content.extend_from_slice(&data);
            pieces.push(Piece::Data(data));
        }
        let count = match self.random.random_bool(0.8) {
            true => pieces.len(),
            false => self.random.random_range(0..pieces.len()),
        };
        let source = self.source_of(name.clone(), content);
        let what = format!("put {count} of {} pieces of {name}", pieces.len());
        let is_whole = count == pieces.len();
        let promise = if is_whole { Promise::Survives } else { Promise::Nothing };
        self.operate(what, promise, |actor| {
            let done = actor.session.put_delta(&source, &pieces, count)?;
            Ok((done && is_whole).then(|| stored(&source)).into_iter().collect())
        })
    }
}
