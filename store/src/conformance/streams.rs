//! Uploads of streams, which their clients cannot send again from the start.

use super::NewHost;
use super::world::*;
use crate::{PartialCheck, StoreError, StoreResult, Upload, UploadSource, UploadSpec, Wait};
use sshome_wire::{BLOCK_BYTES, StreamId};
use std::sync::atomic::Ordering::SeqCst;

const QUOTA_BYTES: u64 = 24 * MIB;
const ID: StreamId = StreamId([1; 16]);

fn stream_of(id: StreamId, resume: u32) -> UploadSpec {
    UploadSpec { source: Some(UploadSource::Stream(id)), resume, ..spec_of(None) }
}

fn begin(user: &Channel) -> Box<dyn Upload> {
    user.begin("f", &stream_of(ID, 0)).unwrap()
}

fn lease(user: &Channel) -> StoreResult<Option<Box<dyn PartialCheck>>> {
    user.home.lease_stream(&path("f"), ID, &user.takeover())
}

/// The wait of a channel for a stream that another channel holds.
fn wait_for_lease(user: &Channel) -> Wait {
    lease(user).unwrap_err().wait().unwrap().clone()
}

pub fn an_interrupted_stream_keeps_its_space(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let mut upload = begin(&user);
    for mib in 1..=16 {
        upload.write(&zeros(1)).unwrap();
        // Only whole blocks survive, and never more than has arrived.
        assert!(upload.surviving() <= mib * MIB && upload.surviving().is_multiple_of(BLOCK_BYTES));
    }
    let surviving = upload.surviving();
    drop(upload);
    let info = user.home.partial_uploads().pop().unwrap();
    assert!(info.length >= surviving && info.source == Some(UploadSource::Stream(ID)));
    let mut upload = user.begin("f", &spec_of(None)).unwrap();
    (0..8).for_each(|_| upload.write(&zeros(1)).unwrap());
    let refused = upload.write(&zeros(1)).unwrap_err().to_string();
    assert!(refused.contains("partial uploads hold 16.0 MiB"), "{refused}");
    assert_eq!(user.partial_paths(), ["/f"]);
    drop(upload);
    assert_eq!(user.home.discard_partial_uploads(None), 1);
    world.assert_accounting(0);
}

pub fn a_stream_has_one_channel_at_a_time(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let (first, second) = (world.user(), world.user());
    let mut upload = begin(&first);
    upload.write(&zeros(5)).unwrap();
    let busy = second.begin("f", &stream_of(ID, 0));
    assert!(matches!(busy, Err(StoreError::StreamBusy(_))));
    // The first channel is told to end, but still holds the stream.
    let wait = wait_for_lease(&second);
    assert!(first.superseded.load(SeqCst) && !second.superseded.load(SeqCst));
    assert!(!wait.is_over());
    // The wait is over once the partial upload can be leased.
    drop(upload);
    assert!(wait.is_over());
    let check = lease(&second).unwrap().unwrap();
    // A check holds the stream as well.
    let wait = wait_for_lease(&first);
    assert!(second.superseded.load(SeqCst) && !wait.is_over());
    drop(check);
    assert!(wait.is_over() && lease(&first).unwrap().is_some());
    // A different stream does not affect it.
    drop(second.begin("f", &stream_of(StreamId([2; 16]), 0)).unwrap());
    assert_eq!(first.partial_paths(), ["/f"]);
}

pub fn only_the_client_that_sends_a_stream_resumes_it(host: NewHost<'_>) {
    let mut world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    assert!(lease(&user).unwrap().is_none());
    let mut upload = begin(&user);
    upload.write(&zeros(9)).unwrap();
    drop(upload);
    drop(user);
    world.restart();
    let user = world.user();
    let other = UploadSource::Stream(StreamId([2; 16]));
    let check = lease(&user).unwrap().unwrap();
    let partial = checked(check);
    assert_eq!(partial.digests.len(), 2);
    // A different stream cannot use the partial upload.
    let spec = UploadSpec { source: Some(other), ..stream_of(ID, 2) };
    let stolen = user.home.begin_upload(&path("f"), &spec, Some(partial), &user.takeover());
    assert!(matches!(stolen, Err(StoreError::NoPart(_))));
    let check = lease(&user).unwrap().unwrap();
    let partial = Some(checked(check));
    let mut upload =
        user.home.begin_upload(&path("f"), &stream_of(ID, 2), partial, &user.takeover()).unwrap();
    assert_eq!(upload.written(), 2 * BLOCK_BYTES);
    assert!(!wait_for_lease(&world.user()).is_over());
    upload.write(b"end").unwrap();
    let content = [zeros(8), b"end".to_vec()].concat();
    let item = upload.finish(content.len() as u64, Some(digest_of(&content))).unwrap();
    user.publish(item).unwrap();
    assert!(user.content("f") == content && user.partial_paths().is_empty());
    assert!(lease(&user).unwrap().is_none());
    world.assert_accounting(0);
}

pub fn a_stream_survives_the_publishing_of_its_target(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let mut upload = begin(&user);
    upload.write(&zeros(5)).unwrap();
    drop(upload);
    user.put("f", b"different").unwrap();
    assert_eq!(user.partial_paths(), ["/f"]);
    // An upload that its sender abandons leaves nothing.
    let check = lease(&user).unwrap().unwrap();
    let partial = Some(checked(check));
    let mut upload =
        user.home.begin_upload(&path("f"), &stream_of(ID, 1), partial, &user.takeover()).unwrap();
    upload.discard_on_drop();
    drop(upload);
    assert!(user.partial_paths().is_empty());
    world.assert_accounting(0);
}
