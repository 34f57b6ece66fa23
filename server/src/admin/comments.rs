//! Comments and the tables that they belong to.
//!
//! A comment right below a table's keys, up to the next empty line, is the table's: perhaps a key that is not used,
//! as `#own-keys = true`, which somebody will take the mark away from. The parser has it before the next table, or
//! at the file's end. So a new table comes after all that is there, and a table that is removed takes its own
//! comments along and leaves those of others where they are.

use toml_edit::{Decor, DocumentMut, Item, Table};

/// Puts the user's new table at the end of the file, after all comments, with an empty line before it.
pub(super) fn place_last(document: &mut DocumentMut, user: &str) {
    let last = last_position(document.as_table());
    let trailing = document.trailing().as_str().unwrap_or_default();
    let mut before = trailing.to_owned();
    if !before.is_empty() && !before.ends_with('\n') {
        before.push('\n');
    }
    // An empty line, unless there is one already.
    if !before.ends_with("\n\n") && before != "\n" {
        before.push('\n');
    }
    let table = document.get_mut("users").and_then(|users| users.get_mut(user)).and_then(Item::as_table_mut);
    let Some(table) = table else { return };
    table.set_position(Some(last + 1));
    *table.decor_mut() = Decor::new(before, "");
    document.set_trailing("");
}

/// The position of the last table in the file.
fn last_position(within: &Table) -> isize {
    let tables = within.iter().filter_map(|(_, item)| item.as_table());
    let last = tables.map(|table| table.position().unwrap_or_default().max(last_position(table))).max();
    last.unwrap_or_default()
}

/// What is to be done with the comments around a table that was removed: those right below its keys go with it, and
/// so does the one right above it. What an empty line sets apart is about more than this table, and stays.
pub(super) fn keep_others(removed: &Item, document: &mut DocumentMut) {
    let Some(table) = removed.as_table() else { return };
    let above = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    let kept = match above.rsplit_once("\n\n") {
        Some((kept, _)) if !kept.trim().is_empty() => format!("{kept}\n"),
        _ => String::new(),
    };
    let position = table.position();
    change_text_after(document, position, |below, is_end| {
        let (own, rest) = match below.split_once("\n\n") {
            _ if below.starts_with('\n') => ("", below),
            Some((own, rest)) if !is_table(own) => (own, rest),
            None if is_end && !is_table(below) => (below, ""),
            _ => ("", below),
        };
        let is_apart = rest.is_empty() || rest.starts_with('\n') || (kept.is_empty() && own.is_empty());
        format!("{kept}{}{rest}", if is_apart { "" } else { "\n" })
    });
}

/// Whether a comment holds the head of a table: then it is about that.
fn is_table(comment: &str) -> bool {
    comment.lines().any(|line| line.trim_start_matches(['#', ' ']).starts_with('['))
}

/// Removes a key of a user's table. The comments above it stay, before what comes after it.
pub(super) fn unset(document: &mut DocumentMut, user: &str, key: &str) {
    let table = document.get_mut("users").and_then(|users| users.get_mut(user));
    let Some(table) = table.and_then(Item::as_table_like_mut) else { return };
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let above = table.key(key).and_then(|key| key.leaf_decor().prefix()?.as_str().map(str::to_owned));
    table.remove(key);
    let above = above.unwrap_or_default();
    if above.trim().is_empty() {
        return;
    }
    let next = keys.iter().skip_while(|name| *name != key).nth(1);
    if let Some(mut next) = next.and_then(|next| table.key_mut(next)) {
        let own = next.leaf_decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let prefix = format!("{above}{own}");
        next.leaf_decor_mut().set_prefix(prefix);
        return;
    }
    let position = document.get("users").and_then(|users| users.get(user)).and_then(Item::as_table);
    let position = position.and_then(Table::position);
    change_text_after(document, position, |below, _| format!("{above}{below}"));
}

/// Changes the text between the table at a position and what comes next: a table, or the file's end. The change is told
/// whether it is the end.
fn change_text_after(
    document: &mut DocumentMut,
    position: Option<isize>,
    change: impl FnOnce(&str, bool) -> String,
) {
    match next_table(document.as_table_mut(), position) {
        Some(next) => {
            let text =
                change(next.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default(), false);
            next.decor_mut().set_prefix(text);
        }
        None => {
            let text = change(document.trailing().as_str().unwrap_or_default(), true);
            document.set_trailing(text);
        }
    }
}

/// The first table whose header comes after `position` in the file.
fn next_table(within: &mut Table, position: Option<isize>) -> Option<&mut Table> {
    let tables = within.iter_mut().filter_map(|(_, item)| item.as_table_mut());
    let later = tables.filter_map(|table| {
        let is_later = !table.is_implicit() && table.position() > position;
        if is_later { Some(table) } else { next_table(table, position) }
    });
    later.min_by_key(|table| table.position())
}

#[cfg(test)]
mod tests {
    use crate::admin::{Admin, NewUser, UserSettings};
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use tempfile::TempDir;

    /// A folder with this file, and who edits it.
    fn folder(text: &str) -> (TempDir, Admin) {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/users.toml"), text).unwrap();
        let admin = Admin::open(dir.path(), None).unwrap();
        (dir, admin)
    }

    fn text(dir: &TempDir) -> String {
        fs::read_to_string(dir.path().join("etc/users.toml")).unwrap()
    }

    /// The keys of each table once the mark before every commented line is taken away.
    fn uncommented(text: &str) -> BTreeMap<String, BTreeSet<String>> {
        fn collect(name: &str, table: &toml::Table, found: &mut BTreeMap<String, BTreeSet<String>>) {
            for (key, value) in table {
                match value.as_table() {
                    Some(table) => collect(&format!("{name}.{key}"), table, found),
                    None => _ = found.entry(name.to_owned()).or_default().insert(key.clone()),
                }
            }
        }
        // Prose has a blank after its mark.
        let is_commented = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
        let lines = text.lines().map(|line| if is_commented(line) { &line[1..] } else { line });
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut found = BTreeMap::new();
        collect("", &text.parse().unwrap_or_else(|error| panic!("{error}: {text}")), &mut found);
        found
    }

    #[test]
    fn after_the_first_steps_every_commented_line_applies_where_it_was_meant_to() {
        let shipped = include_str!("../../../etc/users.toml");
        let before = uncommented(shipped);
        assert!(before[".defaults"].contains("own-keys") && before[".server.limits"].contains("exempt"));
        let (dir, admin) = folder(shipped);
        admin.remove("alex").unwrap();
        admin.remove("zcl").unwrap();
        admin.add("ann", &NewUser::default()).unwrap();
        admin.add("bob", &NewUser { quota: Some("5 GiB".into()), ..NewUser::default() }).unwrap();
        let mut after = uncommented(&text(&dir));
        assert_eq!(after.remove(".users.bob"), Some(BTreeSet::from(["quota".to_owned()])));
        let removed = |name: &String| [".users.alex", ".users.zcl"].contains(&name.as_str());
        let others: BTreeMap<_, _> = before.into_iter().filter(|(name, _)| !removed(name)).collect();
        assert_eq!(after, others);
    }

    #[test]
    fn the_comments_of_a_removed_user_go_and_those_of_others_stay_with_them() {
        let (dir, admin) = folder(
            "[defaults]\nquota = 5\n#own-keys = true\n\n# Ann.\n[users.ann]\nquota = 1\n#enabled = false\n\n\
             # Bob.\n[users.bob]\nquota = 2\n#access = \"read-only\"\n",
        );
        admin.remove("ann").unwrap();
        let defaults = "[defaults]\nquota = 5\n#own-keys = true\n";
        let bob = "# Bob.\n[users.bob]\nquota = 2\n#access = \"read-only\"\n";
        assert_eq!(text(&dir), format!("{defaults}\n{bob}"));
        admin.add("eve", &NewUser::default()).unwrap();
        assert_eq!(text(&dir), format!("{defaults}\n{bob}\n[users.eve]\n"));
        admin.remove("eve").unwrap();
        assert_eq!(text(&dir), format!("{defaults}\n{bob}"));
        admin.remove("bob").unwrap();
        assert_eq!(text(&dir), defaults);
    }

    #[test]
    fn a_key_that_is_removed_leaves_the_comments_above_it() {
        let (dir, admin) = folder(
            "[users.ann]\nquota = 1\n# slow:\n#upload-rate = \"1 MiB/s\"\naccess = \"read-only\"\nmax-files = 3\n",
        );
        let default = |key: &str| {
            let (mut settings, value) = (UserSettings::default(), Some("default".to_owned()));
            match key {
                "access" => settings.access = value,
                _ => settings.max_files = value,
            }
            admin.set("ann", &settings).unwrap();
        };
        default("access");
        let kept = "[users.ann]\nquota = 1\n# slow:\n#upload-rate = \"1 MiB/s\"\n";
        assert_eq!(text(&dir), format!("{kept}max-files = 3\n"));
        default("max-files");
        assert_eq!(text(&dir), kept);
    }
}
