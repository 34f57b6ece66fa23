//! Any line as a command of the client, typed or from a batch file. Quoted words are read back unchanged. An error
//! message has no control characters. Matching a pattern ends, and a quoted name matches itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome::shell::flag::PARTIAL_LETTER;
use sshome::shell::parse_command;
use sshome::shell::words::{Word, partial, quote, split};
use sshome_ssh::Glob;

fuzz_target!(|line: &[u8]| {
    drop(partial(line));
    match split(line) {
        Ok(words) => check(&words),
        Err(error) => assert_calm(&error.to_string()),
    }
    let quoted = quote(line);
    assert_calm(&quoted);
    let again: Vec<Vec<u8>> = split(quoted.as_bytes()).expect("quotes").iter().map(Word::bytes).collect();
    assert_eq!(again, [line]);
});

fn check(words: &[Word]) {
    let quoted: Vec<String> = words.iter().map(|word| quote(&word.bytes())).collect();
    let again = split(quoted.join(" ").as_bytes()).expect("quotes");
    let bytes = |words: &[Word]| words.iter().map(Word::bytes).collect::<Vec<_>>();
    assert_eq!(bytes(&again), bytes(words));
    assert!(again.iter().all(|word| !word.is_glob()));
    for (word, other) in words.iter().zip(words.iter().skip(1)) {
        let pattern = Glob::shell(word.letters());
        // The result does not matter, but it must end.
        let _ = pattern.matches(&other.bytes());
        assert!(word.is_glob() || pattern.matches(&word.bytes()));
    }
    match parse_command(words) {
        Ok(Some(invocation)) => {
            let (least, most) = invocation.command.operands;
            let given = invocation.operands.len();
            assert!(given <= most && (given >= least || invocation.has(PARTIAL_LETTER)));
        }
        Ok(None) => assert!(words.is_empty()),
        Err(error) => assert_calm(&error.to_string()),
    }
}

fn assert_calm(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}
