//! Checks JSON against the schemas of docs/schema. Knows the keywords that they use, and panics at any other.

use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that constrain nothing.
const ANNOTATIONS: [&str; 5] = ["$schema", "title", "description", "format", "default"];

/// Whether an object may have properties that its schema does not list. A schema may allow them for the sake of later
/// versions, of which this version must not make use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownProperties {
    /// As the schema says.
    BySchema,
    /// Never.
    Refused,
}

/// What is wrong with a value; empty if it is valid.
///
/// # Panics
/// If the schema has an unknown keyword.
#[must_use]
pub fn violations(schema: &Value, value: &Value, unknown: UnknownProperties) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, unknown, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, unknown: UnknownProperties, at: &str, found: &mut Vec<String>) {
    let schema = schema.as_object().unwrap_or_else(|| panic!("{schema} is not a schema"));
    let is_valid = |schema: &Value| violations(schema, value, unknown).is_empty();
    for (keyword, limit) in schema {
        let holds = match keyword.as_str() {
            "type" => match limit {
                Value::Array(types) => types.iter().any(|name| has_type(value, name)),
                name => has_type(value, name),
            },
            "const" => value == limit,
            "enum" => limit.as_array().unwrap().contains(value),
            "anyOf" => limit.as_array().unwrap().iter().any(is_valid),
            "oneOf" => limit.as_array().unwrap().iter().filter(|schema| is_valid(schema)).count() == 1,
            "pattern" => value.as_str().is_none_or(|text| matches(limit, text)),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= limit.as_u64().unwrap())
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= limit.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= limit.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= limit.as_u64().unwrap()),
            "uniqueItems" => value.as_array().is_none_or(|items| {
                items.iter().enumerate().all(|(place, item)| !items[..place].contains(item))
            }),
            "required" => value.as_object().is_none_or(|object| {
                limit.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(limit, item, unknown, &format!("{at}[{place}]"), found);
                }
                true
            }
            "properties" | "additionalProperties" | "propertyNames" => true,
            keyword if ANNOTATIONS.contains(&keyword) => true,
            keyword => panic!("the schema has the keyword {keyword}"),
        };
        if !holds {
            found.push(format!("{at}: {value} violates {keyword}: {limit}"));
        }
    }
    if let Some(object) =
        value.as_object().filter(|_| schema.get("type").is_some_and(|name| name == "object"))
    {
        check_properties(schema, object, unknown, at, found);
    }
}

fn check_properties(
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    unknown: UnknownProperties,
    at: &str,
    found: &mut Vec<String>,
) {
    for (name, value) in object {
        let at = format!("{at}.{name}");
        if let Some(pattern) = schema.get("propertyNames").and_then(|names| names.get("pattern"))
            && !matches(pattern, name)
        {
            found.push(format!("{at}: {name} is not a name"));
        }
        let listed = schema.get("properties").and_then(|properties| properties.get(name));
        match (listed, schema.get("additionalProperties")) {
            (Some(schema), _) => check(schema, value, unknown, &at, found),
            (None, Some(schema @ Value::Object(_))) => check(schema, value, unknown, &at, found),
            (None, None) if unknown == UnknownProperties::BySchema => {}
            _ => found.push(format!("{at}: the property is unknown")),
        }
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text)
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        name => panic!("the schema has the type {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_keyword_is_checked() {
        for (schema, valid, invalid) in [
            (json!({ "type": ["integer", "null"] }), json!(null), json!("1")),
            (json!({ "type": "integer", "minimum": 1, "maximum": 3 }), json!(3), json!(4)),
            (json!({ "enum": ["a"] }), json!("a"), json!("b")),
            (json!({ "anyOf": [{ "const": 1 }, { "const": 2 }] }), json!(2), json!(3)),
            (json!({ "oneOf": [{ "const": 1 }, { "type": "integer" }] }), json!(2), json!(1)),
            (json!({ "pattern": "^a+$", "minLength": 2 }), json!("aa"), json!("a")),
            (json!({ "type": "array", "items": { "const": 1 }, "minItems": 1 }), json!([1]), json!([])),
            (json!({ "type": "array", "items": { "const": 1 } }), json!([1]), json!([1, 2])),
            (json!({ "uniqueItems": true }), json!([1, 2]), json!([1, 1])),
            (json!({ "type": "object", "required": ["a"] }), json!({ "a": 1 }), json!({})),
            (
                json!({ "type": "object", "properties": { "a": { "const": 1 } } }),
                json!({ "b": 1 }),
                json!({ "a": 2 }),
            ),
            (json!({ "type": "object", "additionalProperties": false }), json!({}), json!({ "a": 1 })),
            (
                json!({ "type": "object", "propertyNames": { "pattern": "^a" } }),
                json!({ "ab": 1 }),
                json!({ "b": 1 }),
            ),
        ] {
            let is_valid = |value: &Value| violations(&schema, value, UnknownProperties::BySchema).is_empty();
            assert!(is_valid(&valid) && !is_valid(&invalid), "{schema}");
        }
        let object = json!({ "type": "object" });
        assert!(!violations(&object, &json!({ "a": 1 }), UnknownProperties::Refused).is_empty());
    }
}
