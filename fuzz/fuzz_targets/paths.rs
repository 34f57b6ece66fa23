//! Any bytes joined to any path. The result must be in normal form: absolute, no empty name, no `.`
//! or `..`, no NUL, no slash at the end, not too long; and joined again it must stay the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome_wire::{MAX_PATH, PathError, RemotePath};

// A line feed ends a step. It is an ordinary byte of a name, so nothing is lost by never being in one.
fuzz_target!(|input: &[u8]| {
    let mut here = RemotePath::root();
    for step in input.split(|byte| *byte == b'\n') {
        match here.join(step) {
            Ok(path) => {
                check(&path);
                assert_eq!(here.join(path.as_bytes()).as_ref(), Ok(&path));
                here = path;
            }
            Err(PathError::Nul) => assert!(step.contains(&0)),
            Err(PathError::TooLong) => assert!(here.as_bytes().len() + step.len() >= MAX_PATH),
        }
    }
});

fn check(path: &RemotePath) {
    let bytes = path.as_bytes();
    assert!(bytes.len() <= MAX_PATH && !bytes.contains(&0));
    let Some((parent, name)) = path.split() else {
        assert_eq!(bytes, b"/");
        return;
    };
    let rest = bytes.strip_prefix(b"/").expect("a path is absolute");
    for name in rest.split(|byte| *byte == b'/') {
        assert!(!matches!(name, b"" | b"." | b".."));
    }
    assert_eq!(parent.join(name).as_ref(), Ok(path));
    assert_eq!(path.file_name(), Some(name));
    assert_eq!(RemotePath::root().join(path.relative()).as_ref(), Ok(path));
}
