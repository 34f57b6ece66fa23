//! The tables `[defaults]` and `[users.NAME]`.

use super::section::{Located, Section};
use super::server::folder;
use super::{Mistakes, Place, value};
use crate::accounts::{
    Access, Account, AuthorizedKey, HashError, PasswordHash, SftpUploads, looks_like_a_line,
};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// What may stand in `[defaults]`, too.
const SHARED_KEYS: [&str; 5] = ["quota", "max-files", "access", "sftp-uploads", "enabled"];
const KEYS: [&str; 9] = [
    "password",
    "demo",
    "authorized-keys",
    "root",
    "quota",
    "max-files",
    "access",
    "sftp-uploads",
    "enabled",
];

/// The longest name, in bytes.
const MAX_NAME: usize = 32;

/// A user, and where in the file things stand.
pub(super) struct User {
    pub(super) account: Account,
    /// The files that the keys are read from.
    pub(super) key_files: Vec<PathBuf>,
    /// The root, or the user's table if it has none.
    pub(super) root: Option<Range<usize>>,
    pub(super) demo: Option<Range<usize>>,
}

/// What `[defaults]` and a user both may say; none where it says nothing.
#[derive(Clone, Default)]
struct Shared {
    quota: Option<Option<u64>>,
    max_files: Option<Option<u64>>,
    access: Option<Access>,
    sftp_uploads: Option<SftpUploads>,
    enabled: Option<bool>,
}

pub(super) fn read(top: &Section<'_>, place: &Place, homes: &Path, mistakes: &mut Mistakes) -> Vec<User> {
    let mut defaults = Shared::default();
    if let Some(section) = top.table("defaults", mistakes) {
        section.only(&SHARED_KEYS, mistakes);
        defaults = shared(&section, mistakes);
    }
    let Some(users) = top.table("users", mistakes) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, section) in users.tables(mistakes) {
        section.only(&KEYS, mistakes);
        let user = user(name, &section, &defaults, place, homes, mistakes);
        match check_name(name) {
            Ok(()) => found.push(user),
            Err(message) => mistakes.add(section.span(), &users.key(name), message),
        }
    }
    found
}

fn shared(section: &Section<'_>, mistakes: &mut Mistakes) -> Shared {
    Shared {
        quota: section.get("quota", value::quota, mistakes).map(|found| found.value),
        max_files: section.get("max-files", value::max_files, mistakes).map(|found| found.value),
        access: section.get("access", value::access, mistakes).map(|found| found.value),
        sftp_uploads: section.get("sftp-uploads", value::sftp_uploads, mistakes).map(|found| found.value),
        enabled: section.get("enabled", value::boolean, mistakes).map(|found| found.value),
    }
}

fn user(
    name: &str,
    section: &Section<'_>,
    defaults: &Shared,
    place: &Place,
    homes: &Path,
    mistakes: &mut Mistakes,
) -> User {
    let own = shared(section, mistakes);
    let (password, demo) = password(name, section, mistakes);
    let keys = |value| {
        let entry = value::path(value)?;
        let file = (!looks_like_a_line(entry)).then(|| place.path(entry));
        authorized_keys(place, entry).map(|keys| (keys, file))
    };
    let keys = section.each("authorized-keys", keys, mistakes).unwrap_or_default();
    let (keys, files): (Vec<_>, Vec<_>) = keys.into_iter().map(|found| found.value).unzip();
    let named = section.get("root", |value| named_root(place, value), mistakes);
    let make_root = section.span_of("root").is_none();
    let root = match &named {
        Some(root) => root.value.clone(),
        None => implied_root(name, section, homes, make_root, mistakes),
    };
    let account = Account {
        name: name.to_owned(),
        root,
        make_root,
        quota: own.quota.or(defaults.quota).flatten(),
        max_files: own.max_files.or(defaults.max_files).flatten(),
        access: own.access.or(defaults.access).unwrap_or_default(),
        sftp_uploads: own.sftp_uploads.or(defaults.sftp_uploads).unwrap_or_default(),
        enabled: own.enabled.or(defaults.enabled).unwrap_or(true),
        password,
        keys: keys.into_iter().flatten().collect(),
    };
    let key_files = files.into_iter().flatten().collect();
    User { account, key_files, root: section.span_of("root").or(section.span()), demo }
}

/// The password, with the mark of a demo, and where the mark stands.
fn password(
    name: &str,
    section: &Section<'_>,
    mistakes: &mut Mistakes,
) -> (Option<PasswordHash>, Option<Range<usize>>) {
    let read = |value| {
        PasswordHash::parse(value::string(value)?).map_err(|error: HashError| {
            format!("{error}; `sshomed user passwd {name}` asks for the password and writes a new one")
        })
    };
    let password = section.get("password", read, mistakes);
    let Some(Located { value: demo, span }) = section.get("demo", value::boolean, mistakes) else {
        return (password.map(|found| found.value), None);
    };
    if section.span_of("password").is_none() {
        let message = "marks the password as a demo, and there is no password: remove the line".to_owned();
        mistakes.add(Some(span.clone()), &section.key("demo"), message);
    }
    (password.map(|found| found.value.with_demo(demo)), Some(span))
}

/// A root that the administrator named.
fn named_root<'a>(place: &Place, value: &'a DeValue<'a>) -> Result<PathBuf, String> {
    let path = value::path(value)?;
    let full = place.path(path);
    match fs::canonicalize(&full) {
        Ok(root) if root.is_dir() => Ok(root),
        Ok(_) => Err(format!("{path} is no folder")),
        Err(error) => Err(format!(
            "{path} cannot be opened: {error}; mount or make it (only homes/NAME is made by the server), \
             or leave root out"
        )),
    }
}

/// The root of a user without one: homes/NAME, which the server makes if it is missing.
fn implied_root(
    name: &str,
    section: &Section<'_>,
    homes: &Path,
    is_used: bool,
    mistakes: &mut Mistakes,
) -> PathBuf {
    let path = homes.join(name);
    match folder(&path) {
        Ok(root) => root,
        Err(message) => {
            if is_used {
                mistakes.add(section.span(), &section.key("root"), message);
            }
            path
        }
    }
}

/// The keys of one entry of `authorized-keys`: a line, or a file with lines.
pub(crate) fn authorized_keys(place: &Place, entry: &str) -> Result<Vec<AuthorizedKey>, String> {
    if looks_like_a_line(entry) {
        return AuthorizedKey::parse_file(entry).map_err(|(_, error)| {
            let start: String = entry.chars().take(40).collect();
            format!("\"{start}…\" {error}")
        });
    }
    let text = fs::read_to_string(place.path(entry)).map_err(|error| {
        format!("{entry} cannot be read: {error}; name a public key's file, or give its line")
    })?;
    AuthorizedKey::parse_file(&text).map_err(|(line, error)| format!("{entry}: line {line} {error}"))
}

/// Whether a name can be a user's.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with(['.', '-']) || !name.chars().all(allowed)
    {
        return Err(format!(
            "\"{name}\" is no user name: it has 1 to {MAX_NAME} of a-z, 0-9, \".\", \"_\" and \"-\", \
             and does not begin with \".\" or \"-\""
        ));
    }
    Ok(())
}
