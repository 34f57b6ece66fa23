//! The tables `[defaults]` and `[users.NAME]`.

use super::diagnostics::line_of;
use super::keys;
use super::location::resolve;
use super::section::{Located, Section};
use super::settings::{SHARED_SETTINGS, USER_SETTINGS, names};
use super::{ConfigLocation, Diagnostics, value};
use crate::accounts::{
    Access, Account, AuthorizedKey, HashError, NamePattern, PasswordHash, SftpUploads, check_name,
    looks_like_a_line,
};
use crate::permission::CannotRead;
use crate::regular_file;
use sshome_wire::public_key;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The default of `max-files`: each entry needs an inode, and a disk may have few.
const DEFAULT_MAX_FILES: u64 = 1_000_000;

/// A user, with positions in the file.
pub(super) struct UserSection {
    pub(super) account: Account,
    /// The files with the keys.
    pub(super) key_files: Vec<PathBuf>,
    /// The position of the root, or of the user's table if it has none.
    pub(super) root: Option<Range<usize>>,
    pub(super) demo: Option<Range<usize>>,
}

/// The settings that `[defaults]` and users share. `None` if a setting is missing.
#[derive(Clone, Default)]
struct SharedSection {
    quota: Option<Option<u64>>,
    max_files: Option<Option<u64>>,
    access: Option<Access>,
    sftp_uploads: Option<SftpUploads>,
    enabled: Option<bool>,
    own_keys: Option<bool>,
    upload_rate: Option<Option<u64>>,
    download_rate: Option<Option<u64>>,
}

pub(super) fn read(
    top: &Section<'_>,
    location: &ConfigLocation,
    homes: &Path,
    mistakes: &mut Diagnostics,
) -> Vec<UserSection> {
    let mut defaults = SharedSection::default();
    if let Some(section) = top.table("defaults", mistakes) {
        section.only(&names(&[SHARED_SETTINGS], &[]), mistakes);
        defaults = shared(&section, mistakes);
    }
    let Some(users) = top.table("users", mistakes) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, section) in users.tables(mistakes) {
        section.only(&names(&[USER_SETTINGS, SHARED_SETTINGS], &["keys"]), mistakes);
        let user = user(name, &section, &defaults, location, homes, mistakes);
        match check_name(name) {
            Ok(()) => found.push(user),
            Err(message) => mistakes.add(section.span(), &users.key(name), message),
        }
    }
    found
}

fn shared(section: &Section<'_>, mistakes: &mut Diagnostics) -> SharedSection {
    SharedSection {
        quota: section.get("quota", value::quota, mistakes).map(|found| found.value),
        max_files: section.get("max-files", value::max_files, mistakes).map(|found| found.value),
        access: section.get("access", value::access, mistakes).map(|found| found.value),
        sftp_uploads: section.get("sftp-uploads", value::sftp_uploads, mistakes).map(|found| found.value),
        enabled: section.get("enabled", value::boolean, mistakes).map(|found| found.value),
        own_keys: section.get("own-keys", value::boolean, mistakes).map(|found| found.value),
        upload_rate: section.get("upload-rate", value::rate, mistakes).map(|found| found.value),
        download_rate: section.get("download-rate", value::rate, mistakes).map(|found| found.value),
    }
}

fn user(
    name: &str,
    section: &Section<'_>,
    defaults: &SharedSection,
    location: &ConfigLocation,
    homes: &Path,
    mistakes: &mut Diagnostics,
) -> UserSection {
    let own = shared(section, mistakes);
    let (password, demo) = password(name, section, mistakes);
    let read_keys = |value| {
        let entry = value::path(value)?;
        let file = (!looks_like_a_line(entry)).then(|| location.path(entry));
        authorized_keys(location, entry).map(|keys| (keys, file))
    };
    let keys = section.each("authorized-keys", read_keys, mistakes).unwrap_or_default();
    let (keys, files): (Vec<_>, Vec<_>) = keys.into_iter().map(|found| found.value).unzip();
    let named = section.get("root", |value| named_root(location, value), mistakes);
    let make_root = section.span_of("root").is_none();
    let root = match &named {
        Some(root) => root.value.clone(),
        // The server makes it if it is missing.
        None => resolve(&homes.join(name)),
    };
    let mut keys: Vec<AuthorizedKey> = keys.into_iter().flatten().collect();
    // Users whose keys are restricted to addresses may not install unrestricted ones by default.
    let unrestricted = !keys.iter().any(AuthorizedKey::is_restricted_by_address);
    let (restricted, table_files) = keys::read(section, location, &keys, mistakes);
    keys.extend(restricted);
    let access = own.access.or(defaults.access).unwrap_or_default();
    let own_keys = own.own_keys.or(defaults.own_keys);
    let account = Account {
        name: name.to_owned(),
        root,
        make_root,
        quota: own.quota.or(defaults.quota).flatten(),
        max_files: own.max_files.or(defaults.max_files).unwrap_or(Some(DEFAULT_MAX_FILES)),
        upload_rate: own.upload_rate.or(defaults.upload_rate).flatten(),
        download_rate: own.download_rate.or(defaults.download_rate).flatten(),
        access,
        sftp_uploads: own.sftp_uploads.or(defaults.sftp_uploads).unwrap_or_default(),
        enabled: own.enabled.or(defaults.enabled).unwrap_or(true),
        expires: section.get("expires", value::expiry, mistakes).map(|found| found.value),
        password,
        keys,
        own_keys: own_keys.unwrap_or(access == Access::ReadWrite && unrestricted),
        deletable: patterns("deletable", value::path_pattern, section, mistakes).unwrap_or_default(),
        temporary_names: patterns("temporary-names", value::name_pattern, section, mistakes)
            .unwrap_or_else(NamePattern::of_temporary_names),
        installed: Vec::new(),
    };
    let key_files = files.into_iter().flatten().chain(table_files).collect();
    UserSection { account, key_files, root: section.span_of("root").or(section.span()), demo }
}

/// The password with its demo mark, and the position of the mark.
fn password(
    name: &str,
    section: &Section<'_>,
    mistakes: &mut Diagnostics,
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
        let message = "marks the password as a demo, but no password is set: remove the line".to_owned();
        mistakes.add(Some(span.clone()), &section.key("demo"), message);
    }
    (password.map(|found| found.value.with_demo(demo)), Some(span))
}

/// The patterns of an array; `None` if it is missing.
fn patterns<'a, P>(
    key: &str,
    read: impl Fn(&'a DeValue<'a>) -> Result<P, String>,
    section: &Section<'a>,
    mistakes: &mut Diagnostics,
) -> Option<Vec<P>> {
    let found = section.each(key, read, mistakes)?;
    Some(found.into_iter().map(|pattern| pattern.value).collect())
}

/// An explicit root. A root that cannot be opened is not an error of the file: its disk may not be mounted yet, and
/// only its user is affected.
fn named_root<'a>(location: &ConfigLocation, value: &'a DeValue<'a>) -> Result<PathBuf, String> {
    Ok(resolve(&location.path(value::path(value)?)))
}

/// The keys of one entry of `authorized-keys`: a line, or the name of a file.
pub(crate) fn authorized_keys(location: &ConfigLocation, entry: &str) -> Result<Vec<AuthorizedKey>, String> {
    if looks_like_a_line(entry) {
        return AuthorizedKey::parse_file(entry).map_err(|(_, error)| {
            let start: String = entry.chars().take(40).collect();
            format!("\"{start}…\" {error}")
        });
    }
    let bytes = regular_file::read(&location.path(entry)).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied => "",
            _ => "; name a public key's file, or give its line",
        };
        format!("{entry} cannot be read: {}{hint}", CannotRead(&location.path(entry), &error))
    })?;
    AuthorizedKey::parse_file(&public_key::text(&bytes))
        .map_err(|(line, error)| format!("{entry}: line {line} {}", error.in_file(entry)))
}

/// If there is a name in the header of a user's table at `span`, and the user has a table before it: the key, and what is
/// wrong.
pub(super) fn second_table(text: &str, span: Range<usize>) -> Option<(String, String)> {
    let (before, header) = text.get(..span.start)?.rsplit_once('\n')?;
    if header.trim_start_matches(['[', ' ', '\t']).trim_end_matches(['.', ' ', '\t']) != "users" {
        return None;
    }
    let name = text.get(span)?.trim_matches(['"', '\'']);
    // With the second table, the parser forgets the first one.
    let (document, _) = DeTable::parse_recoverable(before);
    let users = document.get_ref().get("users")?.get_ref().as_table()?;
    let (first, _) = users.iter().find(|(first, _)| first.get_ref() == name)?;
    let line = line_of(text, first.span().start);
    Some((
        format!("users.{name}"),
        format!("there is a table of this user already, in line {line}: write one for each user"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use std::fs;

    /// The users of a text, and its errors.
    fn users(text: &str) -> (Vec<Account>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.toml");
        fs::write(&file, text).unwrap();
        let location = ConfigLocation::new(dir.path(), Some(&file)).unwrap();
        let (config, mistakes) = parse(&location, text, &[]);
        let accounts = config.accounts.iter().map(|account| Account::clone(account)).collect();
        (accounts, mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn users_may_install_keys_unless_that_would_bypass_a_restriction() {
        const ED25519_KEY: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
        let inside = format!("authorized-keys = ['from=\"192.0.2.0/24\" {ED25519_KEY}']");
        for (settings, want) in [
            ("", true),
            ("access = \"read-only\"", false),
            ("access = \"read-only\"\nown-keys = true", true),
            ("own-keys = false", false),
            (&inside, false),
            (&format!("{inside}\nown-keys = true"), true),
        ] {
            let (accounts, mistakes) = users(&format!("[users.alex]\n{settings}\n"));
            assert!(mistakes.is_empty(), "{mistakes:?}");
            assert_eq!(accounts[0].own_keys, want, "{settings}");
        }
        let (accounts, _) =
            users("[defaults]\nown-keys = false\n[users.alex]\n[users.zcl]\nown-keys = true\n");
        assert_eq!((accounts[0].own_keys, accounts[1].own_keys), (false, true));
    }

    #[test]
    fn rates_have_a_unit_and_a_minimum() {
        let (accounts, mistakes) = users(
            "[defaults]\nupload-rate = \"1 MiB/s\"\ndownload-rate = \"800 kB/s\"\n[users.alex]\n\
             [users.zcl]\nupload-rate = \"unlimited\"\ndownload-rate = \"64KiB/s\"\n",
        );
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let rates: Vec<_> = accounts.iter().map(|a| (a.upload_rate, a.download_rate)).collect();
        assert_eq!(rates, [(Some(1 << 20), Some(800_000)), (None, Some(64 << 10))]);
        for (rate, want) in [
            ("5", "must be a rate: \"10 MiB/s\" or \"unlimited\" (found type: integer)"),
            ("\"5 MiB\"", "\"5 MiB\" is not a rate: \"10 MiB/s\" or \"unlimited\""),
            ("\"5 Mbit/s\"", "\"5 Mbit/s\" is not a rate: \"10 MiB/s\" or \"unlimited\""),
            ("\"unlimited/s\"", "\"unlimited/s\" is not a rate: \"10 MiB/s\" or \"unlimited\""),
            ("\"0 MiB/s\"", "\"0 MiB/s\" is too slow: the minimum is 64 KiB/s"),
            ("\"63 KiB/s\"", "\"63 KiB/s\" is too slow: the minimum is 64 KiB/s"),
        ] {
            let (_, mistakes) = users(&format!("[users.alex]\nupload-rate = {rate}\n"));
            assert_eq!(mistakes, [want], "{rate}");
        }
    }
}
