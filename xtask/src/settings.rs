//! The JSON Schema of etc/users.toml. Editors check TOML with draft 7; dates are text to them.

use serde_json::{Map, Value, json};
use sshomed::config::{SETTING_TABLES, Setting, SettingKind};

/// The units of a size.
const UNITS: &str = "(?:[Bb]|[KkMmGgTtPpEe][Ii]?[Bb])";

/// The schema of the file.
pub(crate) fn schema() -> Value {
    let mut server = table(&["[server]"], &[("log", table(&["[server.log]"], &[]))]);
    add(&mut server, "limits", table(&["[server.limits]"], &[]));
    let shared = "[defaults] and [users.NAME]";
    let key = required(table(&["[[users.NAME.keys]]"], &[]), "key");
    let keys = json!({ "description": "keys with permissions of their own", "type": "array", "items": key });
    let user = table(&["[users.NAME]", shared], &[("keys", keys)]);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings and users of sshomed",
        "type": "object",
        "properties": {
            "server": server,
            "defaults": table(&[shared], &[]),
            "users": {
                "type": "object",
                "propertyNames": { "pattern": "^[a-z0-9_][a-z0-9._-]{0,31}$" },
                "additionalProperties": user,
            },
        },
        "additionalProperties": false,
    })
}

/// A table with the settings of these rows of the documentation, and further tables.
fn table(names: &[&str], tables: &[(&str, Value)]) -> Value {
    let rows = SETTING_TABLES.iter().filter(|(name, _)| names.contains(name));
    let settings = rows.flat_map(|(_, settings)| settings.iter());
    let mut properties: Map<String, Value> =
        settings.map(|setting| (setting.name.to_owned(), property(setting))).collect();
    properties.extend(tables.iter().map(|(name, table)| ((*name).to_owned(), table.clone())));
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn add(table: &mut Value, name: &str, property: Value) {
    if let Some(properties) = table.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(name.to_owned(), property);
    }
}

fn required(mut table: Value, name: &str) -> Value {
    if let Some(table) = table.as_object_mut() {
        table.insert("required".to_owned(), json!([name]));
    }
    table
}

fn property(setting: &Setting) -> Value {
    let mut property = kind(&setting.kind);
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), setting.summary.replace('`', "").into());
    }
    property
}

fn kind(kind: &SettingKind) -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": format!("^(?:{pattern})$") });
    let number_or =
        |least: u64, most: u64, pattern: &str| json!({ "anyOf": [integer(least, most), text(pattern)] });
    let size = format!("\\s*[0-9]+(?:\\.[0-9]+)?\\s*{UNITS}?\\s*");
    match *kind {
        SettingKind::Boolean => json!({ "type": "boolean" }),
        SettingKind::Choice(values) => json!({ "enum": values }),
        SettingKind::Count(least, most) => integer(least, most),
        SettingKind::FileCount => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": "unlimited" }] })
        }
        SettingKind::Seconds(least, most) => number_or(least, most, "[0-9]+\\s*s?"),
        SettingKind::SecondsOrUnlimited(least, most) => number_or(least, most, "[0-9]+\\s*s?|unlimited"),
        SettingKind::Days(least, most) => number_or(least, most, "[0-9]+\\s*(?:days?)?"),
        SettingKind::Size => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, text(&format!("{size}|\\s*unlimited\\s*"))] })
        }
        SettingKind::FileSize => text(&size),
        SettingKind::Rate => text(&format!("{size}/s|unlimited")),
        SettingKind::Date => text(
            "[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\\.[0-9]+)?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?",
        ),
        SettingKind::Text => json!({ "type": "string" }),
        SettingKind::Name => json!({ "type": "string", "minLength": 1 }),
        SettingKind::Folder => text("/.*"),
        SettingKind::Address => text("(?:[0-9.]+|\\[[0-9A-Fa-f:.]+(?:%[^\\]]+)?\\]):[0-9]{1,5}"),
        SettingKind::Startups => text("\\s*[0-9]+\\s*:\\s*[0-9]+\\s*:\\s*[0-9]+\\s*"),
        SettingKind::PasswordHash => text("\\$argon2id\\$v=19\\$.+"),
        SettingKind::List(of) => json!({ "type": "array", "items": self::kind(of) }),
        SettingKind::Set(of) => {
            json!({ "type": "array", "items": self::kind(of), "minItems": 1, "uniqueItems": true })
        }
    }
}

fn integer(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}
