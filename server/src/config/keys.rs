//! The tables `[[users.NAME.keys]]`: keys with permissions of their own.

use super::section::Section;
use super::settings::{KEY_SETTINGS, names};
use super::users::authorized_keys;
use super::{ConfigLocation, Diagnostics, value};
use crate::accounts::{AuthorizedKey, KeyLimits, KeyOptions, looks_like_a_line};
use std::path::PathBuf;

/// Reads the tables of one user. `others` are the keys of `authorized-keys`. Returns the keys, and the files that hold
/// them. A table with a mistake grants nothing.
pub(super) fn read(
    user: &Section<'_>,
    location: &ConfigLocation,
    others: &[AuthorizedKey],
    mistakes: &mut Diagnostics,
) -> (Vec<AuthorizedKey>, Vec<PathBuf>) {
    let (mut keys, mut files): (Vec<AuthorizedKey>, _) = (Vec::new(), Vec::new());
    for section in user.table_array("keys", mistakes) {
        let before = mistakes.len();
        section.only(&names(&[KEY_SETTINGS], &[]), mistakes);
        let found = one(&section, location, mistakes);
        let Some((key, file)) = found.filter(|_| mistakes.len() == before) else { continue };
        // Otherwise the less restricted of the two would apply.
        if others.iter().chain(&keys).any(|other| other.is(key.public_key())) {
            let message = format!(
                "{} is a key of this user already: remove it from authorized-keys, or one of its tables",
                key.fingerprint()
            );
            mistakes.add(section.span(), &section.key("key"), message);
            continue;
        }
        keys.push(key);
        files.extend(file);
    }
    (keys, files)
}

fn one(
    section: &Section<'_>,
    location: &ConfigLocation,
    mistakes: &mut Diagnostics,
) -> Option<(AuthorizedKey, Option<PathBuf>)> {
    let limits = KeyLimits {
        access: section
            .get("access", value::key_access, mistakes)
            .map(|found| found.value)
            .unwrap_or_default(),
    };
    let origin = section.get("from", value::origin, mistakes).map(|found| found.value);
    let expires = section.get("expires", value::expiry, mistakes).map(|found| found.value);
    let folder = section.get("folder", value::folder, mistakes).map(|found| found.value);
    let comment = section.get("comment", value::string, mistakes).map(|found| found.value);
    if section.span_of("key").is_none() {
        let message = "is missing: give the public key's line or file".to_owned();
        mistakes.add(section.span(), &section.key("key"), message);
        return None;
    }
    let read = |value| {
        let entry = value::path(value)?;
        let file = (!looks_like_a_line(entry)).then(|| location.path(entry));
        match &authorized_keys(location, entry)?[..] {
            [key] if key.has_options() => {
                Err("has options before it: give them as settings of this table".to_owned())
            }
            [key] => Ok((key.clone(), file)),
            keys => Err(format!("holds {} keys: each needs a table of its own", keys.len())),
        }
    };
    let (key, file) = section.get("key", read, mistakes)?.value;
    Some((key.with_limits(KeyOptions { origin, expires, folder }, comment, limits), file))
}

#[cfg(test)]
mod tests {
    use crate::accounts::{Access, Account};
    use crate::config::{ConfigLocation, parse};
    use std::fs;

    const ED25519_KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
    const P256_KEY: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA=";

    /// The user `ann` of a text, and the mistakes as `LINE KEY: MESSAGE`.
    fn ann(text: &str) -> (Account, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.toml");
        fs::write(&file, text).unwrap();
        fs::write(dir.path().join("ann.pub"), format!("{ED25519_KEY} ann's\n")).unwrap();
        fs::write(dir.path().join("two.pub"), format!("{ED25519_KEY}\n{P256_KEY}\n")).unwrap();
        let location = ConfigLocation::new(dir.path(), Some(&file)).unwrap();
        let (config, mistakes) = parse(&location, text, &[]);
        let shown = mistakes.into_iter().map(|mistake| {
            format!("{} {}: {}", mistake.line.unwrap_or_default(), mistake.key, mistake.message)
        });
        (Account::clone(&config.accounts[0]), shown.collect())
    }

    #[test]
    fn a_table_describes_one_key() {
        let (ann, mistakes) = ann(&format!(
            "[users.ann]\nauthorized-keys = [\"{P256_KEY}\"]\n\n[[users.ann.keys]]\nkey = \"ann.pub\"\n\
             access = \"read-only\"\nfrom = \"192.0.2.0/24\"\ncomment = \"the laptop\"\n"
        ));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let [line, table] = &ann.keys[..] else { panic!("{:?}", ann.keys) };
        assert!(line.limits().is_none());
        assert_eq!(table.limits().unwrap().access, Access::ReadOnly);
        assert_eq!(table.comment(), b"the laptop");
        let opens = |from: &str| table.opens(table.public_key(), from.parse().unwrap());
        assert!(opens("192.0.2.7") && !opens("198.51.100.1"));
        assert!(ann.own_keys, "other keys may install keys; a restricted one may not anyway");
    }

    #[test]
    fn mistakes_of_tables_name_the_table() {
        let table = |settings: &str| ann(&format!("[users.ann]\n[[users.ann.keys]]\n{settings}\n")).1;
        let key = format!("key = \"{ED25519_KEY}\"");
        for (settings, want) in [
            (String::new(), "2 users.ann.keys.key: is missing"),
            (format!("{key}\naccess = \"all\""), "4 users.ann.keys.access: invalid access \"all\""),
            (format!("{key}\nfolder = \"laptop\""), "4 users.ann.keys.folder: \"laptop\" is not a folder"),
            (format!("{key}\nfolder = \"/a/../b\""), "4 users.ann.keys.folder: \"/a/../b\" is not a folder"),
            (format!("{key}\nfrom = \"host\""), "4 users.ann.keys.from: from=\"host\" is not an address"),
            (format!("{key}\nacces = \"read-only\""), "4 users.ann.keys.acces: unknown key: did you mean"),
            (format!("{key}\nexpires = 18:00:00"), "4 users.ann.keys.expires: must be a date"),
            (format!("{key}\nexpires = \"2027-01-01\""), "4 users.ann.keys.expires: must be a date"),
            (format!("key = 'from=\"*\" {ED25519_KEY}'"), "3 users.ann.keys.key: has options before it"),
            ("key = \"two.pub\"".to_owned(), "3 users.ann.keys.key: holds 2 keys"),
            ("key = \"none.pub\"".to_owned(), "3 users.ann.keys.key: none.pub cannot be read"),
        ] {
            let mistakes = table(&settings);
            assert!(mistakes.len() == 1 && mistakes[0].starts_with(want), "{settings}: {mistakes:?}");
        }
        let twice = format!("{key}\n[[users.ann.keys]]\n{key}");
        assert!(table(&twice)[0].contains("is a key of this user already"), "{:?}", table(&twice));
        let both =
            ann(&format!("[users.ann]\nauthorized-keys = [\"{ED25519_KEY}\"]\nkeys = [{{ {key} }}]\n")).1;
        assert!(both[0].contains("remove it from authorized-keys"), "{both:?}");
        let form = ann("[users.ann]\nkeys = [\"ann.pub\"]\n").1;
        assert!(form[0].starts_with("2 users.ann.keys: must be a table"), "{form:?}");
    }
}
