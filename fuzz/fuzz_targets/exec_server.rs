//! Command lines, and what an scp client or a pipe sends to them, with a home of its own each. Whatever
//! comes, it must not panic and it ends; a name in quotes is that name and no other; afterwards the books are
//! what a fresh count of the disk finds, within the quota, and nothing outside has changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome_fuzz::{Answers, Pieces, World};
use sshomed::protocol::{Arrival, ChannelEnd, exec};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;
use tokio_util::sync::CancellationToken;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

// The first byte says how it is run, the second how long the line is; the rest is its input.
fuzz_target!(|input: &[u8]| {
    let [how, length, rest @ ..] = input else { return };
    let (text, sent) = rest.split_at(usize::from(*length).min(rest.len()));
    let (terminal, cut, quoted) = (how & 1 != 0, how & 2 != 0, how & 4 != 0);
    let line = if quoted { [b"put -- '", &escaped(text)[..], b"'"].concat() } else { text.to_vec() };
    let end = if cut { Arrival::Gone } else { Arrival::Eof };
    let incoming = Pieces::chunks(sent, usize::from(how >> 3) + 1, end);
    let (answers, stopping) = (Answers::default(), CancellationToken::new());
    let ended = WORLD.visit(async |user| {
        exec::run(incoming, answers.clone(), user, line, terminal, stopping, WORLD.threads()).await
    });
    match ended {
        ChannelEnd::Well if quoted => assert_stored(text, sent),
        ChannelEnd::Well => {}
        ChannelEnd::Failed(status) => assert!(status != 0),
        ChannelEnd::Gone => assert!(cut, "the client was there to the end"),
        ended => panic!("{ended:?}"),
    }
});

/// The text between single quotes, as every shell takes it.
fn escaped(text: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'\'').collect();
    parts.join(&b"'\\''"[..])
}

/// A name is in the home's top as it was given, with what was sent. What leads elsewhere in the home is not
/// looked for.
fn assert_stored(name: &[u8], sent: &[u8]) {
    if !name.contains(&b'/') && name != b"out" {
        let found = std::fs::read(WORLD.home().join(OsStr::from_bytes(name)));
        assert_eq!(found.expect("a file of that name"), sent);
    }
}
