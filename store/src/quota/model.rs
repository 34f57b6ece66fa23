//! Random operations on a ledger, compared after each step with a model that adds everything up.

use super::*;
use proptest::prelude::*;
use std::convert::Infallible;
use std::sync::Arc;

const QUOTA: u64 = 100;
const SLOTS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// Creates a file of `bytes` with this inode number, if it is free.
    Create {
        inode: usize,
        bytes: u64,
    },
    /// The file's last name is removed.
    Remove {
        inode: usize,
    },
    /// The file is renamed or gets a second name: the upload will not replace it.
    Move {
        inode: usize,
    },
    Open {
        inode: usize,
    },
    Close {
        inode: usize,
    },
    SetLength {
        inode: usize,
        bytes: u64,
    },
    /// Begins an upload of `bytes`, which will replace the file if it exists.
    Begin {
        slot: usize,
        bytes: u64,
        inode: usize,
    },
    Grow {
        slot: usize,
        bytes: u64,
    },
    Cut {
        slot: usize,
        bytes: u64,
    },
    Finish {
        slot: usize,
        bytes: u64,
    },
    Drop {
        slot: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, inode, bytes) = (0..SLOTS, 0..SLOTS, 0..80_u64);
    prop_oneof![
        3 => (inode.clone(), bytes.clone()).prop_map(|(inode, bytes)| Step::Create { inode, bytes }),
        3 => inode.clone().prop_map(|inode| Step::Remove { inode }),
        2 => inode.clone().prop_map(|inode| Step::Move { inode }),
        2 => inode.clone().prop_map(|inode| Step::Open { inode }),
        2 => inode.clone().prop_map(|inode| Step::Close { inode }),
        2 => (inode.clone(), bytes.clone()).prop_map(|(inode, bytes)| Step::SetLength { inode, bytes }),
        4 => (slot.clone(), bytes.clone(), inode)
            .prop_map(|(slot, bytes, inode)| Step::Begin { slot, bytes, inode }),
        2 => (slot.clone(), bytes.clone()).prop_map(|(slot, bytes)| Step::Grow { slot, bytes }),
        2 => (slot.clone(), bytes.clone()).prop_map(|(slot, bytes)| Step::Cut { slot, bytes }),
        2 => (slot.clone(), bytes).prop_map(|(slot, bytes)| Step::Finish { slot, bytes }),
        1 => slot.prop_map(|slot| Step::Drop { slot }),
    ]
}

#[derive(Clone, Debug)]
struct File {
    bytes: u64,
    named: bool,
    /// The upload that it lends to, and its minimum length since.
    lends: Option<(usize, u64)>,
}

/// The true state, and the ledger that has to match it.
struct Model {
    ledger: Arc<Ledger>,
    files: [Option<File>; SLOTS],
    handles: [Vec<HeldFile>; SLOTS],
    /// Each with the bytes that it needs and the inode of the file that it will replace.
    uploads: [Option<(Reservation, u64, usize)>; SLOTS],
}

fn id(inode: usize) -> FileId {
    FileId { device: 1, inode: inode as u64 }
}

impl Model {
    fn new() -> Model {
        let limits = QuotaLimits { bytes: Some(QUOTA), entries: None };
        let ledger = Arc::new(Ledger::new(limits, Amount::default(), UnreadableEntries::default()));
        Model { ledger, files: Default::default(), handles: Default::default(), uploads: Default::default() }
    }

    fn used(&self) -> u64 {
        self.files.iter().flatten().map(|file| file.bytes).sum()
    }

    fn charged(&self) -> u64 {
        let reserved: u64 = self.uploads.iter().flatten().map(|upload| upload.1).sum();
        let lent = |file: &File| {
            let (slot, least) = file.lends?;
            Some(least.min(self.uploads[slot].as_ref()?.1))
        };
        let lent: u64 = self.files.iter().flatten().filter_map(lent).sum();
        self.used() + reserved - lent
    }

    fn hold(&self, inode: usize, bytes: u64) -> HeldFile {
        self.ledger.hold(id(inode), || Ok::<_, Infallible>(bytes)).unwrap()
    }

    /// Checks that a change was allowed if and only if it fits or takes no more than before.
    fn assert_answer<T>(
        &mut self,
        answer: Result<T, QuotaExceeded>,
        after: impl FnOnce(&mut Model),
    ) -> Option<T> {
        let before = self.charged();
        let saved =
            (self.files.clone(), self.uploads.iter().flatten().map(|upload| upload.1).collect::<Vec<_>>());
        after(self);
        let charged = self.charged();
        let fits = charged <= QUOTA || charged <= before;
        match answer {
            Ok(done) => {
                assert!(fits, "{charged} of {QUOTA} were allowed");
                Some(done)
            }
            Err(refused) => {
                assert!(!fits, "{refused}, and {charged} would have been charged");
                self.files = saved.0;
                for (upload, need) in self.uploads.iter_mut().flatten().zip(saved.1) {
                    upload.1 = need;
                }
                None
            }
        }
    }

    fn end_lending_to(&mut self, slot: usize) {
        for file in self.files.iter_mut().flatten() {
            file.lends.take_if(|lends| lends.0 == slot);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Create { inode, bytes } => {
                if self.files[inode].is_none()
                    && let Ok(room) = self.ledger.reserve(bytes, 1)
                {
                    room.commit(UsageChange { bytes: bytes as i64, entries: 1 });
                    self.files[inode] = Some(File { bytes, named: true, lends: None });
                }
            }
            Step::Remove { inode } => {
                let Some(file) = self.files[inode].clone().filter(|file| file.named) else { return };
                self.ledger.removed(FreedSpace::File(self.hold(inode, file.bytes)));
                self.files[inode] = Some(File { named: false, ..file });
                self.forget_if_closed(inode);
            }
            Step::Move { inode } => {
                if self.files[inode].as_ref().is_some_and(|file| file.named) {
                    let ended = self.ledger.end_credit(id(inode));
                    self.assert_answer(ended, |model| {
                        model.files[inode].iter_mut().for_each(|file| file.lends = None);
                    });
                }
            }
            Step::Open { inode } => {
                if let Some(file) = self.files[inode].clone().filter(|file| file.named) {
                    let held = self.hold(inode, file.bytes);
                    self.handles[inode].push(held);
                }
            }
            Step::Close { inode } => {
                self.handles[inode].pop();
                self.forget_if_closed(inode);
            }
            Step::SetLength { inode, bytes } => self.set_length(inode, bytes),
            Step::Begin { slot, bytes, inode } => self.begin(slot, bytes, inode),
            Step::Grow { slot, bytes } => {
                let Some((upload, need, _)) = &mut self.uploads[slot] else { return };
                let raised = upload.raise_to(bytes, 0);
                let need = bytes.max(*need);
                self.assert_answer(raised, |model| model.uploads[slot].as_mut().unwrap().1 = need);
            }
            Step::Cut { slot, bytes } => {
                let Some((upload, need, _)) = &mut self.uploads[slot] else { return };
                upload.shrink_to(bytes, 0);
                upload.set_partial(true);
                *need = bytes.min(*need);
            }
            Step::Finish { slot, bytes } => self.finish(slot, bytes),
            Step::Drop { slot } => {
                self.uploads[slot] = None;
                self.end_lending_to(slot);
            }
        }
    }

    fn forget_if_closed(&mut self, inode: usize) {
        if self.handles[inode].is_empty() {
            self.files[inode].take_if(|file| !file.named);
        }
    }

    fn set_length(&mut self, inode: usize, bytes: u64) {
        let Some(held) = self.handles[inode].pop() else { return };
        let change = held.change();
        let grown = change.grow_to(bytes);
        if grown.is_ok() {
            change.settle(bytes);
        }
        drop(change);
        self.assert_answer(grown, |model| {
            let file = model.files[inode].as_mut().unwrap();
            file.bytes = bytes;
            file.lends = file.lends.map(|(slot, least)| (slot, least.min(bytes)));
        });
        self.handles[inode].push(held);
    }

    fn begin(&mut self, slot: usize, bytes: u64, inode: usize) {
        self.take(Step::Drop { slot });
        let file = self.files[inode].clone().filter(|file| file.named);
        let replaced = match &file {
            Some(file) => FreedSpace::File(self.hold(inode, file.bytes)),
            None => FreedSpace::Nothing,
        };
        let mut upload = Reservation::empty(&self.ledger);
        let begun = upload.cover(bytes, 0, &replaced);
        drop(replaced);
        let lends =
            self.handles[inode].is_empty() && file.is_some_and(|file| file.lends.is_none() && file.bytes > 0);
        let kept = begun.is_ok();
        self.uploads[slot] = Some((upload, 0, inode));
        self.assert_answer(begun, |model| {
            model.uploads[slot].as_mut().unwrap().1 = bytes;
            if lends {
                let file = model.files[inode].as_mut().unwrap();
                file.lends = Some((slot, file.bytes));
            }
        });
        if !kept {
            self.uploads[slot] = None;
        }
    }

    /// The upload takes the name of its file, or a free one, and gets an inode number that is free.
    fn finish(&mut self, slot: usize, bytes: u64) {
        let Some((mut upload, need, inode)) = self.uploads[slot].take() else { return };
        let Some(new) = (0..SLOTS).find(|new| self.files[*new].is_none()) else {
            self.uploads[slot] = Some((upload, need, inode));
            return;
        };
        let old = self.files[inode].clone().filter(|file| file.named);
        let freed = match &old {
            Some(file) => FreedSpace::File(self.hold(inode, file.bytes)),
            None => FreedSpace::Nothing,
        };
        let covered = upload.cover(bytes, 0, &freed).is_ok();
        if covered {
            upload.commit_replacing(UsageChange { bytes: bytes as i64, entries: 0 }, freed);
        }
        self.end_lending_to(slot);
        if covered {
            self.files[new] = Some(File { bytes, named: true, lends: None });
            if let Some(file) = old {
                self.files[inode] = Some(File { named: false, ..self.files[inode].clone().unwrap_or(file) });
                self.forget_if_closed(inode);
            }
        }
    }

    fn check(&self) {
        let taken = self.ledger.usage();
        assert_eq!(taken.used.bytes, self.used());
        assert_eq!(taken.charged().bytes, self.charged());
        assert!(taken.charged().bytes <= QUOTA, "{taken:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn charges_match_the_model_and_stay_within_the_quota(
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            model.check();
        }
    }
}
