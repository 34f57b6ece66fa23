//! docs/clients.md compared with the tests: each statement names its test, and each test is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/clients.md");

/// The tests of one test program, as `PROGRAM TEST`, with names as in `cargo test --test PROGRAM`.
fn tests_of(program: &str) -> BTreeSet<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut found = BTreeSet::new();
    let mut files = vec![(format!("{program} "), top.join(format!("{program}.rs")))];
    let mut folders = vec![(format!("{program} "), top.join(program))];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push((format!("{prefix}{module}::"), path));
            } else if ["main", "mod"].contains(&module) {
                files.push((prefix.clone(), path));
            } else {
                files.push((format!("{prefix}{module}::"), path));
            }
        }
    }
    for (prefix, file) in files {
        let source = fs::read_to_string(file).unwrap_or_default();
        for attribute in ["\n#[test]", "\n#[tokio::test"] {
            // The rest of the attribute, and other attributes, precede the function.
            let functions = source.split(attribute).skip(1).filter_map(|rest| rest.split_once("fn "));
            let names = functions.filter_map(|(_, rest)| rest.split_once('(')).map(|(name, _)| name);
            found.extend(names.map(|name| format!("{prefix}{name}")));
        }
    }
    found
}

/// The tests that the rows name in the last column: `PROGRAM TEST`.
fn named() -> BTreeSet<String> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_suffix("` |"));
    let last = rows.filter_map(|row| row.rsplit_once("| `")).map(|(_, cell)| cell);
    last.flat_map(|cell| cell.split("`, `")).map(str::to_owned).collect()
}

#[test]
fn the_document_and_the_tests_agree() {
    let named = named();
    for test in &named {
        let program = test.split_once(' ').map_or("", |(program, _)| program);
        assert!(tests_of(program).contains(test), "docs/clients.md names a test that is not there: {test}");
    }
    for program in ["clients", "openssh_sftp"] {
        let tests = tests_of(program).into_iter().filter(|test| !test.starts_with("clients document::"));
        let left_out: Vec<_> = tests.filter(|test| !named.contains(test)).collect();
        assert!(left_out.is_empty(), "docs/clients.md does not name {left_out:?}");
    }
}
