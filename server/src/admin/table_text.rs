//! Tables of users as lines of text: adding one, and removing one with its comments.
//!
//! A commented key, such as `#own-keys = true`, belongs to the table above it: removing the mark sets it there. So a
//! new table is appended to the file, and a removed table takes its commented keys and its heading with it. No other
//! line changes.

use super::commented::{LineKind, is_blank, is_comment, kinds};
use std::ops::Range;
use toml_edit::{Document, DocumentMut, Item, Table, Value};

/// Appends a user's table, with an empty line before it.
pub(crate) fn append(text: &str, user: &str, table: Table) -> String {
    let mut users = Table::new();
    users.set_implicit(true);
    users.insert(user, Item::Table(table));
    let mut document = DocumentMut::new();
    document.insert("users", Item::Table(users));
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !text.ends_with("\n\n") && text != "\n" {
        text.push('\n');
    }
    text + document.to_string().trim_start()
}

/// The text without a user's table. `None` if the user has no `[users.NAME]`, but an inline table, for example.
pub(crate) fn without_user(text: &str, user: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let table = document.get("users")?.get(user)?.as_table()?;
    if table.is_implicit() || table.is_dotted() {
        return None;
    }
    let mut all = Spans::default();
    all.add_tables_of(document.as_table());
    let mut own = Spans::default();
    own.add_table(table);
    own.headers.sort_unstable();
    let mut text = text.to_owned();
    // From the last to the first, so that the positions stay valid.
    for header in own.headers.into_iter().rev() {
        text = without_block(&text, header, &all)?;
    }
    Some(text)
}

/// The text without the table whose header begins at a position.
pub(super) fn without_table(text: &str, header: usize) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let mut all = Spans::default();
    all.add_tables_of(document.as_table());
    without_block(text, header, &all)
}

/// Where headers begin, and where headers and values end, in bytes.
#[derive(Default)]
struct Spans {
    headers: Vec<usize>,
    ends: Vec<usize>,
}

impl Spans {
    fn add_table(&mut self, table: &Table) {
        if let Some(span) = table.span().filter(|_| !table.is_implicit() && !table.is_dotted()) {
            self.headers.push(span.start);
            self.ends.push(span.end);
        }
        self.add_tables_of(table);
    }

    fn add_tables_of(&mut self, table: &Table) {
        for (_, item) in table {
            match item {
                Item::Table(table) => self.add_table(table),
                Item::ArrayOfTables(tables) => tables.iter().for_each(|table| self.add_table(table)),
                Item::Value(value) => self.ends.extend(Value::span(value).map(|span| span.end)),
                Item::None => {}
            }
        }
    }

    /// The end of the last header or value that ends in this range.
    fn last_end(&self, within: Range<usize>) -> Option<usize> {
        self.ends.iter().copied().filter(|end| within.contains(end)).max()
    }
}

/// The text without the header at a position, its keys, its heading and its commented keys.
fn without_block(text: &str, header: usize, spans: &Spans) -> Option<String> {
    let header_line = text.get(..header)?.rfind('\n').map_or(0, |end| end + 1);
    let next = spans.headers.iter().copied().filter(|next| *next > header).min();
    let next_line = match next {
        Some(next) => text.get(..next)?.rfind('\n').map_or(0, |end| end + 1),
        None => text.len(),
    };
    let line_end = |position: usize| -> Option<usize> {
        Some(text.get(position..)?.find('\n').map_or(text.len(), |end| position + end + 1))
    };
    let previous_end = match spans.last_end(0..header) {
        Some(end) => line_end(end)?.min(header_line),
        None => 0,
    };
    let body_end = line_end(spans.last_end(header..next_line + 1)?)?.min(next_line);
    let above = text.get(previous_end..header_line)?;
    let below = text.get(body_end..next_line)?;
    let mut left = format!("{}{}", text.get(..previous_end)?, without_heading(above));
    let rest = format!("{}{}", without_own(below, next.is_some()), text.get(next_line..)?);
    let is_apart = left.is_empty() || left.ends_with("\n\n") || left == "\n";
    let rest = if is_apart { rest.trim_start_matches('\n') } else { &rest };
    if rest.trim().is_empty() {
        left.truncate(left.trim_end_matches('\n').len());
        return Some(if left.is_empty() { left } else { left + "\n" });
    }
    Some(left + rest)
}

/// The text above a header, without the comment about that header: the lines directly above it, up to a commented key,
/// which belongs to the previous table.
fn without_heading(above: &str) -> String {
    let lines: Vec<&str> = above.split_inclusive('\n').collect();
    let heading = lines.iter().rev().take_while(|line| is_comment(line)).count();
    let (before, heading) = lines.split_at(lines.len() - heading);
    let kept = kinds(heading).iter().rposition(|kind| *kind != LineKind::Prose).map_or(0, |last| last + 1);
    before.iter().chain(heading.iter().take(kept)).copied().collect()
}

/// The text below a table's keys, without the table's own comments: its commented keys, and prose directly below its
/// keys. Text that begins with a commented header belongs to that header, and text directly above the next table to
/// that table.
fn without_own(below: &str, has_next: bool) -> String {
    let lines: Vec<&str> = below.split_inclusive('\n').collect();
    let mut kept: Vec<&str> = Vec::new();
    let (mut at, mut dropped) = (0, false);
    while let Some(line) = lines.get(at) {
        if is_blank(line) {
            // One empty line is enough between the paragraphs around a dropped one.
            if !dropped || !kept.last().is_some_and(|last| is_blank(last)) {
                kept.push(line);
            }
            at += 1;
            continue;
        }
        let rest = lines.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|line| is_comment(line)).count().max(1);
        let paragraph = rest.get(..length).unwrap_or_default();
        let kinds = kinds(paragraph);
        let header = kinds.iter().position(|kind| *kind == LineKind::Header);
        let own = kinds.get(..header.unwrap_or(length)).unwrap_or_default();
        let last_key = own.iter().rposition(|kind| *kind == LineKind::Key).map_or(0, |last| last + 1);
        let is_heading = header.is_some() || (has_next && at + length == lines.len());
        let own_lines = match is_heading {
            true => last_key,
            false if last_key > 0 || at == 0 => length,
            false => 0,
        };
        dropped |= own_lines > 0;
        kept.extend(paragraph.iter().skip(own_lines));
        at += length;
        if header.is_some() {
            kept.extend(lines.iter().skip(at));
            break;
        }
    }
    kept.concat()
}
