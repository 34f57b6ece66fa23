use super::super::{DeleteOptions, FilterRules};
use super::*;

const MTIME: Time = Time { seconds: 1_000, nanoseconds: 5 };

fn entry(name: &str, kind: FileKind, size: u64) -> Entry {
    let target = if kind == FileKind::Symlink { b"target".to_vec() } else { Vec::new() };
    Entry { name: name.into(), kind, size, mtime: MTIME, mode: 0o644, links: 1, target }
}

/// A file, a directory, a link and a special file.
fn tree() -> Vec<Entry> {
    vec![
        entry("file", FileKind::File, 3),
        entry("folder", FileKind::Directory, 0),
        entry("link", FileKind::Symlink, 6),
        entry("socket", FileKind::Special, 0),
    ]
}

fn compared(
    direction: Direction,
    source: Vec<Entry>,
    destination: Option<Vec<Entry>>,
    options: &SyncOptions,
) -> (Differences, Option<Failure>) {
    let comparison = DirectoryComparison {
        options,
        direction,
        relative: Path::new(""),
        source: b"/top",
        now: None,
        is_same_time: &is_same_time,
    };
    let is_empty = source.is_empty();
    let found = comparison.compare(source, destination.as_deref());
    let top = comparison.check_top(&found, is_empty);
    (found, top)
}

fn differences(source: Vec<Entry>, destination: Option<Vec<Entry>>, options: &SyncOptions) -> Differences {
    compared(Direction::Push, source, destination, options).0
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| std::str::from_utf8(&entry.name).unwrap()).collect()
}

fn transferred(found: &Differences) -> Vec<(&str, bool)> {
    found.transfer.iter().map(|one| (std::str::from_utf8(&one.entry.name).unwrap(), one.exists)).collect()
}

#[test]
fn everything_goes_to_a_new_directory_and_nothing_to_one_that_is_the_same() {
    let options = SyncOptions::default();
    let new = differences(tree(), None, &options);
    assert_eq!(transferred(&new), [("file", false), ("link", false)]);
    assert_eq!((new.directories.len(), new.directories[0].exists), (1, false));
    assert_eq!((new.skipped.len(), new.unchanged), (1, 0));
    let mut mirrored = tree();
    mirrored.pop();
    let same = differences(tree(), Some(mirrored), &options);
    assert!(transferred(&same).is_empty() && same.extra.is_empty() && same.failures.is_empty());
    assert_eq!((same.directories.len(), same.directories[0].exists, same.unchanged), (1, true, 2));
}

#[test]
fn size_and_time_decide_and_whole_seconds_are_compared_as_such() {
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entries = tree();
        change(&mut entries[0]);
        differences(tree(), Some(entries), &SyncOptions::default()).transfer.len()
    };
    assert_eq!(with(&|entry| entry.size = 4), 1);
    assert_eq!(with(&|entry| entry.mtime.seconds -= 1), 1);
    assert_eq!(with(&|entry| entry.mtime.nanoseconds ^= 1), 1);
    assert_eq!(with(&|entry| entry.mtime.nanoseconds = 0), 0);
    assert_eq!(with(&|entry| entry.mode = 0), 0);
}

#[test]
fn options_limit_what_is_transferred() {
    let plain = SyncOptions::default;
    let newer = |options: SyncOptions| {
        let mut entries = tree();
        entries[0].mtime.seconds += 5;
        let found = differences(tree(), Some(entries), &options);
        (found.transfer.len(), found.undecided.len())
    };
    assert_eq!(newer(plain()), (1, 0));
    assert_eq!(newer(SyncOptions { update: true, ..plain() }), (0, 0));
    assert_eq!(newer(SyncOptions { ignore_existing: true, ..plain() }), (0, 0));
    assert_eq!(newer(SyncOptions { comparison: FileComparison::StoredDigests, ..plain() }), (0, 1));
    assert_eq!(newer(SyncOptions { min_size: Some(4), ..plain() }), (0, 0));
    assert_eq!(newer(SyncOptions { max_size: Some(2), ..plain() }), (0, 0));
    let existing = SyncOptions { existing: true, ..plain() };
    assert!(differences(tree(), None, &existing).transfer.is_empty());
}

#[test]
fn only_extra_entries_are_deleted_and_no_excluded_or_unfinished_ones() {
    let file = |name| entry(name, FileKind::File, 1);
    let mut source = tree();
    source.extend([".file.sshome-part", "file.new", "other.new"].map(file));
    let mut destination = tree();
    destination.pop();
    destination.extend(["gone", "gone.new", "kept.o", "file.new", ".x.sshome-part"].map(file));
    let mut rules = FilterRules::default();
    rules.exclude("*.o");
    let filter = rules.build().unwrap();
    let options = |excluded| {
        let delete = Some(DeleteOptions { excluded, max: None });
        SyncOptions { filter: filter.clone(), delete, ..SyncOptions::default() }
    };
    let found = differences(source.clone(), Some(destination.clone()), &options(false));
    assert_eq!((names(&found.extra), transferred(&found)), (vec!["gone"], vec![("other.new", false)]));
    assert_eq!(found.skipped.len(), 3, "the socket, and two that belong to a get: {:?}", found.skipped);
    assert_eq!(found.unfinished, 4, "two of each side");
    assert_eq!(names(&differences(source, Some(destination), &options(true)).extra), ["gone", "kept.o"]);
}

#[test]
fn a_name_of_another_kind_makes_room_or_is_a_conflict() {
    let with = |kinds: [FileKind; 3]| {
        let mut entries = tree();
        entries.pop();
        entries.iter_mut().zip(kinds).for_each(|(entry, kind)| entry.kind = kind);
        let found = differences(tree(), Some(entries), &SyncOptions::default());
        assert!(found.extra.is_empty(), "{found:?}");
        (found.transfer.len(), found.in_the_way.len(), found.conflicts.len())
    };
    assert_eq!(with([FileKind::Symlink, FileKind::Directory, FileKind::File]), (2, 2, 0));
    assert_eq!(with([FileKind::Special, FileKind::Directory, FileKind::Symlink]), (1, 1, 0));
    assert_eq!(with([FileKind::Directory, FileKind::File, FileKind::Directory]), (0, 0, 3));
}

#[test]
fn a_name_that_is_listed_twice_is_a_failure() {
    for second in [FileKind::File, FileKind::Directory, FileKind::Symlink] {
        let found = differences(
            vec![entry("a", FileKind::File, 1), entry("a", second, 9)],
            None,
            &SyncOptions::default(),
        );
        assert_eq!((transferred(&found), found.failures.len()), (vec![("a", false)], 1), "{found:?}");
    }
}

#[test]
fn a_source_that_has_nothing_is_suspicious_if_something_would_be_deleted() {
    let delete = SyncOptions { delete: Some(DeleteOptions::default()), ..SyncOptions::default() };
    let suspicious = |source, destination, options: &SyncOptions| {
        compared(Direction::Pull, source, destination, options).1.map(|failure| failure.why)
    };
    let why = |source| suspicious(source, Some(tree()), &delete).unwrap();
    assert!(why(Vec::new()).contains("it is empty"));
    let unfinished =
        || vec![entry(".x.sshome-part", FileKind::File, 1), entry("socket", FileKind::Special, 0)];
    assert!(why(unfinished()).starts_with("nothing in it is to be transferred"));
    for (source, destination, options) in [
        (Vec::new(), Some(tree()), &SyncOptions::default()),
        (Vec::new(), None, &delete),
        (tree(), Some(Vec::new()), &delete),
    ] {
        assert_eq!(suspicious(source, destination, options), None);
    }
}
