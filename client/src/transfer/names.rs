//! File names: checks of names from the server, and the names of unfinished and differing files.

use std::hash::{BuildHasher, RandomState};

/// The suffix of an unfinished file.
const PART_SUFFIX: &[u8] = b".sshome-part";

/// The largest number of simultaneous gets of one name.
const MAX_PART_NAMES: usize = 5;

/// The suffix of a file that is saved beside a different one with its name.
const NEW_SUFFIX: &[u8] = b".new";

/// The highest number of such a name: `NAME.new.1` and so on.
const MAX_NEW_NUMBER: u32 = 9999;

/// The longest file name that common filesystems allow, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Says why a name must not be used as one component of a local path for a new file.
///
/// # Errors
/// As of [`check_component`], and if it is one of our names for unfinished files.
pub(super) fn check(name: &[u8]) -> Result<(), &'static str> {
    check_component(name)?;
    if is_part(name) { Err("this name is reserved for unfinished files") } else { Ok(()) }
}

/// Says why a name must not be used as one component of a local path.
///
/// # Errors
/// If it is not a single name, or if it has a special meaning on this system.
pub(super) fn check_component(name: &[u8]) -> Result<(), &'static str> {
    match name {
        b"" => Err("the server sent an empty name"),
        b"." | b".." => Err("the server sent a name that means a directory"),
        name if name.contains(&b'/') || name.contains(&0) => {
            Err("the server sent a name with a slash or a NUL")
        }
        name if cfg!(windows) && !fits_windows(name) => Err("this system cannot have a file of this name"),
        _ => Ok(()),
    }
}

/// The names of an unfinished file, the usual one first. The others are for simultaneous gets of the same name.
pub(super) fn parts(name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let room = MAX_NAME_BYTES.saturating_sub(PART_SUFFIX.len() + 3);
    let stem = if name.len() <= room {
        name.to_vec()
    } else {
        // Too long with the suffix: the digest of the name is used instead.
        blake3::hash(name).to_hex().as_bytes().to_vec()
    };
    let other = |number| format!(".{number}").into_bytes();
    std::iter::once(Vec::new())
        .chain((2..=MAX_PART_NAMES).map(other))
        .map(move |number| [b".", &*stem, &*number, PART_SUFFIX].concat())
}

/// An unpredictable name for an unfinished file, for a directory in which other users have taken the usual ones.
pub(super) fn unguessable_part(name: &[u8]) -> Vec<u8> {
    let random = RandomState::new().hash_one(name);
    let stem = match name.len() <= MAX_NAME_BYTES.saturating_sub(PART_SUFFIX.len() + 18) {
        true => name.to_vec(),
        false => blake3::hash(name).to_hex().as_bytes().to_vec(),
    };
    [b".", &*stem, format!(".{random:016x}").as_bytes(), PART_SUFFIX].concat()
}

/// The names for a file whose own name belongs to a different file, in the order in which they are tried: `NAME.new`,
/// `NAME.new.1`, and so on.
pub(super) fn beside(name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let first = [name, NEW_SUFFIX].concat();
    let numbered = first.clone();
    std::iter::once(first)
        .chain((1..=MAX_NEW_NUMBER).map(move |number| [&*numbered, format!(".{number}").as_bytes()].concat()))
}

/// Whether [`beside`] generates such a name.
pub(super) fn is_beside(name: &[u8]) -> bool {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (stem, _) = name.split_at(name.len() - digits);
    name.ends_with(NEW_SUFFIX)
        || digits > 0 && stem.strip_suffix(b".").is_some_and(|stem| stem.ends_with(NEW_SUFFIX))
}

/// Whether a file is an unfinished one, or was saved beside a different one. `exists` tells whether its directory has a
/// name.
pub(super) fn is_unfinished(name: &[u8], exists: impl Fn(&[u8]) -> bool) -> bool {
    let saved_beside = || {
        let stem = name.windows(NEW_SUFFIX.len()).rposition(|part| part == NEW_SUFFIX);
        stem.and_then(|at| name.get(..at)).is_some_and(&exists)
    };
    is_part(name) || is_beside(name) && saved_beside()
}

/// Whether a name is one for an unfinished file.
pub(super) fn is_part(name: &[u8]) -> bool {
    name.starts_with(b".") && name.ends_with(PART_SUFFIX)
}

fn fits_windows(name: &[u8]) -> bool {
    let forbidden = |byte: &u8| *byte < 32 || br#"\:*?"<>|"#.contains(byte);
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or(name).to_ascii_lowercase();
    let device = matches!(
        stem.as_slice(),
        b"con" | b"prn" | b"aux" | b"nul" | [b'c', b'o', b'm', b'1'..=b'9'] | [b'l', b'p', b't', b'1'..=b'9']
    );
    !device && !name.iter().any(forbidden) && !name.ends_with(b".") && !name.ends_with(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_names_are_accepted() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"../x", b"a\0b", b".x.sshome-part"] {
            assert!(check(name).is_err(), "{name:?}");
        }
        for name in [&b"a"[..], b"...", b"..a", b"a\\b\xff", b"x.sshome-part", b".sshome"] {
            assert!(check(name).is_ok() || cfg!(windows), "{name:?}");
        }
    }

    #[test]
    fn a_partial_file_has_a_valid_and_unique_name() {
        let part = |name: &[u8]| parts(name).next().unwrap();
        assert_eq!(part(b"a.iso"), b".a.iso.sshome-part");
        assert_eq!(parts(b"a").nth(1).unwrap(), b".a.2.sshome-part");
        let long = vec![b'x'; MAX_NAME_BYTES];
        for length in MAX_NAME_BYTES - 30..MAX_NAME_BYTES {
            assert!(parts(&long[..length]).all(|part| part.len() <= MAX_NAME_BYTES && check(&part).is_err()));
        }
        assert_ne!(part(&long), part(&long[1..]));
        assert_eq!(parts(b"a").count(), MAX_PART_NAMES);
        for name in [&b"a"[..], &long] {
            let part = unguessable_part(name);
            assert!(part.len() <= MAX_NAME_BYTES && check(&part).is_err());
            assert_ne!(part, unguessable_part(name));
        }
    }

    #[test]
    fn names_beside_an_existing_one_are_numbered() {
        let names: Vec<Vec<u8>> = beside(b"a.1").take(3).collect();
        assert_eq!(names, [&b"a.1.new"[..], b"a.1.new.1", b"a.1.new.2"]);
        assert!(names.iter().all(|name| is_beside(name)));
        for name in [&b"a"[..], b"new", b"a.new.", b"a.new.x1", b"a.1", b"1", b""] {
            assert!(!is_beside(name), "{name:?}");
        }
    }

    #[test]
    fn windows_device_names_are_recognized() {
        for name in [&b"con"[..], b"NUL.txt", b"com1", b"lpt9.x", b"a:b", b"a.", b"a\\b"] {
            assert!(!fits_windows(name), "{name:?}");
        }
        for name in [&b"console"[..], b"com", b"a.con", b"common", b"nul1x"] {
            assert!(fits_windows(name), "{name:?}");
        }
    }
}
