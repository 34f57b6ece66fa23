//! The schemas of docs/schema, compared with the server's own check of its settings, and with the page on events.

use serde_json::Value;
use sshome_e2e::json_schema::{UnknownProperties, violations};
use sshomed::config::{self, SETTING_TABLES, Setting, SettingKind};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const KEY: &str = "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa\"";
const PASSWORD_HASH: &str =
    "\"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"";

/// The tables of the settings, with a text that begins them.
const TABLES: [(&str, &str); 7] = [
    ("[server]", "[server]"),
    ("[server.log]", "[server.log]"),
    ("[server.limits]", "[server.limits]"),
    ("[defaults] and [users.NAME]", "[defaults]"),
    ("[defaults] and [users.NAME]", "[users.sam]"),
    ("[users.NAME]", "[users.sam]"),
    ("[[users.NAME.keys]]", "[[users.sam.keys]]"),
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&read(&format!("docs/schema/{name}"))).unwrap()
}

/// A value as editors show it to a schema: a date is text.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
        value => serde_json::to_value(value).unwrap(),
    }
}

/// What the schema says of a text; empty if it is valid.
fn by_schema(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    violations(&schema("users.toml.json"), &json(&toml::Value::Table(table)), UnknownProperties::BySchema)
}

/// What the server says of a text; empty if it is valid.
fn by_server(text: &str) -> String {
    let dir = TempDir::with_prefix("sshome-schema-").unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/users.toml"), text).unwrap();
    config::load(dir.path(), None, &[]).map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn the_shipped_settings_are_valid_also_those_that_are_commented_out() {
    for path in ["etc/users.toml", "packaging/debian/users.toml"] {
        let text = read(path);
        assert_eq!(by_schema(&text), Vec::<String>::new(), "{path}");
        let is_setting = |line: &str| {
            line.starts_with('[')
                || line.split_once(" = ").is_some_and(|(name, _)| {
                    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                })
        };
        let lines =
            text.lines().map(|line| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line));
        let all = lines.collect::<Vec<_>>().join("\n");
        assert!(all.contains("\nlogin-grace = 60") && all.contains("\n[server.log]"), "{all}");
        assert_eq!(by_schema(&all), Vec::<String>::new(), "{path}");
    }
}

/// Values that a setting accepts and refuses, in TOML.
fn samples(setting: &Setting) -> (Vec<String>, Vec<String>) {
    of_kind(setting.name, &setting.kind)
}

fn of_kind(name: &str, kind: &SettingKind) -> (Vec<String>, Vec<String>) {
    let texts = |valid: &[&str], invalid: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        (owned(valid), owned(invalid))
    };
    match *kind {
        SettingKind::Boolean => texts(&["true", "false"], &["\"true\"", "1"]),
        SettingKind::Choice(values) => (
            values.iter().map(|value| format!("\"{value}\"")).collect(),
            texts(&[], &["\"x\"", "\"\"", "true"]).1,
        ),
        SettingKind::Count(least, most) => {
            let invalid = vec![(least - 1).to_string(), (most + 1).to_string(), "\"1\"".to_owned()];
            (vec![least.to_string(), most.to_string()], invalid)
        }
        SettingKind::FileCount => texts(&["1", "1_000", "\"unlimited\""], &["0", "\"10\"", "1.5"]),
        SettingKind::Seconds(least, most) => {
            let (mut valid, mut invalid) =
                texts(&["\"10 s\"", "\"10s\"", "\"10\""], &["\"1 min\"", "-1", "true"]);
            valid.extend([least.to_string(), most.to_string()]);
            invalid.push((most + 1).to_string());
            (valid, invalid)
        }
        SettingKind::SecondsOrUnlimited(..) => {
            texts(&["1", "\"10 s\"", "\"unlimited\""], &["0", "\"never\""])
        }
        SettingKind::Days(_, most) => {
            let (mut valid, mut invalid) =
                texts(&["1", "\"1 day\"", "\"2 days\""], &["0", "\"1 week\"", "-1"]);
            valid.push(most.to_string());
            invalid.push((most + 1).to_string());
            (valid, invalid)
        }
        SettingKind::Size => texts(
            &["5", "\"100 MiB\"", "\"1.5 GiB\"", "\"700 mb\"", "\"12\"", "\"7 B\"", "\"unlimited\""],
            &["0", "\"100 M\"", "\"1,5 GiB\"", "\"\"", "true"],
        ),
        SettingKind::FileSize => texts(&["\"100 MiB\"", "\"5000\""], &["5000", "\"unlimited\"", "\"1 M\""]),
        SettingKind::Rate => {
            texts(&["\"10 MiB/s\"", "\"100kB/s\"", "\"unlimited\""], &["\"10 MiB\"", "100000"])
        }
        SettingKind::Date => texts(
            &["2027-01-01", "2027-01-01T18:00:00Z", "2027-01-01 18:00:00", "2027-01-01T18:00:00+01:00"],
            &["18:00:00", "true", "2027"],
        ),
        SettingKind::Text => texts(&["\"the laptop\"", "\"\""], &["1"]),
        SettingKind::Name => (vec![valid_name(name).to_owned()], texts(&[], &["\"\"", "1"]).1),
        SettingKind::Folder => texts(&["\"/laptop\"", "\"/a/b\""], &["\"laptop\"", "\"\""]),
        SettingKind::Address => {
            texts(&["\"127.0.0.1:2\"", "\"[::1]:2222\""], &["\"127.0.0.1\"", "\"::1\"", "2222"])
        }
        SettingKind::Startups => texts(&["\"50:30:150\"", "\"1:100:1\""], &["\"50\"", "\"50:30\"", "50"]),
        SettingKind::PasswordHash => texts(&[PASSWORD_HASH], &["\"secret\"", "\"$2b$10$abc\"", "\"\""]),
        SettingKind::List(of) | SettingKind::Set(of) => {
            let (valid, mut invalid) = of_kind(name, of);
            let listed =
                |values: &[String]| values.iter().map(|value| format!("[{value}]")).collect::<Vec<_>>();
            let mut lists = listed(&valid);
            let first = &valid[0];
            invalid = listed(&invalid);
            invalid.push(first.clone());
            match kind {
                SettingKind::Set(_) => invalid.extend(["[]".to_owned(), format!("[{first}, {first}]")]),
                _ => lists.push("[]".to_owned()),
            }
            (lists, invalid)
        }
    }
}

/// A valid text for a setting whose text is a path, a name or a pattern.
fn valid_name(setting: &str) -> &'static str {
    match setting {
        "key" | "authorized-keys" => KEY,
        "from" | "exempt" => "\"192.0.2.0/24\"",
        "control-socket" => "\"run/socket\"",
        "file" => "\"log/audit\"",
        _ => "\"x\"",
    }
}

/// A file with one setting, and what it needs.
fn file(table: &str, name: &str, value: &str) -> String {
    let needs = match (table, name) {
        ("[[users.sam.keys]]", name) if name != "key" => format!("key = {KEY}\n"),
        (_, "demo") => format!("password = {PASSWORD_HASH}\n"),
        _ => String::new(),
    };
    format!("{table}\n{needs}{name} = {value}\n")
}

#[test]
fn the_schema_and_the_server_accept_the_same_values_of_every_setting() {
    let mut count = 0;
    for (table, settings) in &SETTING_TABLES {
        let headers: Vec<_> = TABLES.iter().filter(|(name, _)| name == table).collect();
        assert!(!headers.is_empty(), "{table} is not tested");
        for (setting, (_, header)) in
            settings.iter().flat_map(|setting| headers.iter().map(move |header| (setting, header)))
        {
            let (valid, invalid) = samples(setting);
            for value in setting.default.map(str::to_owned).into_iter().chain(valid) {
                let text = file(header, setting.name, &value);
                assert_eq!((by_server(&text), by_schema(&text)), (String::new(), Vec::new()), "{text}");
                count += 1;
            }
            for value in invalid {
                let text = file(header, setting.name, &value);
                assert!(!by_server(&text).is_empty(), "the server accepts\n{text}");
                assert!(!by_schema(&text).is_empty(), "the schema accepts\n{text}");
                count += 1;
            }
        }
    }
    assert!(count > 250, "{count}");
}

#[test]
fn the_schema_and_the_server_refuse_unknown_names() {
    let in_tables = TABLES.iter().map(|(_, table)| file(table, "qouta", "\"1 MiB\""));
    let others =
        ["[sever]\n", "[users.Sam]\n", "[users.\"-a\"]\n", "[[users.sam.keys]]\ncomment = \"no key\"\n"];
    for text in in_tables.chain(others.map(str::to_owned)) {
        assert!(!by_server(&text).is_empty(), "the server accepts\n{text}");
        assert!(!by_schema(&text).is_empty(), "the schema accepts\n{text}");
    }
}

#[test]
fn the_page_on_events_has_the_events_and_the_fields_of_the_schema() {
    let page = read("docs/automation.md");
    let table = page.split_once("\n| event | when | fields |\n|---|---|---|\n").unwrap().1;
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let schema = schema("events.json");
    let events = schema["oneOf"].as_array().unwrap();
    assert_eq!(rows.len(), events.len());
    for event in events {
        let properties = event["properties"].as_object().unwrap();
        let name = properties["event"]["const"].as_str().unwrap();
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/automation.md has no event {name}"));
        let fields = row.splitn(4, '|').last().unwrap();
        // The text before the table describes these for all names.
        let general = ["event", "name_bytes"];
        for field in properties.keys().filter(|field| !general.contains(&field.as_str())) {
            assert!(
                fields.contains(&format!("`{field}`")),
                "{name}: docs/automation.md lacks the field {field}"
            );
        }
        // What looks like a field is one, or a value of one.
        let named = fields.split('`').skip(1).step_by(2).filter(|text| text.contains('_'));
        for field in named {
            assert!(properties.contains_key(field), "{name}: the schema lacks the field {field}");
        }
    }
}
