//! Each command of `ssh HOST COMMAND`, and scp's old protocol, with each access.

use crate::world::{ACCESSES, Became, Scene, host};
use sshome_e2e::Commands;

/// The command line, in which `@` is the scene's folder; its input; its result with each access.
const OPERATIONS: &[(&str, &[u8], &str)] = &[
    ("help", b"", "yyyy"),
    ("exit", b"", "yyyy"),
    ("true", b"", "yyyy"),
    ("pwd", b"", "yyyy"),
    ("ls @", b"", "yyyd"),
    ("ls -lR @", b"", "yyyd"),
    ("ls -d @/dir", b"", "yyyy"),
    ("stat @/old", b"", "yyyy"),
    ("df", b"", "yyyy"),
    ("mkdir @/new", b"", "ydyy"),
    ("mkdir -p @/new/deep", b"", "ydyy"),
    ("rmdir @/empty", b"", "ydpp"),
    ("rm @/old", b"", "ydpp"),
    ("rm -f @/old", b"", "ydpp"),
    ("rm -r @/dir", b"", "ydpp"),
    ("mv @/old @/new", b"", "ydpp"),
    ("mv @/old @/dir/f", b"", "ydpp"),
    ("cp @/old @/new", b"", "ydyd"),
    ("cp @/old @/dir/f", b"", "ydpd"),
    ("cp -r @/dir @/new", b"", "ydyd"),
    ("get @/old", b"", "yyyd"),
    ("cat @/old", b"", "yyyd"),
    ("put @/new", b"new", "ydyy"),
    ("put @/old", b"new", "ydpp"),
    ("put @/old", b"old", "ydyp"),
    ("put --size 3 @/old", b"old", "ydyp"),
    ("md5sum @/old", b"", "yyyd"),
    ("sha1sum @/old", b"", "yyyd"),
    ("sha256sum @/old", b"", "yyyd"),
    ("sha512sum @/old", b"", "yyyd"),
    ("b3sum @/old", b"", "yyyd"),
    ("b3sum", b"input", "yyyy"),
    ("scp -f @/old", b"\0\0\0\0", "yyyd"),
    ("scp -r -f @/dir", b"\0\0\0\0\0\0\0\0", "yyyd"),
    ("scp -t @/new", b"C0644 3 new\nnew\0", "ydyy"),
    ("scp -t @/old", b"C0644 3 old\nnew\0", "ydpp"),
    ("scp -p -t @/old", b"T1000000000 0 1000000000 0\nC0644 3 old\nnew\0", "ydpp"),
    ("scp -r -t @", b"D0755 0 new\nC0644 3 f\nnew\0E\n", "ydyy"),
    ("scp -r -p -t @", b"T1000000000 0 1000000000 0\nD0755 0 new\nE\n", "ydyy"),
    ("scp -r -p -t @", b"T1000000000 0 1000000000 0\nD0755 0 dir\nE\n", "ydpp"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_access_allows_its_commands_only() {
    for (access, name) in ACCESSES.into_iter().enumerate() {
        let host = host(name, "").await;
        let commands = Commands::login(&host, "ann").await.unwrap();
        for (number, (line, input, letters)) in OPERATIONS.iter().enumerate() {
            let scene = Scene::plant(&host, number);
            let line = line.replace('@', &scene.path("."));
            let outcome = commands.run(&line, input).await.unwrap();
            let became = match outcome.code {
                Some(0) => Became::Done,
                _ => Became::refused(&(outcome.err() + &outcome.out())),
            };
            scene.check(
                &format!("{line} {:?}: {outcome}", input.escape_ascii().to_string()),
                access,
                became,
                letters,
            );
        }
    }
}
