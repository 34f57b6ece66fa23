//! Formats log fields as `name=value`. Ambiguous values are quoted and escaped as in JSON.

use std::fmt;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Formats fields so that no value can imitate another field.
pub(super) struct QuotedFields;

impl<'writer> FormatFields<'writer> for QuotedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, empty: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    empty: bool,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn put(&mut self, field: &Field, value: &str) -> fmt::Result {
        if !std::mem::take(&mut self.empty) {
            self.writer.write_char(' ')?;
        }
        // Messages come from the server's code and contain no untrusted text.
        if field.name() == "message" {
            return self.writer.write_str(value);
        }
        write!(self.writer, "{}=", field.name())?;
        match is_plain(value) {
            true => self.writer.write_str(value),
            false => quote(&mut self.writer, value),
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.put(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Whether nothing in a value could end it, or pass for another field.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/+-@[]".contains(c);
    !value.is_empty() && value.chars().all(plain)
}

fn quote(writer: &mut Writer<'_>, value: &str) -> fmt::Result {
    writer.write_char('"')?;
    for c in value.chars() {
        match c {
            '"' => writer.write_str("\\\"")?,
            '\\' => writer.write_str("\\\\")?,
            '\n' => writer.write_str("\\n")?,
            c if c.is_control() => write!(writer, "\\u{:04x}", u32::from(c))?,
            c => writer.write_char(c)?,
        }
    }
    writer.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Registry, fmt as lines};

    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Text {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_value_can_imitate_a_field_in_either_format() {
        let (text, json) = (Text::default(), Text::default());
        let (to_text, to_json) = (text.clone(), json.clone());
        let subscriber = Registry::default()
            .with(
                lines::layer().with_ansi(false).fmt_fields(QuotedFields).with_writer(move || to_text.clone()),
            )
            .with(lines::layer().json().flatten_event(true).with_writer(move || to_json.clone()));
        let forged = "ann source=\"192.0.2.1\" \\\n\u{1}é";
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(user = forged, error = %forged, session = 7, source = %"[::1]:22", "login refused");
        });
        let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        let quoted = r#""ann source=\"192.0.2.1\" \\\n\u0001é""#;
        let fields = format!("login refused user={quoted} error={quoted} session=7 source=[::1]:22\n");
        assert!(text.ends_with(&fields), "{text}");
        let json: serde_json::Value = serde_json::from_slice(&json.0.lock().unwrap()).unwrap();
        let decoded: String = serde_json::from_str(quoted).unwrap();
        assert_eq!((&json["user"], &json["error"]), (&decoded.clone().into(), &decoded.into()));
    }
}
