//! The zstd frames. Each is whole in memory, so no window is kept.

use sshome_wire::{CompressedData, compressed_data_head};
use std::cell::RefCell;
use zstd_safe::{CCtx, DCtx, compress_bound, find_frame_compressed_size, get_error_name};

/// Why compressed data has no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It is not a zstd frame.
    #[error("compressed data that does not decompress: {0}")]
    Broken(&'static str),
    /// Bytes follow the zstd frame.
    #[error("compressed data with {0} bytes behind its end")]
    Trailing(usize),
    /// Its length is not the announced one.
    #[error("compressed data of {length} bytes was announced with {announced}")]
    Length {
        /// Its length.
        length: usize,
        /// The announced length.
        announced: usize,
    },
    /// There is no memory for it.
    #[error("no memory to decompress data")]
    OutOfMemory,
}

/// What compressing needs, kept by each thread that has compressed: about 1.3 MiB.
struct ThreadCompressor {
    context: CCtx<'static>,
    output: Vec<u8>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<ThreadCompressor>> = const { RefCell::new(None) };
    /// About 100 KiB.
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// The frame with this data, compressed; it may be longer than the data. `None` if there is no memory for it.
pub(super) fn compress(data: &[u8], level: i32) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        if compressor.is_none() {
            *compressor = CCtx::try_create().map(|context| ThreadCompressor { context, output: Vec::new() });
        }
        let ThreadCompressor { context, output } = compressor.as_mut()?;
        output.clear();
        output.reserve(compress_bound(data.len()));
        context.compress(output, data, level).ok()?;
        let head = compressed_data_head(u32::try_from(data.len()).ok()?, u32::try_from(output.len()).ok()?);
        Some([&head[..], output].concat())
    })
}

/// The content of compressed data. It takes no more memory than the announced length.
///
/// # Errors
/// If it is not exactly one zstd frame with a content of the announced length.
pub fn decompress(data: &CompressedData) -> Result<Vec<u8>, DecompressError> {
    let (zstd, announced) = (data.zstd(), data.length());
    let broken = |code| DecompressError::Broken(get_error_name(code));
    // A decompressor would take further frames as part of the content.
    let end = find_frame_compressed_size(zstd).map_err(broken)?;
    if end < zstd.len() {
        return Err(DecompressError::Trailing(zstd.len() - end));
    }
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = DCtx::try_create();
        }
        let context = decompressor.as_mut().ok_or(DecompressError::OutOfMemory)?;
        let mut content = Vec::with_capacity(announced);
        let length = context.decompress(&mut content, zstd).map_err(broken)?;
        match length == announced {
            true => Ok(content),
            false => Err(DecompressError::Length { length, announced }),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::MAX_FRAME;

    /// A zstd frame of one block without a length in its header. `kind`: 0 is raw, 1 repeats one byte.
    fn frame(kind: u32, size: u32, content: &[u8]) -> Vec<u8> {
        let [a, b, c, _] = (size << 3 | kind << 1 | 1).to_le_bytes();
        // The window is 256 KiB.
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x40, a, b, c], content].concat()
    }

    fn of(length: u32, zstd: Vec<u8>) -> Result<Vec<u8>, DecompressError> {
        decompress(&CompressedData::new(length, zstd.into()).expect("a header that is allowed"))
    }

    #[test]
    fn what_is_compressed_is_decompressed() {
        let long: Vec<u8> = (0..MAX_FRAME).map(|at| (at / 7) as u8).collect();
        for data in [&b"x"[..], b"abcabcabcabc", &long] {
            for level in 1..=3 {
                let frame = compress(data, level).unwrap();
                let (head, zstd) = frame.split_at(sshome_wire::COMPRESSED_HEAD_BYTES);
                assert_eq!(head, compressed_data_head(data.len() as u32, zstd.len() as u32));
                assert!(of(data.len() as u32, zstd.to_vec()).unwrap() == data);
            }
        }
    }

    #[test]
    fn the_length_has_to_be_the_announced_one() {
        assert_eq!(of(5, frame(1, 5, b"x")).unwrap(), b"xxxxx");
        assert_eq!(of(6, frame(1, 5, b"x")), Err(DecompressError::Length { length: 5, announced: 6 }));
        assert_eq!(of(1, frame(0, 0, b"")), Err(DecompressError::Length { length: 0, announced: 1 }));
        // A bomb: what is longer than announced is refused before it is written.
        for (announced, length) in [(4, 5), (1, 128 << 10), (1000, 128 << 10)] {
            let error = of(announced, frame(1, length, b"x")).unwrap_err();
            assert!(error.to_string().contains("too small"), "{error}");
        }
    }

    #[test]
    fn anything_behind_the_frame_or_missing_is_refused() {
        let whole = frame(0, 3, b"abc");
        assert_eq!(of(3, whole.clone()).unwrap(), b"abc");
        assert_eq!(of(3, [&whole[..], b"x"].concat()), Err(DecompressError::Trailing(1)));
        // Neither another frame nor one to skip is part of it.
        assert_eq!(of(6, whole.repeat(2)), Err(DecompressError::Trailing(whole.len())));
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
        assert_eq!(of(3, [&whole[..], &skipped].concat()), Err(DecompressError::Trailing(9)));
        for end in 6..whole.len() {
            assert!(matches!(of(3, whole[..end].to_vec()), Err(DecompressError::Broken(_))), "{end}");
        }
    }

    #[test]
    fn after_an_error_the_same_thread_goes_on() {
        // A block of the reserved kind.
        assert!(matches!(of(3, frame(3, 3, b"abc")), Err(DecompressError::Broken(_))));
        assert_eq!(of(3, frame(0, 3, b"abc")).unwrap(), b"abc");
    }

    #[test]
    fn no_frame_with_a_changed_byte_decompresses_to_another_length() {
        let data: Vec<u8> = (0..5000_u32).map(|at| (at * at / 100) as u8).collect();
        let zstd = compress(&data, 3).unwrap().split_off(sshome_wire::COMPRESSED_HEAD_BYTES);
        for at in 0..zstd.len() {
            for flip in [1, 0x80, 0xff] {
                let mut zstd = zstd.clone();
                zstd[at] ^= flip;
                if let Some(changed) = CompressedData::new(data.len() as u32, zstd.into())
                    && let Ok(content) = decompress(&changed)
                {
                    assert_eq!((content.len(), content.capacity()), (data.len(), data.len()));
                }
            }
        }
    }
}
