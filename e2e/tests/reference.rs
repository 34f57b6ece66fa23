//! The generated tables of the documents, compared with the program: the commands of `sshome`, those of
//! `ssh HOST COMMAND`, and the settings. `SSHOME_UPDATE_DOCS=1 cargo test -p sshome-e2e --test reference` writes them.

use sshome::shell::COMMANDS;
use sshome_e2e::{Host, run};
use sshomed::config::SETTING_TABLES;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Compares a generated part of a page, which is between two lines with its name, with `expected`; or writes it.
fn check(page: &str, part: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- generated: {part}: begin -->");
    let end = format!("<!-- generated: {part}: end -->");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no line {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no line {end}"));
    let new = format!("{before}{begin}\n\n{}\n\n{end}{after}", expected.trim());
    if std::env::var_os("SSHOME_UPDATE_DOCS").is_some() {
        return fs::write(&path, new).unwrap();
    }
    assert!(text == new, "{page}: {part} are out of date: run this test with SSHOME_UPDATE_DOCS=1");
}

/// The table's lines, with the bars in cells escaped.
fn table(head: &str, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = format!("{head}\n|{}\n", "---|".repeat(head.matches('|').count() - 1));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(out, "| {} |", cells.join(" | ")).unwrap();
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_of_commands_is_current() {
    let rows = COMMANDS.iter().map(|command| {
        let aliases: Vec<_> = command.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        vec![format!("`{}`", command.synopsis()), aliases.join(", "), command.summary.to_owned()]
    });
    check("docs/commands.md", "commands of sshome", &table("| command | also | what it does |", rows));
    let host = Host::with_user("ann", "").await.unwrap();
    let help = run(&host, "ann", b"help", b"").await.unwrap().out();
    let lines: Vec<_> = help.lines().collect();
    let rows = lines.chunks(2).map(|pair| match pair {
        [usage, what] if what.starts_with("        ") => vec![format!("`{usage}`"), what.trim().to_owned()],
        other => panic!("{other:?} is not a command of help"),
    });
    check("docs/commands.md", "commands over ssh", &table("| command | what it does |", rows));
}

#[test]
fn the_reference_of_settings_is_current() {
    let mut out = String::new();
    for (name, settings) in &SETTING_TABLES {
        let rows = settings.iter().map(|setting| {
            let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
            vec![format!("`{}`", setting.name), default, setting.summary.to_owned()]
        });
        let table = table("| setting | default | meaning |", rows);
        let names: Vec<_> = name.split(" and ").map(|name| format!("`{name}`")).collect();
        writeln!(out, "## {}\n\n{table}", names.join(" and ")).unwrap();
    }
    check("docs/settings.md", "settings", &out);
}
