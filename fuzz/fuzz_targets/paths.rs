//! Any bytes joined to any path. The result must be well formed: absolute, one slash between two names, `.` only at the
//! end, no NUL, not too long. Its names and `..` are those of its parts. Joining it again must not change it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome_wire::{MAX_PATH, PathError, RemotePath};

// A line feed ends a step. It is an ordinary byte of a name, so it does not matter that no name contains one.
fuzz_target!(|input: &[u8]| {
    let mut here = RemotePath::root();
    for step in input.split(|byte| *byte == b'\n') {
        match here.join(step) {
            Ok(path) => {
                check(&path);
                assert_eq!(here.join(path.as_bytes()).as_ref(), Ok(&path));
                let base = if step.starts_with(b"/") { &b""[..] } else { here.as_bytes() };
                assert!(names(path.as_bytes()).eq(names(base).chain(names(step))));
                here = path;
            }
            Err(PathError::Nul) => assert!(step.contains(&0)),
            Err(PathError::TooLong) => assert!(here.as_bytes().len() + step.len() >= MAX_PATH),
        }
    }
});

/// The components that the kernel walks through.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

fn check(path: &RemotePath) {
    let bytes = path.as_bytes();
    assert!(bytes.len() <= MAX_PATH && !bytes.contains(&0));
    let Some((parent, last)) = path.split() else {
        assert_eq!(bytes, b"/");
        return;
    };
    let rest = bytes.strip_prefix(b"/").expect("a path is absolute");
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    let before = rest.strip_suffix(b"/.").unwrap_or(if rest == b"." { b".." } else { rest });
    assert!(before.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b".")));
    let slash: &[u8] = if bytes.ends_with(b"/") { b"/" } else { b"" };
    assert_eq!(parent.join(&[last, slash].concat()).as_ref(), Ok(path));
    assert_eq!(path.file_name().is_none(), matches!(last, b"." | b".."));
    assert_eq!(path.names_directory(), matches!(last, b"." | b"..") || !slash.is_empty());
}
