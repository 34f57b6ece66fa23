//! Edits of files in several layouts: each commented line would still set the same key.

use super::{Admin, NewUser};
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;

const SHIPPED_USERS_TOML: &str = include_str!("../../../etc/users.toml");

/// Each commented key has a unique value, by which it is found after an edit.
const USERS_TOML_LAYOUTS: [&str; 6] = [
    // Empty lines between the tables.
    "# Settings.\n\n[server]\n#shutdown-grace = 11\n\n[defaults]\nquota = 5\n#max-files = 12\n#own-keys = true\n\n\
     # Ann.\n[users.ann]\nquota = 1\n#max-files = 13\n\n# Bob.\n[users.bob]\nquota = 2\n#max-files = 14\n\n\
     # Cid.\n[users.cid]\n#quota = 15\n# more of cid\n",
    // No empty lines.
    "[defaults]\n#max-files = 11\n[users.ann]\nquota = 1\n#max-files = 12\n# Bob\n[users.bob]\n#quota = 13\n\
     [users.cid]\n#quota = 14\n#max-files = 15",
    // A bare [users] at the end.
    "[defaults]\nquota = 5\n#max-files = 11\n\n[users.ann]\n#quota = 12\n\n[users.bob]\nquota = 2\n\n[users.cid]\n\
     quota = 3\n#max-files = 13\n\n[users]\n# the end\n",
    // Groups of commented keys, and keys of several lines.
    "[users.cid]\nquota = 3\n\n# Slow:\n#max-files = 11   # few\n#     # or more\n\n# Both.\n\n# Bob, of old\n\
     [users.bob] # bob\nquota = 2\n# not so much:\n# quota = 12\n\n#authorized-keys = [\n#    \"a.pub\",\n#]\n\n\
     [users.ann]\nquota.x = 1\n#max-files = 14\n\n[defaults]\n#quota = 15\n",
    // Defaults between users, subtables, arrays of tables and quoted names.
    "[users.ann]\n#quota = 11\n[users.ann.more]\n#max-files = 12\n[defaults]\n#quota = 13\n[users.\"bob\"]\nquota = 2\n\
     #max-files = 14\n[[users.cid.list]]\n#quota = 15\n[[users.cid.list]]\n#quota = 16\n[users.cid]\n#quota = 17\n",
    // Text that looks like a header.
    "[users.ann]\nauthorized-keys = [ # [users.bob]\n  \"a\", # b\n]\n#max-files = 11\n[users.bob]\nroot = \"\"\"\n[users.cid]\n\
     #quota = 9\n\"\"\"\n#max-files = 12\n\n[users.cid]\n#max-files = 13\n",
];

/// A folder with this file, and the `Admin` that edits it.
pub(super) fn folder(text: &str) -> (TempDir, Admin) {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/users.toml"), text).unwrap();
    let admin = Admin::open(dir.path(), None).unwrap();
    (dir, admin)
}

pub(super) fn read(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("etc/users.toml")).unwrap()
}

/// The values of a text by their paths.
fn values(text: &str) -> Option<BTreeMap<String, String>> {
    fn collect(path: &str, value: &toml::Value, found: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::Table(table) => {
                table.iter().for_each(|(key, value)| collect(&format!("{path}.{key}"), value, found));
            }
            value => _ = found.insert(path.to_owned(), value.to_string()),
        }
    }
    let mut found = BTreeMap::new();
    collect("", &toml::Value::Table(text.parse().ok()?), &mut found);
    Some(found)
}

/// The path that each commented line would set without its comment mark, by line. Lines that would set nothing are left
/// out.
fn commented(text: &str) -> BTreeMap<String, String> {
    let before = values(text).unwrap_or_else(|| panic!("{text}"));
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        let one = format!("{}{}", &text[..start], &text[start + 1..]);
        let Some(after) = values(&one) else { continue };
        let new = after.keys().find(|path| before.get(*path) != after.get(*path));
        if let Some(path) = new {
            found.insert(line.to_owned(), path.clone());
        }
    }
    found
}

/// Makes edits, each a user to remove or, after a `+`, to add, and checks all commented lines after each.
fn keeps_comments(text: &str, edits: &[&str]) {
    let (dir, admin) = folder(text);
    let mut before = commented(text);
    for edit in edits {
        let previous = read(&dir);
        match edit.strip_prefix('+') {
            Some(user) => _ = admin.add(user, &NewUser::default()).unwrap(),
            None => {
                admin.remove(edit).unwrap();
                before.retain(|_, path| !path.starts_with(&format!(".users.{edit}.")));
            }
        }
        let after = read(&dir);
        assert_eq!(commented(&after), before, "{edit} of {edits:?} in\n{text}\nis\n{after}");
        // An empty file has no line ends to keep.
        if !previous.is_empty() {
            let crlf = if previous.contains("\r\n") { after.matches('\n').count() } else { 0 };
            assert_eq!(after.matches("\r\n").count(), crlf, "{edit} of {edits:?} in\n{text}");
        }
        let table: toml::Table = after.parse().unwrap();
        let is_in = table.get("users").and_then(|users| users.get(edit.trim_start_matches('+'))).is_some();
        assert_eq!(is_in, edit.starts_with('+'), "{edit} of {edits:?} in\n{after}");
    }
}

#[test]
fn edits_leave_every_commented_line_with_its_table() {
    for text in USERS_TOML_LAYOUTS {
        let crlf = text.replace('\n', "\r\n");
        for text in [text, &crlf] {
            assert!(commented(text).len() >= 3, "{text}");
            for edits in [
                ["ann", "bob", "cid", "+ann", "+eve"],
                ["cid", "bob", "ann", "+eve", "eve"],
                ["bob", "+bob", "ann", "bob", "cid"],
                ["+eve", "+fay", "bob", "eve", "cid"],
                ["bob", "cid", "+eve", "ann", "+ann"],
            ] {
                keeps_comments(text, &edits);
            }
        }
    }
}

#[test]
fn edits_of_the_shipped_file_leave_every_commented_line_with_its_table() {
    let crlf = SHIPPED_USERS_TOML.replace('\n', "\r\n");
    for text in [SHIPPED_USERS_TOML, &crlf] {
        for edits in [&["alex", "zcl", "+sam"][..], &["+sam", "zcl", "+tom", "alex", "sam"]] {
            keeps_comments(text, edits);
        }
    }
    let found = commented(SHIPPED_USERS_TOML);
    assert!(found.values().any(|path| path == ".defaults.own-keys"), "{found:?}");
    assert!(!found.values().any(|path| path.starts_with(".users.")), "{found:?}");
    // Only a comment directly above a setting of [defaults] applies to all users.
    let count = found.values().filter(|path| path.starts_with(".defaults.")).count();
    assert_eq!(count, 6, "{found:?}");
}

#[test]
fn removing_the_demo_users_removes_their_comments() {
    let (dir, admin) = folder(SHIPPED_USERS_TOML);
    admin.remove("zcl").unwrap();
    assert!(
        read(&dir).contains("# A demo user.") && !read(&dir).contains("nother demo user"),
        "{}",
        read(&dir)
    );
    admin.remove("alex").unwrap();
    assert!(!read(&dir).contains("demo user") && !read(&dir).contains("alex"), "{}", read(&dir));
    assert!(
        read(&dir).starts_with(&SHIPPED_USERS_TOML[..SHIPPED_USERS_TOML.find("# A demo user").unwrap() - 1])
    );
}

#[test]
fn a_template_is_kept_when_the_table_before_it_is_removed() {
    let template = "# All settings:\n#\n#[users.sam]\n#quota = 5\n#max-files = 6\n";
    let (dir, admin) = folder(&format!("[users.ann]\nquota = 1\n#max-files = 2\n\n{template}"));
    admin.remove("ann").unwrap();
    assert_eq!(read(&dir), template);
    admin.add("eve", &NewUser::default()).unwrap();
    assert_eq!(read(&dir), format!("{template}\n[users.eve]\n"));
}
