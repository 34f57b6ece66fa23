//! The documents compared with the repository: the files, tests, modules and pages that they name exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the repository. A name in a document that begins with one of them is a path.
const FOLDERS: [&str; 11] = [
    "xtask/",
    "packaging/",
    "wire/",
    "ssh/",
    "server/",
    "client/",
    "e2e/",
    "bench/",
    "fuzz/",
    "docs/",
    "scripts/",
];

/// The pages whose invariants and guarantees name tests.
const WITH_TESTS: [&str; 2] = ["ARCHITECTURE.md", "docs/guarantees.md"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text without fenced blocks.
fn prose(document: &str) -> String {
    document.split("```").step_by(2).collect()
}

/// The texts between backticks.
fn code_spans(document: &str) -> Vec<String> {
    let lines = prose(document).lines().map(str::to_owned).collect::<Vec<_>>();
    lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Whether the source has a test function of this name.
fn has_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("#[test]") || attributes.contains("#[tokio::test")
}

#[test]
fn every_test_that_a_document_names_exists() {
    for page in WITH_TESTS {
        let document = read(page);
        let tests: BTreeSet<_> = code_spans(&document)
            .into_iter()
            .filter_map(|span| {
                span.split_once(".rs::").map(|(file, name)| (format!("{file}.rs"), name.to_owned()))
            })
            .collect();
        assert!(tests.len() > 20, "{page} names {} tests", tests.len());
        let missing: Vec<_> = tests.iter().filter(|(file, name)| !has_test(&read(file), name)).collect();
        assert!(missing.is_empty(), "{page} names tests that do not exist: {missing:#?}");
    }
}

#[test]
fn every_path_that_a_document_names_exists() {
    // These two name files of russh, and files that only a fuzzing run creates.
    let excluded = ["upstream.md", "fuzzing.md"];
    for page in pages().into_iter().filter(|page| !excluded.iter().any(|name| page.ends_with(name))) {
        let missing: Vec<_> = code_spans(&fs::read_to_string(&page).unwrap())
            .into_iter()
            .filter(|span| FOLDERS.iter().any(|folder| span.starts_with(folder)))
            .map(|span| span.split("::").next().unwrap_or_default().to_owned())
            .filter(|path| !path.contains(' ') && !repository().join(path).exists())
            .collect();
        assert!(missing.is_empty(), "{} names paths that do not exist: {missing:#?}", page.display());
    }
}

#[test]
fn every_module_of_the_code_map_exists() {
    let document = read("ARCHITECTURE.md");
    for folder in ["ssh/src", "server/src", "store/src", "store/posix/src", "client/src"] {
        let heading = format!("\n### {folder}\n");
        let section = document.split_once(&heading).unwrap_or_else(|| panic!("no section {folder}")).1;
        let section = section.split("\n#").next().unwrap_or_default();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
        let modules: Vec<_> = cells.flat_map(|(cell, _)| code_spans(&format!("`{cell}"))).collect();
        assert!(!modules.is_empty(), "{folder} has no modules");
        let top = repository().join(folder);
        let exists =
            |module: &&String| top.join(module).exists() || top.join(format!("{module}.rs")).exists();
        let missing: Vec<_> = modules.iter().filter(|module| !exists(module)).collect();
        assert!(missing.is_empty(), "the code map of {folder} names modules that do not exist: {missing:#?}");
    }
}

/// All pages at the top of the repository and in `docs`.
fn pages() -> Vec<PathBuf> {
    let folders = [repository(), repository().join("docs"), repository().join("docs/adr")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The anchor that a heading gets: lower case, hyphens for blanks, no punctuation.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (path, fragment) = link.split_once('#').map_or((link, None), |(path, to)| (path, Some(to)));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let leads = match fragment {
                None => target.exists(),
                Some(fragment) => {
                    let target = fs::read_to_string(&target).unwrap_or_default();
                    target.lines().any(|line| line.starts_with('#') && anchor(line) == fragment)
                }
            };
            if !leads {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(count > 50, "{count} links");
    assert!(wrong.is_empty(), "links that lead nowhere: {wrong:#?}");
}
