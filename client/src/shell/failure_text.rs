//! Describes the failures of a transfer, one line for each cause.

use crate::transfer::Failure;
use sshome_wire::Status;
use std::collections::HashMap;

/// Up to this many failures of one cause have a line each.
const MAX_LINES_PER_CAUSE: u64 = 3;

/// The line for each failure; `None` if it has the cause of an earlier one that many share.
pub(super) fn one_line_per_cause(failures: &[Failure]) -> Vec<Option<String>> {
    let mut counts: HashMap<_, u64> = HashMap::new();
    failures.iter().for_each(|failure| *counts.entry(cause(failure)).or_default() += 1);
    let line = |failure| match counts.get_mut(&cause(failure)).map(|count| (*count, count)) {
        Some((0, _)) => None,
        Some((many, count)) if many > MAX_LINES_PER_CAUSE => {
            *count = 0;
            Some(format!("{}; and {} more for the same reason", shown(failure), many - 1))
        }
        _ => Some(shown(failure)),
    };
    failures.iter().map(line).collect()
}

/// The common part of failures with one cause: everything except their names and numbers.
fn cause(Failure { what, why, status }: &Failure) -> (Option<u16>, String) {
    let name = what.rsplit('/').next().filter(|name| !name.is_empty());
    let why = without(&without(why, what), name.unwrap_or(what));
    (status.map(Status::code), why.replace(|c: char| c.is_ascii_digit(), ""))
}

/// A text without a name, where that is a word of its own.
fn without(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(name).filter(|_| !name.is_empty()) {
        out.push_str(before);
        let is_part = before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        if is_part {
            out.push_str(name);
        }
        rest = after;
    }
    out + rest
}

pub(super) fn shown(failure: &Failure) -> String {
    let Failure { what, why, status } = failure;
    match status {
        // The server's message adds nothing to its status.
        Some(status) if why == status.words() => status.explain(what),
        Some(status) if why.contains(what) => status.explain(why),
        Some(status) => format!("{what}: {}", status.explain(why)),
        None => format!("{what}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_message_is_shown_unchanged() {
        let failure = |what: &str, why: &str, status| Failure { what: what.into(), why: why.into(), status };
        assert_eq!(shown(&failure("a", "no such file", Some(Status::NoSuchFile))), "no such file: a (402)");
        assert_eq!(
            shown(&failure("a", "a needs 3 B", Some(Status::QuotaExceeded))),
            "quota exceeded: a needs 3 B (405)"
        );
        assert_eq!(
            shown(&failure("b/c", "the quota is full", Some(Status::QuotaExceeded))),
            "b/c: quota exceeded: the quota is full (405)"
        );
        let changed = failure("/log", "it changed while it was read", Some(Status::Changed));
        assert_eq!(shown(&changed), "/log: it changed while it was read (410)");
        assert_eq!(shown(&failure("a", "disk full", None)), "a: disk full");
    }

    #[test]
    fn failures_with_one_cause_share_one_line() {
        let failure =
            |what: String, why: &str, status| Failure { what, why: why.into(), status: Some(status) };
        let mut failures: Vec<Failure> =
            (0..300).map(|n| failure(format!("/no/x/f{n}"), "/no", Status::NoSuchDirectory)).collect();
        failures.insert(7, failure("/a".into(), "disk full", Status::Failed));
        for n in 0..5 {
            let why = format!("q{n} needs {n} B, 3 B are left");
            failures.push(failure(format!("/q{n}"), &why, Status::QuotaExceeded));
        }
        let lines: Vec<String> = one_line_per_cause(&failures).into_iter().flatten().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("/no/x/f0: ") && lines[0].ends_with("; and 299 more for the same reason"));
        assert!(lines[1].contains("disk full") && lines[2].ends_with("; and 4 more for the same reason"));
        // A name that is a letter of the text changes nothing.
        let letters =
            ["a", "n", "c", "r"].map(|name| failure(name.into(), "cannot write it", Status::Failed));
        assert_eq!(one_line_per_cause(&letters).into_iter().flatten().count(), 1);
        // A few have a line each.
        assert_eq!(one_line_per_cause(&failures[..3]).into_iter().flatten().count(), 3);
    }
}
