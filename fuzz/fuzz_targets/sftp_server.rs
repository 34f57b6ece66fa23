//! Whole streams of requests into the server's side of SFTP, each with a fresh home. It must not panic, and its output
//! is packets. Afterwards the accounting matches a scan of the disk and is within the quota, and nothing outside the
//! home has changed.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sshome_fuzz::{Answers, Pieces, World};
use sshome_wire::sftp::{ServerPacket, SftpDecoder};
use sshomed::protocol::{ChannelEnd, sftp};
use std::sync::LazyLock;
use tokio_util::sync::CancellationToken;

/// INIT with version 3.
const GREETING: &[u8] = &[0, 0, 0, 5, 1, 0, 0, 0, 3];

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|input: &[u8]| {
    let incoming = Pieces::packets(Bytes::from_static(GREETING), input);
    let answers = Answers::default();
    let (order, stopping) = (sftp::SymlinkOrder::OpenSsh, CancellationToken::new());
    let ended = WORLD.visit(async |user| {
        sftp::serve(incoming, answers.clone(), user, order, stopping, WORLD.threads()).await
    });
    assert!(matches!(ended, ChannelEnd::Well | ChannelEnd::Violation), "{ended:?}");
    assert!(answers.errors().is_empty(), "the subsystem has no standard error");
    let mut decoder = SftpDecoder::new();
    answers.output().into_iter().for_each(|piece| decoder.push(piece));
    while let Some(packet) = decoder.next().expect("packets") {
        ServerPacket::decode(packet).expect("an answer");
    }
    assert!(decoder.at_boundary());
});
