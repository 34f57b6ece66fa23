//! The text of listings, without I/O.

use super::colors::Colors;
use super::columns::{Cell, aligned, columns};
use super::quoted::quoted;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sshome_ssh::{ls_mode, ls_time};
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{Entry, FileKind, Time};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The options of `ls`.
#[derive(Clone, Debug, Default)]
pub struct ListingOptions {
    /// `-l`: one line per entry, with its attributes.
    pub long: bool,
    /// `-a`: names that begin with a dot, too.
    pub all: bool,
    /// `-h`: sizes in units.
    pub human: bool,
    /// `-t` or `-S`: the sort key; the name by default.
    pub order: Order,
    /// `-r`: reversed.
    pub reverse: bool,
    /// `-1`: one name per line.
    pub single: bool,
    /// `-F`: a character for the type after each name.
    pub classify: bool,
}

/// The sort key of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The bytes of the name.
    #[default]
    Name,
    /// The newest first.
    Time,
    /// The largest first.
    Size,
    /// Unsorted.
    None,
}

/// The terminal and the time zone for a listing.
#[derive(Clone, Debug)]
pub struct View {
    /// The number of columns; `None` if it is not a terminal.
    pub width: Option<usize>,
    /// The local time zone.
    pub zone: TimeZone,
    /// The current time: older dates are shown with their year.
    pub now: Timestamp,
    /// The colours of names, on a terminal that has them.
    pub colors: Option<Colors>,
}

/// The number of columns of standard output; 80 if unknown.
#[must_use]
pub fn width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0).unwrap_or(80)
}

impl View {
    /// The view of a terminal that is standard output, or of something else; with the current time.
    #[must_use]
    pub fn current(is_terminal: bool) -> View {
        let width = is_terminal.then(width);
        let colors = if is_terminal { Colors::current() } else { None };
        View { width, zone: TimeZone::system(), now: Timestamp::now(), colors }
    }
}

/// Removes hidden entries.
pub fn hide(entries: &mut Vec<Entry>, options: &ListingOptions) {
    entries.retain(|entry| options.all || entry.name.first() != Some(&b'.'));
}

/// The text of entries, in their order. Each line ends with a line feed.
#[must_use]
pub fn entries(entries: &[Entry], options: &ListingOptions, view: &View) -> String {
    if options.long {
        return long(entries, options, view);
    }
    let in_columns = view.width.filter(|_| !options.single);
    let cells = cells(entries, options, view, in_columns.is_some());
    match in_columns {
        Some(width) => columns(&cells, width),
        None => cells.iter().fold(String::new(), |out, cell| out + &cell.text + "\n"),
    }
}

/// The names of entries, in their colours, with the characters of `-F`.
fn cells(entries: &[Entry], options: &ListingOptions, view: &View, align: bool) -> Vec<Cell> {
    let names = entries.iter().map(|entry| view.shown(&entry.name)).collect();
    let names = if align { aligned(names) } else { names };
    let cell = |(entry, name): (&Entry, String)| {
        let mark = if options.classify { mark(entry, options) } else { "" };
        let text = view.colors.as_ref().map_or_else(|| name.clone(), |colors| colors.paint(entry, &name));
        Cell { width: name.width() + mark.len(), text: text + mark }
    };
    entries.iter().zip(names).map(cell).collect()
}

/// A name, in its colour and with its character of `-F`.
pub(super) fn name_cell(entry: &Entry, options: &ListingOptions, view: &View) -> String {
    cells(std::slice::from_ref(entry), options, view, false).pop().map(|cell| cell.text).unwrap_or_default()
}

/// The character of `-F`. In the long form the target is behind a link.
fn mark(entry: &Entry, options: &ListingOptions) -> &'static str {
    match entry.kind {
        FileKind::Directory => "/",
        FileKind::Symlink if !options.long => "@",
        FileKind::File if entry.mode & 0o111 != 0 => "*",
        _ => "",
    }
}

impl View {
    /// A name as it is shown: quoted on a terminal, where a blank would look like its end.
    #[must_use]
    pub fn shown(&self, name: &[u8]) -> String {
        if self.width.is_some() { quoted(name) } else { Escaped(name).to_string() }
    }
}

/// The ten characters of `ls -l` for type and permissions.
#[must_use]
pub fn mode(kind: FileKind, mode: u32) -> String {
    let letter = match kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::Special => '?',
    };
    ls_mode(letter, mode)
}

/// A full time, to the second; the number of seconds if it is outside the calendar.
#[must_use]
pub fn full_time(time: Time, zone: &TimeZone) -> String {
    match Timestamp::from_second(time.seconds) {
        Ok(timestamp) => timestamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %z").to_string(),
        Err(_) => time.seconds.to_string(),
    }
}

/// Sorts entries as the options say.
pub fn sort(entries: &mut [Entry], options: &ListingOptions) {
    entries.sort_by(|a, b| {
        let order = match options.order {
            Order::Name => a.name.cmp(&b.name),
            Order::Time => b.mtime.cmp(&a.mtime).then_with(|| a.name.cmp(&b.name)),
            Order::Size => b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)),
            Order::None => std::cmp::Ordering::Equal,
        };
        if options.reverse { order.reverse() } else { order }
    });
}

fn long(entries: &[Entry], options: &ListingOptions, view: &View) -> String {
    let size =
        |entry: &Entry| if options.human { Size(entry.size).to_string() } else { entry.size.to_string() };
    let links = entries.iter().map(|entry| entry.links.to_string().len()).max().unwrap_or(0);
    let sizes = entries.iter().map(|entry| size(entry).len()).max().unwrap_or(0);
    let mut out = String::new();
    for (entry, name) in entries.iter().zip(cells(entries, options, view, view.width.is_some())) {
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            "{} {:>links$} {:>sizes$} {} {}",
            mode(entry.kind, entry.mode),
            entry.links,
            size(entry),
            short_time(entry.mtime, view),
            name.text
        );
        if entry.kind == FileKind::Symlink {
            let _ = write!(out, " -> {}", view.shown(&entry.target));
        }
        out.push('\n');
    }
    out
}

/// Twelve columns, as [`ls_time`] has them.
fn short_time(time: Time, view: &View) -> String {
    ls_time(time.seconds, view.now.as_second(), &view.zone).unwrap_or_else(|| format!("{:>12}", "?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(mut entries: Vec<Entry>, options: &ListingOptions, view: &View) -> String {
        hide(&mut entries, options);
        sort(&mut entries, options);
        super::entries(&entries, options, view)
    }

    fn entry(name: &[u8]) -> Entry {
        Entry {
            name: name.to_vec(),
            kind: FileKind::File,
            size: 0,
            mtime: Time::default(),
            mode: 0o644,
            links: 1,
            target: Vec::new(),
        }
    }

    fn view(width: Option<usize>) -> View {
        View { width, zone: TimeZone::UTC, now: "2026-11-22T14:44:00Z".parse().unwrap(), colors: None }
    }

    fn named(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| entry(name.as_bytes())).collect()
    }

    #[test]
    fn names_are_quoted_on_a_terminal_only() {
        let entries = [entry(b"a b"), entry(b"c")];
        assert_eq!(super::entries(&entries, &ListingOptions::default(), &view(Some(80))), "'a b'   c\n");
        assert_eq!(super::entries(&entries, &ListingOptions::default(), &view(None)), "a b\nc\n");
        let long = super::entries(
            &entries,
            &ListingOptions { long: true, ..ListingOptions::default() },
            &view(Some(80)),
        );
        assert!(long.contains(" 'a b'\n") && long.contains("  c\n"), "{long}");
    }

    #[test]
    fn columns_line_up_although_characters_are_wide() {
        let shown = directory(
            named(&["a", "日本語", "bb", "ü", "long name"]),
            &ListingOptions::default(),
            &view(Some(24)),
        );
        assert_eq!(shown, " a            ü\n bb           日本語\n'long name'\n");
        for line in shown.lines() {
            assert!(line.width() <= 24, "{line}");
        }
    }

    #[test]
    fn control_bytes_are_escaped() {
        let shown =
            directory(vec![entry(b"\x1b[2Jx\n"), entry(b"\xff")], &ListingOptions::default(), &view(None));
        assert_eq!(shown, "\\x1b[2Jx\\x0a\n\\xff\n");
        let mut link = entry(b"l\r");
        link.kind = FileKind::Symlink;
        link.target = b"\x07".to_vec();
        let shown =
            directory(vec![link], &ListingOptions { long: true, ..ListingOptions::default() }, &view(None));
        assert!(
            shown.ends_with("l\\x0d -> \\x07\n") && !shown.trim_end().contains(char::is_control),
            "{shown}"
        );
    }

    #[test]
    fn the_long_form_reads_as_that_of_ls() {
        let mut new = entry(b"new");
        new.mtime.seconds = Timestamp::from_second(1_795_356_240).unwrap().as_second();
        (new.size, new.links) = (3 << 20, 12);
        let mut old = entry(b"old");
        (old.kind, old.mode, old.mtime.seconds) = (FileKind::Directory, 0o1755, 1_700_000_000);
        let mut future = entry(b"future");
        future.mtime.seconds = 1_895_356_240;
        let options = ListingOptions { long: true, ..ListingOptions::default() };
        let shown = directory(vec![old, new, future], &options, &view(Some(80)));
        assert_eq!(
            shown,
            "-rw-r--r--  1       0 Jan 22  2030 future\n\
             -rw-r--r-- 12 3145728 Nov 22 14:04 new\n\
             drwxr-xr-t  1       0 Nov 14  2023 old\n"
        );
    }

    #[test]
    fn sizes_in_units_and_times_beyond_the_calendar() {
        let mut huge = entry(b"huge");
        (huge.size, huge.mtime.seconds) = (5 << 30, i64::MAX);
        let options = ListingOptions { long: true, human: true, ..ListingOptions::default() };
        assert_eq!(directory(vec![huge], &options, &view(None)), "-rw-r--r-- 1 5.0 GiB            ? huge\n");
    }

    #[test]
    fn entries_are_sorted_in_each_order() {
        let mut entries = named(&["b", "a", "B", ".hidden"]);
        for (i, entry) in entries.iter_mut().enumerate() {
            entry.size = [2, 3, 1, 9][i];
            entry.mtime.seconds = [1, 3, 2, 9][i];
        }
        let shown =
            |options: ListingOptions| directory(entries.clone(), &options, &view(None)).replace('\n', " ");
        assert_eq!(shown(ListingOptions::default()), "B a b ");
        assert_eq!(shown(ListingOptions { reverse: true, ..ListingOptions::default() }), "b a B ");
        assert_eq!(shown(ListingOptions { order: Order::Time, ..ListingOptions::default() }), "a B b ");
        assert_eq!(
            shown(ListingOptions { order: Order::Size, all: true, ..ListingOptions::default() }),
            ".hidden a b B "
        );
    }

    #[test]
    fn marks_and_colours_take_no_other_columns() {
        let mut entries = named(&["dir", "link", "run", "text"]);
        entries[0].kind = FileKind::Directory;
        (entries[1].kind, entries[1].target) = (FileKind::Symlink, b"dir".to_vec());
        entries[2].mode = 0o755;
        let options = ListingOptions { classify: true, ..ListingOptions::default() };
        assert_eq!(super::entries(&entries, &options, &view(Some(80))), "dir/  link@  run*  text\n");
        let long = ListingOptions { long: true, ..options.clone() };
        let shown = super::entries(&entries, &long, &view(None));
        assert!(shown.contains(" dir/\n") && shown.contains(" link -> dir\n"), "{shown}");
        let painted = View { colors: Colors::of("", "xterm", None), ..view(Some(12)) };
        let shown = super::entries(&entries, &options, &painted);
        assert!(shown.contains("\x1b[01;34mdir\x1b[0m/  "), "{shown:?}");
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
    }

    #[test]
    fn modes_are_shown_as_by_ls() {
        assert_eq!(mode(FileKind::Directory, 0o755), "drwxr-xr-x");
        assert_eq!(mode(FileKind::Symlink, 0o777), "lrwxrwxrwx");
        assert_eq!(mode(FileKind::File, 0o6640), "-rwSr-S---");
        assert_eq!(mode(FileKind::Special, 0o1001), "?--------t");
        assert_eq!(
            full_time(Time { seconds: 0, nanoseconds: 0 }, &TimeZone::UTC),
            "1970-01-01 00:00:00 +0000"
        );
    }
}
