//! Names in columns, as ls has them on a terminal.

use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A name as it is written, with the number of columns that it takes.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) width: usize,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell { width: text.width(), text }
    }
}

/// If some names are quoted, puts a blank before the others, so that all begin in the same column.
pub(super) fn aligned(names: Vec<String>) -> Vec<String> {
    let is_quoted = |name: &String| name.starts_with(['\'', '"']);
    if !names.iter().any(is_quoted) {
        return names;
    }
    names.into_iter().map(|name| if is_quoted(&name) { name } else { format!(" {name}") }).collect()
}

/// Names in as many columns as fit, each as wide as it needs, read downwards.
pub(super) fn columns(names: &[Cell], width: usize) -> String {
    const COLUMN_GAP: usize = 2;
    let widths: Vec<usize> = names.iter().map(|name| name.width).collect();
    let mut rows = names.len().max(1);
    let mut fitting: Vec<usize> = Vec::new();
    // A column needs at least one character and a gap.
    for count in (1..=names.len().min(width.div_ceil(1 + COLUMN_GAP))).rev() {
        rows = names.len().div_ceil(count);
        fitting = widths.chunks(rows).map(|column| column.iter().max().copied().unwrap_or(0)).collect();
        if fitting.iter().sum::<usize>() + COLUMN_GAP * fitting.len().saturating_sub(1) <= width {
            break;
        }
    }
    let mut out = String::new();
    for row in 0..rows {
        let mut padding = 0;
        for (column, column_width) in fitting.iter().enumerate() {
            let index = column * rows + row;
            let (Some(name), Some(name_width)) = (names.get(index), widths.get(index)) else { break };
            // Writing into a String cannot fail.
            let _ = write!(out, "{:padding$}{}", "", name.text);
            padding = column_width.saturating_sub(*name_width) + COLUMN_GAP;
        }
        if !names.is_empty() {
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_every_width() {
        let names: Vec<Cell> = (0..57).map(|i| "x".repeat(i % 13 + 1).into()).collect();
        for width in 13..200 {
            let shown = columns(&names, width);
            assert!(shown.lines().all(|line| line.width() <= width), "{width}");
            assert_eq!(shown.split_whitespace().count(), names.len(), "{width}");
        }
        // A name wider than the terminal has a line of its own.
        assert_eq!(columns(&["wide".to_owned().into(), "wider".to_owned().into()], 2), "wide\nwider\n");
        assert_eq!(columns(&[], 80), "");
    }
}
