//! The dependencies that crates may have. The compiler does not check them: cargo enables a feature of a dependency for
//! all crates of the workspace if one of them enables it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "that is how tests fail")]

use std::fs;
use std::path::{Path, PathBuf};
use toml::Table;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn manifest(folder: &str) -> Table {
    fs::read_to_string(project().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// The Rust files of a folder and all folders in it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// The features that a crate enables of a dependency.
fn features(dependency: &toml::Value) -> Vec<&str> {
    let named = dependency.get("features").and_then(toml::Value::as_array);
    named.into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

#[test]
fn the_server_opens_files_of_a_home_only_through_the_store() {
    let workspace = manifest(".");
    let shared = &workspace["workspace"]["dependencies"]["rustix"];
    let server = manifest("server");
    let own = &server["dependencies"]["rustix"];
    let enabled = [features(shared), features(own)].concat();
    assert!(enabled.contains(&"process") && !enabled.contains(&"fs"), "{enabled:?}");
    let nix =
        [features(&workspace["workspace"]["dependencies"]["nix"]), features(&server["dependencies"]["nix"])];
    assert!(!nix.concat().iter().any(|feature| ["fs", "dir"].contains(feature)), "{nix:?}");
    let files = sources(&project().join("server/src"));
    assert!(files.len() > 100, "{} files", files.len());
    for file in files {
        let text: String = fs::read_to_string(&file).unwrap().split_whitespace().collect();
        for words in
            ["rustix::fs", "rustix::{", "rustix::*", "rustixas", "nix::fcntl", "nix::dir", "nix::sys::stat"]
        {
            assert!(!text.contains(words), "{} has `{words}`: use std, or the store", file.display());
        }
    }
}

/// A crate's dependencies, except those of tests and of optional features.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = manifest(folder);
    let all = manifest["dependencies"].as_table().unwrap();
    let is_optional =
        |value: &toml::Value| value.get("optional").and_then(toml::Value::as_bool) == Some(true);
    all.iter().filter(|(_, value)| !is_optional(value)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_storage_seam_knows_no_runtime_no_ssh_and_no_system_calls() {
    // The account of the tests may not run cargo: `.ci/run` checks the indirect dependencies.
    assert_eq!(dependencies("store"), ["sshome-wire", "thiserror"]);
    assert_eq!(dependencies("wire"), ["blake3", "bytes", "postcard", "serde", "thiserror"]);
}
