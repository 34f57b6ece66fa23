//! Any text as lines of `authorized_keys`, which users may install for themselves. A mistake names an existing line. A
//! key that was read and written as a line is the same key, without restrictions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshomed::accounts::{AuthorizedKey, looks_like_a_line};
use std::net::IpAddr;

const SOMEWHERE: [IpAddr; 2] =
    [IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

fuzz_target!(|text: &str| {
    match AuthorizedKey::parse_file(text) {
        Ok(keys) => keys.iter().for_each(check),
        Err((line, error)) => {
            assert!((1..=text.lines().count().max(1)).contains(&line), "line {line}: {error}");
            assert!(!error.to_string().is_empty());
        }
    }
});

fn check(key: &AuthorizedKey) {
    let line = key.to_line().expect("a key that was read can be written");
    assert!(looks_like_a_line(&line), "{line}");
    assert!(!line.contains('\n'), "{line}");
    let again = AuthorizedKey::parse(&line).expect("what was written can be read");
    assert!(again.is(key.public_key()) && !again.is_restricted_by_address());
    assert_eq!((again.fingerprint(), again.comment()), (key.fingerprint(), key.comment()));
    for from in SOMEWHERE {
        assert!(again.opens(key.public_key(), from));
        assert!(key.opens(key.public_key(), from) || key.is_restricted_by_address());
    }
}
