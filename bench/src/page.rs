//! The generated parts of pages. The rest of a page is written by hand.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// A table in Markdown whose rows are each about a workload, named in the first column.
pub(crate) struct Table {
    /// The names of the columns, and the line below them.
    pub(crate) head: String,
    pub(crate) rows: Vec<Row>,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) workload: String,
    /// In Markdown, from the first bar to the last.
    pub(crate) line: String,
}

impl Table {
    /// In Markdown.
    pub(crate) fn markdown(&self) -> String {
        let lines: Vec<&str> = self.rows.iter().map(|row| row.line.as_str()).collect();
        format!("{}\n{}\n", self.head, lines.join("\n"))
    }

    /// This table with the rows of `old` for workloads that this one lacks, in the order of `workloads`. Other rows of
    /// `old` are dropped, and all of them if its columns differ.
    fn over(&self, old: &str, workloads: &[&str]) -> Table {
        let old = old.split_once(&self.head).map_or("", |(_, rows)| rows);
        let old: Vec<Row> = old.lines().skip(1).map_while(Row::parse).collect();
        let of = |rows: &[Row], workload: &str| -> Vec<Row> {
            rows.iter().filter(|row| row.workload == workload).cloned().collect()
        };
        let rows_of = |workload: &&str| match of(&self.rows, workload) {
            own if own.is_empty() => of(&old, workload),
            own => own,
        };
        Table { head: self.head.clone(), rows: workloads.iter().flat_map(rows_of).collect() }
    }
}

impl Row {
    fn parse(line: &str) -> Option<Row> {
        let (workload, _) = line.strip_prefix('|')?.split_once('|')?;
        Some(Row { workload: workload.trim().to_owned(), line: line.to_owned() })
    }
}

/// Writes a table into its part of a page, with a text below it. The rows of other workloads stay, and all are in the
/// order of `workloads`.
pub(crate) fn update(page: &str, part: &str, table: &Table, workloads: &[&str], below: &str) -> Result<()> {
    rewrite(page, part, |old| format!("{}\n{below}", table.over(old, workloads).markdown()))
}

/// Writes a part of a page.
pub(crate) fn write(page: &str, part: &str, text: &str) -> Result<()> {
    rewrite(page, part, |_| text.to_owned())
}

fn rewrite(page: &str, part: &str, new: impl FnOnce(&str) -> String) -> Result<()> {
    let page = Path::new(page);
    let old = fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))?;
    let new = replaced(&old, part, new)
        .with_context(|| format!("{} has no place for the bench's {part}", page.display()))?;
    fs::write(page, new).with_context(|| format!("writing {}", page.display()))?;
    println!("wrote the {part} into {}", page.display());
    Ok(())
}

/// Replaces a part, which is between two lines with its name.
fn replaced(page: &str, part: &str, new: impl FnOnce(&str) -> String) -> Option<String> {
    let begin = format!("<!-- written by the bench: {part}: begin -->");
    let end = format!("<!-- written by the bench: {part}: end -->");
    let (before, rest) = page.split_once(&begin)?;
    let (old, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", new(old).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE_HEAD: &str = "| workload | time |\n|---|---:|";

    fn table(rows: &[(&str, &str)]) -> Table {
        let row = |(workload, time): &(&str, &str)| Row {
            workload: (*workload).to_owned(),
            line: format!("| {workload} | {time} |"),
        };
        Table { head: TABLE_HEAD.to_owned(), rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn a_new_measurement_replaces_only_the_rows_of_its_workload() {
        let old = table(&[("get", "1"), ("get", "2"), ("put", "3"), ("gone", "4"), ("copy", "5")]);
        let page = format!("\n\n{}\nwords | with bars |\n", old.markdown());
        let new = table(&[("new", "8"), ("put", "7")]).over(&page, &["get", "put", "new", "copy"]);
        assert_eq!(
            new.rows,
            table(&[("get", "1"), ("get", "2"), ("put", "7"), ("new", "8"), ("copy", "5")]).rows
        );
    }

    #[test]
    fn rows_of_other_columns_do_not_stay() {
        let old = "| workload | time | rate |\n|---|---:|---:|\n| get | 1 | 2 |\n";
        assert_eq!(table(&[("put", "7")]).over(old, &["get", "put"]).rows, table(&[("put", "7")]).rows);
    }

    #[test]
    fn only_text_between_the_markers_is_replaced() {
        let (begin, end) =
            ("<!-- written by the bench: table: begin -->", "<!-- written by the bench: table: end -->");
        let page = format!("# Page\n\n{begin}\nold\n{end}\n\nwords\n");
        let with = |page: &str, part, text: &str| {
            replaced(page, part, |old| {
                assert!(!old.contains("-->"));
                text.to_owned()
            })
        };
        let new = with(&page, "table", "table\n").unwrap();
        assert_eq!(new, format!("# Page\n\n{begin}\n\ntable\n\n{end}\n\nwords\n"));
        assert_eq!(with(&new, "table", "table").unwrap(), new);
        assert_eq!(with(&new, "long", "table"), None);
        assert_eq!(with("# Page\n", "table", "table"), None);
    }
}
