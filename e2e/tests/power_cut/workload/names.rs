//! Changes of names: renames, removals, links.

use super::Actor;
use crate::history::{Entry, Promise};
use anyhow::Result;
use rand::RngExt;
use rand::seq::IndexedRandom;

/// The directories that are renamed and removed, after the session's number.
const DIRECTORIES: [&str; 2] = ["d/e", "m"];

/// Names of links of each kind.
const LINKS: usize = 3;

impl Actor<'_> {
    pub(super) fn rename(&mut self) -> Result<()> {
        let (Some(from), to) = (self.existing(), self.name()) else { return Ok(()) };
        // A file that is renamed to another of its names keeps both.
        if from == to || (self.linked.contains(&from) && self.linked.contains(&to)) {
            return Ok(());
        }
        self.make_directory_of(&to)?;
        // Otherwise nobody knows what is moved.
        if self.unsynced.contains(&from) {
            self.sync()?;
        }
        self.rename_to(from, to)
    }

    /// Renames a file, a link, or a directory with its entries.
    fn rename_to(&mut self, from: String, to: String) -> Result<()> {
        let moved = (from.clone(), to.clone());
        let mut changes = vec![];
        for (name, entry) in self.below(&from) {
            let new = format!("{to}{}", &name[from.len()..]);
            if self.linked.contains(&name) {
                self.linked.insert(new.clone());
            }
            changes.extend([(name, Entry::Absent), (new, entry)]);
        }
        self.operate(format!("mv {from} {to}"), Promise::Nothing, |actor| {
            let done = actor.session.rename(&from, &to)?;
            Ok(if done { changes } else { Vec::new() })
        })?;
        if let Some(operation) = self.history.operations.last_mut() {
            operation.moved = Some(moved);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self) -> Result<()> {
        let Some(name) = self.existing() else { return Ok(()) };
        self.operate(format!("rm {name}"), Promise::Nothing, |actor| {
            actor.session.remove(&name)?;
            Ok(vec![(name, Entry::Absent)])
        })
    }

    /// The existing directories, and the names that no directory has.
    fn directories(&self) -> (Vec<String>, Vec<String>) {
        let all = DIRECTORIES.iter().map(|name| format!("{}{name}", self.number));
        all.partition(|name| self.names.get(name) == Some(&Entry::Directory))
    }

    /// The entries of a name and of all names below it.
    fn below(&self, top: &str) -> Vec<(String, Entry)> {
        let is_below =
            |name: &str| name.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let present = self.names.iter().filter(|(name, entry)| is_below(name) && **entry != Entry::Absent);
        present.map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    pub(super) fn rename_directory(&mut self) -> Result<()> {
        let (existing, free) = self.directories();
        let (Some(from), Some(to)) = (existing.into_iter().next(), free.into_iter().next()) else {
            return Ok(());
        };
        // Otherwise nobody knows what is moved.
        let top = format!("{from}/");
        if self.uncertain.iter().chain(&self.unsynced).any(|name| name.starts_with(&top) || *name == from) {
            self.sync()?;
        }
        self.has_moved_directory = true;
        self.rename_to(from, to)
    }

    pub(super) fn remove_tree(&mut self) -> Result<()> {
        let Some(top) = self.directories().0.choose(&mut self.random).cloned() else { return Ok(()) };
        let removed = self.below(&top).into_iter().map(|(name, _)| (name, Entry::Absent)).collect();
        self.operate(format!("rm -r {top}"), Promise::Nothing, |actor| {
            actor.session.remove_tree(&top)?;
            Ok(removed)
        })
    }

    /// Removes an empty directory.
    pub(super) fn remove_directory(&mut self) -> Result<()> {
        let nested = self.directories().0.into_iter().flat_map(|top| [format!("{top}/f"), top]);
        let is_empty = |name: &String| self.below(name).len() == 1;
        let Some(name) = nested.into_iter().find(is_empty) else { return Ok(()) };
        self.operate(format!("rmdir {name}"), Promise::Nothing, |actor| {
            actor.session.remove_directory(&name)?;
            Ok(vec![(name, Entry::Absent)])
        })
    }

    /// A name of a link, and whether it exists.
    fn link_name(&mut self, kind: &str) -> (String, bool) {
        let name = format!("{}{kind}{}", self.number, self.random.random_range(0..LINKS));
        let exists = self.names.get(&name).is_some_and(|entry| *entry != Entry::Absent);
        (name, exists)
    }

    /// Makes a symbolic link, or renames or removes one.
    pub(super) fn symlink(&mut self) -> Result<()> {
        match (self.link_name("l"), self.link_name("l")) {
            ((name, false), _) => {
                let target = format!("to {} {}", self.number, self.history.operations.len());
                self.operate(format!("ln -s '{target}' {name}"), Promise::Survives, |actor| {
                    let done = actor.session.symlink(&name, &target)?;
                    Ok(done.then_some((name, Entry::Link(target))).into_iter().collect())
                })
            }
            ((from, true), (to, false)) => self.rename_to(from, to),
            ((name, true), _) => self.operate(format!("rm {name}"), Promise::Nothing, |actor| {
                actor.session.remove(&name)?;
                Ok(vec![(name, Entry::Absent)])
            }),
        }
    }

    /// Keeps the version of a file and replaces it. The old version survives before the new one is sent.
    pub(super) fn back_up(&mut self) -> Result<()> {
        let Some(from) = self.existing() else { return Ok(()) };
        // An older version may have that name.
        let (to, _) = self.link_name("o");
        // Otherwise it is unknown which version is kept.
        if self.unsynced.contains(&from) || self.uncertain.contains(&from) {
            self.sync()?;
        }
        self.linked.extend([from.clone(), to.clone()]);
        let entry = self.names.get(&from).cloned().unwrap_or(Entry::Absent);
        self.operate(format!("back up {from} to {to}"), Promise::Survives, |actor| {
            let done = actor.session.back_up(&from, &to)?;
            Ok(done.then_some((to, entry)).into_iter().collect())
        })?;
        let length = self.random.random_range(0..20_000);
        let source = self.source(from, length);
        self.put(&[source])
    }

    /// Gives a file a second name.
    pub(super) fn hard_link(&mut self) -> Result<()> {
        let (Some(from), (to, false)) = (self.existing(), self.link_name("h")) else { return Ok(()) };
        // Otherwise it is unknown what gets the name.
        if self.unsynced.contains(&from) {
            self.sync()?;
        }
        self.linked.extend([from.clone(), to.clone()]);
        let entry = self.names.get(&from).cloned().unwrap_or(Entry::Absent);
        self.operate(format!("ln {from} {to}"), Promise::Nothing, |actor| {
            let done = actor.session.hard_link(&from, &to)?;
            Ok(done.then_some((to, entry)).into_iter().collect())
        })
    }
}
