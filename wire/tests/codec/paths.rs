//! What holds for every path that can be made of bytes.

use super::strategies::name;
use proptest::collection::vec;
use proptest::prelude::*;
use sshome_wire::{MAX_PATH, PathError, RemotePath};

/// Paths that climb, repeat slashes and stay where they are, more often than bytes at random do.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let component = prop_oneof![
        3 => Just(b"..".to_vec()),
        1 => Just(b".".to_vec()),
        1 => Just(Vec::new()),
        1 => Just(vec![b'n'; 255]),
        4 => name(),
    ];
    let short = vec(component.clone(), 0..8).prop_map(|names| names.join(&b'/'));
    let long = vec(component, 20..60).prop_map(|names| names.join(&b'/'));
    prop_oneof![4 => short, 1 => long]
}

/// A path of the type; the top where the bytes make none.
fn base() -> impl Strategy<Value = RemotePath> {
    path().prop_map(|bytes| RemotePath::root().join(&bytes).unwrap_or_else(|_| RemotePath::root()))
}

/// What the type promises: names and `..`, one slash between two, and at the end what tells of a directory.
fn is_well_formed(path: &RemotePath) -> bool {
    let bytes = path.as_bytes();
    let names = bytes.strip_suffix(b"/.").or(bytes.strip_suffix(b"/")).unwrap_or(bytes);
    let name = |name: &[u8]| !matches!(name, b"" | b".") && !name.contains(&0);
    bytes.len() <= MAX_PATH
        && bytes.starts_with(b"/")
        && (names.is_empty()
            || names.strip_prefix(b"/").is_some_and(|names| names.split(|b| *b == b'/').all(name)))
}

proptest! {
    #[test]
    fn a_joined_path_is_well_formed(base in base(), path in path()) {
        if let Ok(joined) = base.join(&path) {
            prop_assert!(is_well_formed(&joined), "{joined}");
        }
    }

    #[test]
    fn a_path_is_refused_only_for_a_nul_or_its_length(base in base(), path in path()) {
        match base.join(&path) {
            Ok(_) => prop_assert!(!path.contains(&0) && path.len() <= MAX_PATH),
            Err(PathError::Nul) => prop_assert!(path.contains(&0)),
            Err(PathError::TooLong) => {
                prop_assert!(path.len() + base.as_bytes().len() >= MAX_PATH);
            }
        }
    }

    #[test]
    fn a_joined_path_joins_to_itself_anywhere(base in base(), elsewhere in base(), path in path()) {
        if let Ok(joined) = base.join(&path) {
            prop_assert_eq!(elsewhere.join(joined.as_bytes()), Ok(joined));
        }
    }

    #[test]
    fn joining_in_two_steps_is_joining_in_one(base in base(), first in path(), second in path()) {
        prop_assume!(!second.starts_with(b"/"));
        let whole = [&first[..], &second].join(&b'/');
        let steps = base.join(&first).and_then(|directory| directory.join(&second));
        if let (false, false, Ok(steps), Ok(whole)) =
            (first.is_empty(), second.is_empty(), steps, base.join(&whole))
        {
            prop_assert_eq!(steps, whole);
        }
    }

    #[test]
    fn joining_keeps_every_name_and_every_dot_dot(base in base(), path in path()) {
        let names = |path: &[u8]| -> Vec<Vec<u8>> {
            let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
            names.map(<[u8]>::to_vec).collect()
        };
        if let Ok(joined) = base.join(&path) {
            let before = if path.starts_with(b"/") { Vec::new() } else { names(base.as_bytes()) };
            prop_assert_eq!(names(joined.as_bytes()), [before, names(&path)].concat());
            let named = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            prop_assert_eq!(joined.names_directory(), matches!(named, b"" | b"." | b".."));
        }
    }

    #[test]
    fn the_components_of_a_path_join_to_that_path(path in base()) {
        let names: Vec<_> = path.components().collect();
        let slash: &[u8] = if path.as_bytes().ends_with(b"/") && !names.is_empty() { b"/" } else { b"" };
        let again = [&b"/"[..], &names.join(&b'/'), slash].concat();
        prop_assert_eq!(&again[..], path.as_bytes());
        if let Some((parent, last)) = path.split() {
            prop_assert!(is_well_formed(&parent));
            prop_assert_eq!(names.last(), Some(&last));
            prop_assert_eq!(path.file_name(), Some(last).filter(|last| !matches!(*last, b"." | b"..")));
            prop_assert_eq!(parent.join(&[last, slash].concat()), Ok(path));
        } else {
            prop_assert_eq!(path, RemotePath::root());
        }
    }
}

#[test]
fn a_joined_path_may_reach_the_maximum_length_and_not_exceed_it() {
    let half = vec![b'a'; MAX_PATH / 2];
    let base = RemotePath::root().join(&half).unwrap();
    let most = vec![b'b'; MAX_PATH - base.as_bytes().len() - 1];
    assert_eq!(base.join(&most).unwrap().as_bytes().len(), MAX_PATH);
    assert_eq!(base.join(&[&most[..], b"b"].concat()), Err(PathError::TooLong));
}
