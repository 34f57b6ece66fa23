//! Long operations: a step whose time is up does the minimum, so that a kick, a cancel and a shutdown take effect soon,
//! even on a slow disk.

use super::NewHost;
use super::world::*;
use crate::{OpenMode, StepLimit, StoreResult};
use sshome_wire::BLOCK_BYTES;

/// The number of calls of a step that does the minimum.
fn steps<T>(mut step: impl FnMut(StepLimit) -> StoreResult<Option<T>>) -> usize {
    (1..).find(|_| step(StepLimit::least()).unwrap().is_some()).unwrap()
}

pub fn a_removal_step_may_end_after_one_entry(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d/e");
    for name in ["d/1", "d/2", "d/e/3"] {
        user.put(name, b"").unwrap();
    }
    let mut removal = user.home.remove_tree(&path("d"), &mut |_, _| ()).unwrap();
    let mut removed = 0;
    let steps = steps(|limit| {
        let before = removed;
        let done = removal.step(limit, &mut |_, _| removed += 1, &mut |error| panic!("{error}"))?;
        assert!(removed - before <= 1);
        Ok(done.then_some(()))
    });
    assert!(steps >= 5, "{steps} for five entries");
    assert_eq!((removed, user.exists("d")), (5, false));
}

pub fn a_partial_upload_is_checked_one_chunk_at_a_time(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.cut("f", 12, 8);
    let mut check = user.lease("f", 12).unwrap();
    let mut last = 0;
    let steps = steps(|limit| {
        let checked = check.step(limit)?;
        if checked.is_none() {
            let (done, all) = check.progress();
            assert!(last < done && done < all && all == 2 * BLOCK_BYTES);
            last = done;
        }
        Ok(checked)
    });
    assert!(steps >= 2, "it was read at once");
}

pub fn old_content_is_copied_in_steps(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.put("f", &vec![7; 9 * MIB as usize]).unwrap();
    let file = user.open_staged("f", OpenMode { truncate: false, ..TRUNCATE_OR_CREATE });
    file.write_at(Some(0), &[b"x"]).unwrap();
    steps(|limit| Ok(file.prepare_close(limit)?.then_some(())));
    user.close(file).unwrap();
    let content = user.content("f");
    assert!(content[0] == b'x' && content[1..].iter().all(|byte| *byte == 7) && content.len() == 9 << 20);
    world.assert_accounting(0);
}
