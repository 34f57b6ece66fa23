//! Large files that are put in blocks of any order.

use super::{Actor, stored};
use crate::history::Promise;
use crate::store::Source;
use anyhow::Result;
use rand::RngExt;
use rand::seq::SliceRandom;

impl Actor<'_> {
    /// Puts all blocks of a file, or some of them.
    pub(super) fn put_blocks(&mut self, source: Source) -> Result<()> {
        let mut blocks = source.blocks();
        blocks.shuffle(&mut self.random);
        let count = blocks.len();
        if self.random.random_bool(0.6) {
            blocks.truncate(self.random.random_range(0..count));
        }
        let is_whole = blocks.len() == count;
        let what = format!("put blocks {blocks:?} of {count} of {}", source.path);
        let promise = if is_whole { Promise::Survives } else { Promise::Nothing };
        self.operate(what, promise, |actor| {
            let done = actor.session.put_blocks(&source, &blocks, is_whole)?;
            if done && !is_whole {
                actor.partial = Some(source.clone());
            }
            Ok((done && is_whole).then(|| stored(&source)).into_iter().collect())
        })
    }

    /// Puts the blocks of a file that a partial upload of it lacks.
    pub(super) fn resume_blocks(&mut self, source: &Source) -> Result<()> {
        let mut blocks = source.blocks();
        blocks.shuffle(&mut self.random);
        self.operate(format!("resume {} with blocks {blocks:?}", source.path), Promise::Survives, |actor| {
            let done = actor.session.put_blocks(source, &blocks, true)?;
            Ok(done.then(|| stored(source)).into_iter().collect())
        })
    }
}
