//! Which names take part in a synchronisation: patterns in the syntax of gitignore.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::path::Path;
use std::sync::Arc;

/// Rules in the order in which they were given. The last one that matches a name decides.
#[derive(Clone, Debug, Default)]
pub struct FilterRules(Vec<String>);

/// Decides which names take part. Without rules, all do.
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<Arc<Gitignore>>);

/// A pattern that is not valid.
#[derive(Debug, thiserror::Error)]
#[error("{pattern}: {problem}")]
pub struct FilterError {
    pattern: String,
    problem: String,
}

impl FilterRules {
    /// Names that match are excluded.
    pub fn exclude(&mut self, pattern: &str) {
        self.0.push(pattern.to_owned());
    }

    /// Names that match take part although an earlier rule excludes them.
    pub fn include(&mut self, pattern: &str) {
        self.0.push(format!("!{pattern}"));
    }

    /// The rules of a file, one on each line, as in a .gitignore.
    pub fn add_lines(&mut self, text: &str) {
        self.0.extend(text.lines().map(str::to_owned));
    }

    /// The filter of these rules.
    ///
    /// # Errors
    /// If a pattern is not valid.
    pub fn build(&self) -> Result<Filter, FilterError> {
        if self.0.is_empty() {
            return Ok(Filter(None));
        }
        let mut builder = GitignoreBuilder::new("");
        let failed = |pattern: &str, error: ignore::Error| FilterError {
            pattern: pattern.to_owned(),
            problem: error.to_string(),
        };
        for rule in &self.0 {
            builder.add_line(None, rule).map_err(|error| failed(rule, error))?;
        }
        Ok(Filter(Some(Arc::new(builder.build().map_err(|error| failed("", error))?))))
    }
}

impl Filter {
    /// Whether a name is excluded. `path` is relative to the top of the tree; its parents are not excluded.
    pub(super) fn excludes(&self, path: &Path, is_directory: bool) -> bool {
        let matched = self.0.as_ref().map_or(Match::None, |filter| filter.matched(path, is_directory));
        matched.is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rules: &[&str]) -> Filter {
        let mut all = FilterRules::default();
        rules.iter().for_each(|rule| all.exclude(rule));
        all.build().unwrap()
    }

    #[test]
    fn patterns_work_as_in_gitignore() {
        let rules = filter(&["*.o", "/build/", "**/cache/x", "!keep.o"]);
        for (path, is_directory, excluded) in [
            ("a.o", false, true),
            ("d/a.o", false, true),
            ("keep.o", false, false),
            ("build", true, true),
            ("build", false, false),
            ("d/build", true, false),
            ("d/cache/x", false, true),
            ("d/cache", true, false),
        ] {
            assert_eq!(rules.excludes(Path::new(path), is_directory), excluded, "{path}");
        }
        assert!(!Filter::default().excludes(Path::new("a"), false));
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let mut rules = FilterRules::default();
        rules.exclude("*.log");
        rules.include("important.log");
        rules.add_lines("# a comment\n\n/tmp\n");
        let filter = rules.build().unwrap();
        assert!(
            filter.excludes(Path::new("x.log"), false) && !filter.excludes(Path::new("important.log"), false)
        );
        assert!(filter.excludes(Path::new("tmp"), true) && !filter.excludes(Path::new("a/tmp"), true));
        rules.exclude("{a");
        assert!(rules.build().unwrap_err().to_string().starts_with("{a"));
    }
}
