//! Command lines with the input of an scp client or a pipe, each in a fresh home. They must end without a panic. A
//! quoted name means exactly that name. Afterwards the accounting matches a scan of the disk and is within the quota,
//! and nothing outside the home has changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome_fuzz::{Answers, Pieces, World};
use sshomed::protocol::{Arrival, ChannelEnd, exec};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;
use tokio_util::sync::CancellationToken;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

// The first byte selects how the command runs, the second is the length of its line, and the rest is its input.
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

/// The text between single quotes, as every shell reads it.
fn escaped(text: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'\'').collect();
    parts.join(&b"'\\''"[..])
}

/// The file has the given name at the top of the home, and the sent content. Paths to other places are not checked.
fn assert_stored(name: &[u8], sent: &[u8]) {
    if !name.contains(&b'/') && name != b"out" {
        let found = std::fs::read(WORLD.home().join(OsStr::from_bytes(name)));
        assert_eq!(found.expect("a file of that name"), sent);
    }
}
