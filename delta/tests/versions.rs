//! Two versions of a file: what is sent for the difference, and that the copy is right.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a failure is the test failing

use proptest::prelude::*;
use sshome_delta::{DeltaStep, Describer, DescriptionError, Encoder, Index};
use sshome_wire::{Chunk, CopyRange, MAX_CHUNKS, MAX_COPY_BYTES};

const KEY: [u8; 32] = [7; 32];
const MIB: usize = 1 << 20;

/// Random bytes, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Feeds `content` in pieces of `piece` bytes and calls `each` after each piece, and once at the end.
fn feed<T>(
    coder: &mut T,
    content: &[u8],
    piece: usize,
    buffer: impl Fn(&mut T) -> &mut Vec<u8>,
    mut each: impl FnMut(&mut T, bool),
) {
    for piece in content.chunks(piece) {
        buffer(coder).extend_from_slice(piece);
        each(coder, false);
    }
    each(coder, true);
}

fn describe(old: &[u8], piece: usize) -> Vec<Chunk> {
    let mut describer = Describer::new(KEY, old.len() as u64).unwrap();
    let mut chunks = Vec::new();
    feed(&mut describer, old, piece, Describer::buffer, |describer, at_end| {
        chunks.extend(std::iter::from_fn(|| describer.next(at_end)));
    });
    chunks
}

/// What was sent: the copies, and the number of literal bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    copies: Vec<CopyRange>,
    literal: usize,
}

/// Encodes `new` against `old`, and rebuilds it.
fn transfer(old: &[u8], new: &[u8], piece: usize) -> (Vec<u8>, Sent) {
    let mut index = Index::default();
    describe(old, piece).chunks(100).for_each(|chunks| index.extend(chunks).unwrap());
    assert_eq!(index.bytes(), old.len() as u64);
    rebuild(index, old, new, piece)
}

fn rebuild(index: Index, old: &[u8], new: &[u8], piece: usize) -> (Vec<u8>, Sent) {
    let (mut copy, mut sent) = (Vec::new(), Sent::default());
    let mut encoder = Encoder::new(KEY, index);
    feed(&mut encoder, new, piece, Encoder::buffer, |encoder, at_end| {
        while let Some(step) = encoder.next(at_end) {
            match step {
                DeltaStep::Copy(range) => {
                    assert!(range.length <= MAX_COPY_BYTES);
                    let begin = range.offset as usize;
                    copy.extend_from_slice(&old[begin..begin + range.length as usize]);
                    sent.copies.push(range);
                }
                DeltaStep::Literal(bytes) => {
                    copy.extend_from_slice(bytes);
                    sent.literal += bytes.len();
                }
            }
        }
    });
    (copy, sent)
}

#[test]
fn an_unchanged_file_is_copied_in_long_ranges() {
    let old = noise(1, 5 * MIB + 123);
    let (copy, sent) = transfer(&old, &old, 100_000);
    assert_eq!((copy == old, sent.literal), (true, 0));
    assert!(sent.copies.len() <= 7, "{:?}", sent.copies);
}

#[test]
fn an_insertion_costs_its_length_and_at_most_two_chunks() {
    let old = noise(1, 4 * MIB);
    for at in [0, 12_345, 2 * MIB, old.len()] {
        let new = [&old[..at], &noise(2, 5000), &old[at..]].concat();
        let (copy, sent) = transfer(&old, &new, 64 << 10);
        assert!(copy == new);
        assert!(
            sent.literal >= 5000 && sent.literal <= 5000 + (128 << 10),
            "at {at}: {} bytes",
            sent.literal
        );
    }
}

#[test]
fn a_description_of_a_gibibyte_would_take_less_than_a_mebibyte() {
    let old = noise(3, 16 * MIB);
    let chunks = describe(&old, 256 << 10);
    assert_eq!(chunks.iter().map(|chunk| chunk.length as usize).sum::<usize>(), old.len());
    assert!(chunks.len() * 13 * 64 < MIB, "{} chunks", chunks.len());
    assert!(chunks.iter().rev().skip(1).all(|chunk| (4 << 10..=64 << 10).contains(&chunk.length)));
}

#[test]
fn what_repeats_is_still_copied_in_long_ranges() {
    let old = vec![0; 8 * MIB];
    let (copy, sent) = transfer(&old, &vec![0; 9 * MIB], 256 << 10);
    assert_eq!((copy.len(), sent.literal), (9 * MIB, 0));
    // 16 chunks of 64 KiB in a range; after the last chunk, copies begin at the first again.
    assert!(sent.copies.len() <= 24, "{}", sent.copies.len());
}

#[test]
fn a_description_of_equal_digests_is_looked_up_once_a_chunk() {
    // Each chunk is said to be like the first of the new file: the encoder still emits each byte once.
    let new = noise(4, MIB);
    let first = describe(&new, MIB)[0];
    let mut index = Index::default();
    for _ in 0..MAX_CHUNKS / 4096 {
        index.extend(&vec![first; 4096]).unwrap();
    }
    assert_eq!(index.len(), MAX_CHUNKS as usize);
    assert_eq!(index.extend(&[first]), Err(DescriptionError::TooMany));
    let mut encoder = Encoder::new(KEY, index);
    encoder.buffer().extend_from_slice(&new);
    let mut total = 0;
    while let Some(step) = encoder.next(true) {
        total += match step {
            DeltaStep::Copy(range) => range.length,
            DeltaStep::Literal(bytes) => bytes.len() as u64,
        };
    }
    assert_eq!(total, MIB as u64);
}

#[test]
fn impossible_chunks_are_refused() {
    let chunk = |length| Chunk { digest: [0; 10], length };
    assert_eq!(Index::default().extend(&[chunk(5), chunk(0)]), Err(DescriptionError::BadLength(0)));
    let huge = vec![chunk(u32::MAX); 257];
    assert_eq!(Index::default().extend(&huge), Err(DescriptionError::BadLength(u32::MAX)));
    assert!(Describer::new(KEY, sshome_delta::MAX_DESCRIBED_BYTES + 1).is_none());
}

/// An edit: where, how many bytes are removed, how many are inserted.
fn edits() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    prop::collection::vec((0..600_000usize, 0..40_000usize, 0..40_000usize), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_edits_give_the_new_version(length in 0..600_000usize, edits in edits(), piece in 1000..200_000usize) {
        let old = noise(5, length);
        let mut new = old.clone();
        for (seed, (at, removed, inserted)) in edits.into_iter().enumerate() {
            let at = at.min(new.len());
            let end = (at + removed).min(new.len());
            new.splice(at..end, noise(seed as u64 + 10, inserted));
        }
        let (copy, _) = transfer(&old, &new, piece);
        prop_assert!(copy == new);
    }

    #[test]
    fn where_the_pieces_end_does_not_matter(piece in 1..100_000usize) {
        let old = noise(6, 300_000);
        prop_assert_eq!(describe(&old, piece), describe(&old, 300_000));
    }
}
