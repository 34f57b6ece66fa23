//! The table of all settings: their names are the valid keys of the file. docs/settings.md, users.toml(5) and the schema
//! of the file are generated from it.

use super::{
    limits::MAX_COUNT,
    log::MAX_KEPT_FILES,
    value::{MAX_DAYS, MAX_SECONDS},
};

/// A setting: a key of a table of the file.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// The default value in TOML. `None` if there is no fixed one.
    pub default: Option<&'static str>,
    /// The values that it accepts.
    pub kind: SettingKind,
    /// Its meaning, in one line.
    pub summary: &'static str,
}

/// The values that a setting accepts. The schema of the file and users.toml(5) are generated from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// `true` or `false`.
    Boolean,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A number from the first to the second.
    Count(u64, u64),
    /// A number of files, or `unlimited`.
    FileCount,
    /// A number of seconds from the first to the second, or text such as `10 s`.
    Seconds(u64, u64),
    /// The same, or `unlimited`.
    SecondsOrUnlimited(u64, u64),
    /// A number of days from the first to the second, or text such as `7 days`.
    Days(u64, u64),
    /// A number of bytes, text such as `100 MiB`, or `unlimited`.
    Size,
    /// The same as text, with a limit.
    FileSize,
    /// Text such as `10 MiB/s`, or `unlimited`.
    Rate,
    /// A date, or a date and a time.
    Date,
    /// Any text.
    Text,
    /// Text that is not empty: a path, a name or a pattern.
    Name,
    /// An absolute path in a home.
    Folder,
    /// An address with a port.
    Address,
    /// start:rate:full.
    Startups,
    /// The hash of a password.
    PasswordHash,
    /// An array.
    List(&'static SettingKind),
    /// An array that is not empty, without duplicates.
    Set(&'static SettingKind),
}

use SettingKind as Kind;

const fn setting(name: &'static str, kind: Kind, default: &'static str, summary: &'static str) -> Setting {
    Setting { name, default: Some(default), kind, summary }
}

const fn without_default(name: &'static str, kind: Kind, summary: &'static str) -> Setting {
    Setting { name, default: None, kind, summary }
}

/// The tables of the file with their settings, in the order of docs/settings.md.
pub static SETTING_TABLES: [(&str, &[Setting]); 6] = [
    ("[server]", SERVER_SETTINGS),
    ("[server.log]", LOG_SETTINGS),
    ("[server.limits]", LIMIT_SETTINGS),
    ("[defaults] and [users.NAME]", SHARED_SETTINGS),
    ("[users.NAME]", USER_SETTINGS),
    ("[[users.NAME.keys]]", KEY_SETTINGS),
];

pub(super) const SERVER_SETTINGS: &[Setting] = &[
    setting("listen", Kind::Set(&Kind::Address), r#"["127.0.0.1:2222"]"#, "addresses to listen on"),
    setting(
        "host-keys",
        Kind::Set(&Kind::Name),
        r#"["keys/host_ed25519"]"#,
        "host keys, created at the first start",
    ),
    setting("homes", Kind::Name, r#""home""#, "parent folder of the users' homes"),
    without_default(
        "account",
        Kind::Name,
        "system account that the server switches to if it is started as root",
    ),
    setting(
        "confine",
        Kind::Choice(&["best-effort", "required", "off"]),
        r#""best-effort""#,
        "sandboxing; or `\"required\"`, `\"off\"`",
    ),
    setting(
        "kex",
        Kind::Choice(&["compatible", "post-quantum"]),
        r#""compatible""#,
        "key exchange; or `\"post-quantum\"`",
    ),
    setting(
        "algorithms",
        Kind::Choice(&["strict", "compatible"]),
        r#""strict""#,
        "SSH algorithms; `\"compatible\"` adds those of older clients",
    ),
    setting(
        "shutdown-grace",
        Kind::Seconds(0, MAX_SECONDS),
        "10",
        "seconds that running transfers may take at shutdown",
    ),
    setting("part-expiry", Kind::Days(1, MAX_DAYS), "7", "days to keep partial uploads"),
    setting(
        "stream-expiry",
        Kind::Seconds(0, MAX_SECONDS),
        "900",
        "seconds to keep the partial upload of a stream (`put -`)",
    ),
    setting(
        "control-socket",
        Kind::Name,
        r#""run/control""#,
        "socket for `sshomed status` and others; or `\"off\"`",
    ),
    without_default(
        "metrics",
        Kind::Address,
        "loopback address of the metrics for Prometheus; off by default",
    ),
];

pub(super) const LOG_SETTINGS: &[Setting] = &[
    setting(
        "format",
        Kind::Choice(&["text", "json"]),
        r#""text""#,
        "format of the lines on standard error; or `\"json\"`",
    ),
    without_default("file", Kind::Name, "file that gets the lines as JSON as well; off by default"),
    setting("max-size", Kind::FileSize, r#""100 MiB""#, "size at which the file is rotated"),
    setting("keep", Kind::Count(1, MAX_KEPT_FILES), "5", "number of rotated files to keep"),
    setting("reads", Kind::Boolean, "true", "whether downloads are logged"),
];

pub(super) const LIMIT_SETTINGS: &[Setting] = &[
    setting("login-grace", Kind::Seconds(1, MAX_SECONDS), "60", "seconds for a login"),
    setting(
        "login-attempts",
        Kind::Count(1, MAX_COUNT),
        "10",
        "keys and passwords that a connection may try",
    ),
    setting(
        "max-startups",
        Kind::Startups,
        r#""50:30:150""#,
        "connections without a login, start:rate:full as in sshd_config",
    ),
    setting(
        "connections-per-address",
        Kind::Count(1, MAX_COUNT),
        "100",
        "connections of an IPv4 address or an IPv6 network of 64 bits",
    ),
    setting("sessions-per-user", Kind::Count(1, MAX_COUNT), "100", "sessions of a user"),
    setting(
        "idle-timeout",
        Kind::SecondsOrUnlimited(1, MAX_SECONDS),
        r#""unlimited""#,
        "seconds without traffic, transfer or command",
    ),
    setting(
        "keepalive-interval",
        Kind::Seconds(1, MAX_SECONDS),
        "30",
        "seconds between keepalives, as ClientAliveInterval in sshd_config",
    ),
    setting(
        "keepalive-count",
        Kind::Count(1, MAX_COUNT),
        "4",
        "keepalives without a reply, as ClientAliveCountMax",
    ),
    setting(
        "penalty-failed-login",
        Kind::Seconds(0, MAX_SECONDS),
        "5",
        "penalty in seconds for a connection whose logins failed",
    ),
    setting(
        "penalty-no-login",
        Kind::Seconds(0, MAX_SECONDS),
        "1",
        "penalty in seconds for a connection that tried no login",
    ),
    setting(
        "penalty-too-long",
        Kind::Seconds(0, MAX_SECONDS),
        "20",
        "penalty in seconds for a connection that exceeded login-grace",
    ),
    setting(
        "penalty-threshold",
        Kind::Seconds(0, MAX_SECONDS),
        "15",
        "penalty in seconds above which an address is refused",
    ),
    setting("penalty-max", Kind::Seconds(0, MAX_SECONDS), "600", "largest penalty of an address, in seconds"),
    setting(
        "exempt",
        Kind::List(&Kind::Name),
        r#"["127.0.0.0/8", "::1"]"#,
        "networks without penalties and connection limits",
    ),
];

/// The settings of `[defaults]` and of users.
pub(super) const SHARED_SETTINGS: &[Setting] = &[
    setting("quota", Kind::Size, r#""unlimited""#, "bytes that a home may hold"),
    setting("max-files", Kind::FileCount, "1_000_000", "files, folders and links that a home may hold"),
    setting("access", Kind::Choice(&["read-write", "read-only"]), r#""read-write""#, "or `\"read-only\"`"),
    setting(
        "sftp-uploads",
        Kind::Choice(&["in-place", "atomic"]),
        r#""in-place""#,
        "uploads of SFTP clients; `\"atomic\"` publishes them when they are complete",
    ),
    setting("enabled", Kind::Boolean, "true", "whether the user can log in"),
    without_default(
        "own-keys",
        Kind::Boolean,
        "whether users may install keys; default: true, except for read-only users and those whose `authorized-keys` have `from=`",
    ),
    setting(
        "upload-rate",
        Kind::Rate,
        r#""unlimited""#,
        "bytes per second of all connections of a user together",
    ),
    setting(
        "download-rate",
        Kind::Rate,
        r#""unlimited""#,
        "bytes per second of all connections of a user together",
    ),
];

pub(super) const USER_SETTINGS: &[Setting] = &[
    without_default("password", Kind::PasswordHash, "argon2id hash, which `sshomed user passwd NAME` writes"),
    setting(
        "demo",
        Kind::Boolean,
        "false",
        "marks a public password: the server then listens on loopback only",
    ),
    without_default(
        "authorized-keys",
        Kind::List(&Kind::Name),
        "public keys: files, or lines as in ~/.ssh/authorized_keys",
    ),
    without_default(
        "expires",
        Kind::Date,
        "date from which the user cannot log in; sessions end: 2027-01-01",
    ),
    setting(
        "deletable",
        Kind::List(&Kind::Name),
        "[]",
        "what append-only and upload-only keys may remove: `[\"locks/*\"]`",
    ),
    setting(
        "temporary-names",
        Kind::List(&Kind::Name),
        r#"["*-restic-temp-*", "*.partial"]"#,
        "names of uploads that such keys may remove within 15 minutes",
    ),
    without_default("root", Kind::Name, "home of the user; default: `homes`/NAME"),
];

/// The settings of a key that has a table of its own.
pub(super) const KEY_SETTINGS: &[Setting] = &[
    without_default(
        "key",
        Kind::Name,
        "public key: a file, or a line as in ~/.ssh/authorized_keys without options",
    ),
    setting(
        "access",
        Kind::Choice(&["read-write", "read-only", "append-only", "upload-only"]),
        r#""read-write""#,
        "or `\"read-only\"`, `\"append-only\"`, `\"upload-only\"`; the user's `access` applies as well",
    ),
    without_default(
        "from",
        Kind::Name,
        "addresses that the key may come from, as `from=` in ~/.ssh/authorized_keys",
    ),
    without_default("expires", Kind::Date, "date from which the key is not accepted; its sessions end"),
    without_default(
        "folder",
        Kind::Folder,
        "folder of the home that the key sees as its home, such as `\"/laptop\"`",
    ),
    without_default("comment", Kind::Text, "comment in lists; default: that of the key"),
];

/// The names of settings, and of the tables beside them.
pub(super) fn names(settings: &[&[Setting]], tables: &[&'static str]) -> Vec<&'static str> {
    settings.concat().iter().map(|setting| setting.name).chain(tables.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigLocation, parse};
    use std::fs;
    use std::path::Path;

    /// The settings of a text, without its digest.
    fn parsed(dir: &Path, text: &str) -> String {
        let file = dir.join("users.toml");
        fs::write(&file, text).unwrap();
        let location = ConfigLocation::new(dir, Some(&file)).unwrap();
        let (config, mistakes) = parse(&location, text, &[]);
        assert!(mistakes.is_empty(), "{mistakes:#?}\n{text}");
        format!("{:#?}", Config { text: blake3::hash(b""), ..config })
    }

    #[test]
    fn the_documented_defaults_are_those_of_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for (table, settings) in &SETTING_TABLES[..4] {
            text += &format!("{}\n", table.split_once(" and").map_or(*table, |(table, _)| table));
            for setting in *settings {
                let default = setting.default.map(|default| format!("{} = {default}\n", setting.name));
                text += &default.unwrap_or_default();
            }
        }
        let user = "[users.sam]\n";
        assert_eq!(parsed(dir.path(), &(text + user)), parsed(dir.path(), user));
    }

    #[test]
    fn the_shipped_file_names_every_setting() {
        let shipped = include_str!("../../../etc/users.toml");
        for (table, settings) in &SETTING_TABLES {
            for setting in *settings {
                assert!(shipped.contains(setting.name), "{table} {}", setting.name);
            }
        }
    }
}
