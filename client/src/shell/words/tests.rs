//! Words of lines, whole and half typed.

use super::*;

fn words(line: &str) -> Vec<Vec<u8>> {
    split(line.as_bytes()).unwrap().iter().map(Word::bytes).collect()
}

#[test]
fn quotes_work_as_in_a_shell() {
    for (line, want) in [
        ("", vec![]),
        ("   ", vec![]),
        ("put a  b", vec!["put", "a", "b"]),
        (r#"a"b c"'d e'f\ g"#, vec!["ab cd ef g"]),
        (r#"'' """#, vec!["", ""]),
        (r#""a\"b\\c\$d\e""#, vec![r#"a"b\c$d\e"#]),
        (r"'a\b'", vec![r"a\b"]),
        (r"a#b #c", vec!["a#b"]),
        (r"a\  ", vec!["a "]),
        (r"$HOME $'a\tb\x41\''", vec!["$HOME", "a\tbA'"]),
    ] {
        assert_eq!(
            words(line),
            want.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>(),
            "{line}"
        );
    }
}

#[test]
fn a_comment_ends_a_line_unless_it_is_quoted() {
    let left = |line: &str| {
        let words = split(line.as_bytes()).unwrap();
        words.iter().map(|word| String::from_utf8(word.bytes()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(left("put a # don't \"ask\\"), ["put", "a"]);
    assert_eq!(left("put a#b \\#c '#d'"), ["put", "a#b", "#c", "#d"]);
    assert!(left("# nothing").is_empty());
}

#[test]
fn an_unfinished_line_is_refused() {
    assert_eq!(split(b"a 'b"), Err(WordsError::Open("'…'")));
    assert_eq!(split(b"a \"b\\"), Err(WordsError::Open("\"…\"")));
    assert_eq!(split(b"a\\"), Err(WordsError::Backslash));
    assert_eq!(split(br"$'\x4"), Err(WordsError::Open("$'…'")));
    assert_eq!(split(br"$'\x4g'"), Err(WordsError::Escape));
    assert_eq!(split(br"$'\q'"), Err(WordsError::Escape));
}

#[test]
fn quoted_patterns_are_not_globs() {
    let globs = |line: &[u8]| split(line).unwrap().iter().map(Word::is_glob).collect::<Vec<_>>();
    assert_eq!(globs(br#"* '*' "?" \[a] [a] a'*'b*"#), [true, false, false, false, true, true]);
    assert!(Word::plain(b"*.txt").unescaped().is_glob());
    assert!(!Word::plain(br"\*.txt").unescaped().is_glob());
    for (argument, means) in [
        (&br"a\b\*"[..], &br"a\b*"[..]),
        (br"report\[1\].txt", b"report[1].txt"),
        (br"we\\\*ird", br"we\*ird"),
        (br"a\\b\]", br"a\\b\]"),
    ] {
        assert_eq!(Word::plain(argument).unescaped().bytes(), means);
    }
}

#[test]
fn quoted_words_parse_to_the_original() {
    for name in [
        &b"plain"[..],
        b"",
        b"a b",
        b"'\"\\*?[]$`",
        b"\xff\xfe",
        b"a\nb\x1b[2J",
        "日本 ü\u{202e}".as_bytes(),
        b"-n",
        b"~",
        b"#",
        b" blanks ",
    ] {
        let quoted = quote(name);
        assert_eq!(words(&quoted), [name.to_vec()], "{quoted}");
        assert!(!split(quoted.as_bytes()).unwrap()[0].is_glob());
        assert!(!quoted.contains(|c: char| c.is_control()));
    }
    assert_eq!(quote(b"a\xffb"), r"a$'\xff'b");
    assert_eq!(quote(b"a~#b"), "a~#b");
    assert_eq!(quote("grüße.txt".as_bytes()), "grüße.txt");
}

#[test]
fn the_last_word_of_an_unfinished_line_is_found() {
    let all = [("", 0, ""), ("ge", 0, "ge"), ("get 'a b", 4, "a b"), ("get x a\\", 6, "a")];
    for (line, start, last) in all {
        let typed = partial(line.as_bytes()).unwrap();
        assert_eq!((typed.start, typed.last.bytes()), (start, last.as_bytes().to_vec()), "{line}");
    }
    assert!(partial(b"get x # a").is_none());
}

#[test]
fn a_pipe_begins_a_local_command_unless_it_is_quoted() {
    let parts = |line: &str| {
        let CommandLine { words, pipe, background } = command_line(line.as_bytes()).unwrap();
        let words: Vec<_> =
            words.iter().map(|word| String::from_utf8_lossy(&word.bytes()).into_owned()).collect();
        (words.join(" "), pipe.map(|local| String::from_utf8(local).unwrap()), background)
    };
    let part =
        |words: &str, pipe: Option<&str>, background| (words.to_owned(), pipe.map(str::to_owned), background);
    assert_eq!(parts("cat a | grep 'x|y' | wc"), part("cat a", Some("grep 'x|y' | wc"), false));
    assert_eq!(parts("ls|wc -l"), part("ls", Some("wc -l"), false));
    assert_eq!(parts(r"cat 'a|b' c\|d"), part("cat a|b c|d", None, false));
    assert_eq!(parts("ls # a | b"), part("ls", None, false));
    assert_eq!(parts("put a &"), part("put a", None, true));
    assert_eq!(parts("put a&"), part("put a", None, true));
    assert_eq!(parts(r"put a\&"), part("put a&", None, false));
    assert_eq!(parts("put a&b"), part("put a&b", None, false));
    for line in ["| wc", "ls |", "ls || true"] {
        assert_eq!(command_line(line.as_bytes()), Err(WordsError::Pipe), "{line}");
    }
    // In a script a | belongs to a name, as in sftp.
    assert_eq!(split(b"get a|b").unwrap()[1].bytes(), b"a|b");
    assert!(partial(b"cat a | wc").is_none());
}
