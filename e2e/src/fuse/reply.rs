//! Answers to the kernel.

use fuser::{FileAttr, Generation, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry};
use std::time::Duration;

/// The kernel must ask again each time.
pub(crate) const TTL: Duration = Duration::ZERO;

/// A result for the kernel.
pub(crate) type Result<T> = std::result::Result<T, fuser::Errno>;

/// Answers with success or an error only.
pub(crate) fn answer(reply: ReplyEmpty, result: Result<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn entry(reply: ReplyEntry, result: Result<FileAttr>) {
    match result {
        Ok(found) => reply.entry(&TTL, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn attr(reply: ReplyAttr, result: Result<FileAttr>) {
    match result {
        Ok(found) => reply.attr(&TTL, &found),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn data(reply: ReplyData, result: Result<Vec<u8>>) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(error),
    }
}
