//! Two versions of a file, and any description: what is encoded against the true description gives the new version, and a
//! false one costs no more steps than the file has bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome_delta::{DeltaStep, Describer, Encoder, Index};
use sshome_wire::Chunk;

const KEY: [u8; 32] = [1; 32];

fuzz_target!(|input: (&[u8], &[u8], u8, Vec<([u8; 10], u32)>)| {
    let (old, new, repeats, lies) = input;
    // Repeated, so that there are several chunks.
    let (old, new) = (old.repeat(1 + usize::from(repeats) * 8), new.repeat(1 + usize::from(repeats) * 8));
    let mut describer = Describer::new(KEY, old.len() as u64).expect("it is short");
    describer.buffer().extend_from_slice(&old);
    let chunks: Vec<Chunk> = std::iter::from_fn(|| describer.next(true)).collect();
    let mut index = Index::default();
    index.extend(&chunks).expect("a true description");
    assert_eq!(index.bytes(), old.len() as u64);
    assert!(encode(index, &new, &old) == new);

    let mut index = Index::default();
    let lies: Vec<Chunk> = lies.into_iter().map(|(digest, length)| Chunk { digest, length }).collect();
    if index.extend(&lies).is_ok() {
        encode(index, &new, &[]);
    }
});

/// What the steps give; copies from beyond `old` give nothing.
fn encode(index: Index, new: &[u8], old: &[u8]) -> Vec<u8> {
    let described = index.bytes();
    let mut encoder = Encoder::new(KEY, index);
    encoder.buffer().extend_from_slice(new);
    let (mut copy, mut total) = (Vec::new(), 0);
    while let Some(step) = encoder.next(true) {
        match step {
            DeltaStep::Copy(range) => {
                assert!(range.length > 0 && range.offset + range.length <= described);
                total += range.length;
                let range = range.offset as usize..(range.offset + range.length) as usize;
                copy.extend_from_slice(old.get(range).unwrap_or_default());
            }
            DeltaStep::Literal(bytes) => {
                assert!(!bytes.is_empty());
                total += bytes.len() as u64;
                copy.extend_from_slice(bytes);
            }
        }
    }
    assert_eq!(total, new.len() as u64);
    copy
}
