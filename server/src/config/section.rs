//! Reads a TOML table key by key, and collects mistakes.

use super::diagnostics::Diagnostics;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A TOML table with its name.
pub(super) struct Section<'a> {
    name: String,
    /// The position of the table. `None` for the file itself.
    span: Option<Range<usize>>,
    table: &'a DeTable<'a>,
}

/// A value with its position.
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn top(table: &'a DeTable<'a>) -> Section<'a> {
        Section { name: String::new(), span: None, table }
    }

    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The full name of a key in this table.
    pub(super) fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// The position of a key's value.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.table.get(key).map(Spanned::span)
    }

    pub(super) fn is_empty_array(&self, key: &str) -> bool {
        let array = self.table.get(key).and_then(|value| value.get_ref().as_array());
        array.is_some_and(|array| array.is_empty())
    }

    /// Reads a value. `None` if it is missing or invalid; an invalid value is added to the mistakes.
    pub(super) fn get<T>(
        &self,
        key: &str,
        read: impl Fn(&'a DeValue<'a>) -> Result<T, String>,
        mistakes: &mut Diagnostics,
    ) -> Option<Located<T>> {
        self.read(key, self.table.get(key)?, &read, mistakes)
    }

    /// Reads the values of an array. `None` if it is missing or not an array. Invalid values are left out.
    pub(super) fn each<T>(
        &self,
        key: &str,
        read: impl Fn(&'a DeValue<'a>) -> Result<T, String>,
        mistakes: &mut Diagnostics,
    ) -> Option<Vec<Located<T>>> {
        let found = self.table.get(key)?;
        let Some(array) = found.get_ref().as_array() else {
            mistakes.add(
                Some(found.span()),
                &self.key(key),
                is_not(found.get_ref(), "an array: [\"…\", \"…\"]"),
            );
            return None;
        };
        Some(array.iter().filter_map(|value| self.read(key, value, &read, mistakes)).collect())
    }

    fn read<T>(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        read: &impl Fn(&'a DeValue<'a>) -> Result<T, String>,
        mistakes: &mut Diagnostics,
    ) -> Option<Located<T>> {
        match read(value.get_ref()) {
            Ok(read) => Some(Located { value: read, span: value.span() }),
            Err(message) => {
                mistakes.add(Some(value.span()), &self.key(key), message);
                None
            }
        }
    }

    /// The table with this name.
    pub(super) fn table(&self, key: &str, mistakes: &mut Diagnostics) -> Option<Section<'a>> {
        let (name, value) = self.table.get_key_value(key)?;
        self.section(name, value, mistakes)
    }

    /// All tables in this one, by name. Anything else is a mistake.
    pub(super) fn tables(&self, mistakes: &mut Diagnostics) -> Vec<(&'a str, Section<'a>)> {
        let tables = self.table.iter().filter_map(|(name, value)| {
            Some((name.get_ref().as_ref(), self.section(name, value, mistakes)?))
        });
        tables.collect()
    }

    /// The tables of an array, `[[NAME]]`. Anything else is a mistake.
    pub(super) fn table_array(&self, key: &str, mistakes: &mut Diagnostics) -> Vec<Section<'a>> {
        let Some(found) = self.table.get(key) else { return Vec::new() };
        let name = self.key(key);
        let want = format!("a table: [[{name}]]");
        let Some(array) = found.get_ref().as_array() else {
            mistakes.add(Some(found.span()), &name, is_not(found.get_ref(), &want));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in array.iter() {
            match value.get_ref().as_table() {
                Some(table) => sections.push(Section { name: name.clone(), span: Some(value.span()), table }),
                None => mistakes.add(Some(value.span()), &name, is_not(value.get_ref(), &want)),
            }
        }
        sections
    }

    fn section(
        &self,
        name: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
        mistakes: &mut Diagnostics,
    ) -> Option<Section<'a>> {
        let full = self.key(name.get_ref());
        match value.get_ref().as_table() {
            Some(table) => Some(Section { name: full, span: Some(name.span()), table }),
            None => {
                let want = format!("a table: [{full}]");
                mistakes.add(Some(value.span()), &full, is_not(value.get_ref(), &want));
                None
            }
        }
    }

    /// Reports every key that is not in `known`.
    pub(super) fn only(&self, known: &[&str], mistakes: &mut Diagnostics) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let near = known.iter().map(|known| (distance(name, known), known)).min();
            let hint = match near {
                Some((distance, near)) if distance <= near.len() / 3 => format!("did you mean {near}?"),
                _ => format!("expected one of {}", known.join(", ")),
            };
            mistakes.add(Some(key.span()), &self.key(name), format!("unknown key: {hint}"));
        }
    }
}

/// The message for a value of the wrong type.
pub(super) fn is_not(value: &DeValue<'_>, want: &str) -> String {
    format!("must be {want} (found type: {})", value.type_str())
}

/// The Levenshtein distance of two names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cell, y) in row.iter_mut().zip(std::iter::once(None).chain(b.chars().map(Some))) {
            let Some(y) = y else {
                *cell = left;
                continue;
            };
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            *cell = replaced.min(*cell + 1).min(left + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Replaces the default by the value in the file, if there is one.
pub(super) fn set<T>(value: &mut T, found: Option<Located<T>>) {
    if let Some(found) = found {
        *value = found.value;
    }
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn the_edit_distance_counts_changed_characters() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("quota", "quota", 0),
            ("qouta", "quota", 2),
            ("max_files", "max-files", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
