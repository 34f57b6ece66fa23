//! Comments around a key that is removed.
//!
//! The parser has the comments below a table's last key before the next table, or at the file's end.

use toml_edit::{DocumentMut, Item, Table};

/// Removes a key of a user's table. The comments above it stay.
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
    change_text_after(document, position, |below| format!("{above}{below}"));
}

/// Changes the text between the table at a position and the next table or the file's end.
fn change_text_after(
    document: &mut DocumentMut,
    position: Option<isize>,
    change: impl FnOnce(&str) -> String,
) {
    match next_table(document.as_table_mut(), position) {
        Some(next) => {
            let text = change(next.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default());
            next.decor_mut().set_prefix(text);
        }
        None => {
            let text = change(document.trailing().as_str().unwrap_or_default());
            document.set_trailing(text);
        }
    }
}

/// The first table whose header is after `position` in the file.
fn next_table(within: &mut Table, position: Option<isize>) -> Option<&mut Table> {
    let tables = within.iter_mut().filter_map(|(_, item)| item.as_table_mut());
    let later = tables.filter_map(|table| {
        let own = table.position().filter(|own| !table.is_implicit() && Some(*own) > position);
        // `[users]` may come after `[users.ann]`.
        let nested = first_position(table, position);
        match own.is_some_and(|own| nested.is_none_or(|nested| own < nested)) {
            true => Some(table),
            false => next_table(table, position),
        }
    });
    later.min_by_key(|table| table.position())
}

/// The position of the first header after `position` among the tables in a table.
fn first_position(within: &Table, position: Option<isize>) -> Option<isize> {
    let tables = within.iter().filter_map(|(_, item)| item.as_table());
    let positions = tables.filter_map(|table| {
        let own = table.position().filter(|own| !table.is_implicit() && Some(*own) > position);
        own.into_iter().chain(first_position(table, position)).min()
    });
    positions.min()
}

#[cfg(test)]
mod tests {
    use crate::admin::layout_tests::{folder, read as text};
    use crate::admin::{NewUser, UserSettings};

    #[test]
    fn only_the_comments_of_a_removed_user_are_removed() {
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
    fn removing_a_key_keeps_the_comments_above_it() {
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
