//! The progress bar: a name, and numbers that leave room for it.

use indicatif::{BinaryBytes, HumanDuration, ProgressState, ProgressStyle};
use std::fmt::Write;

// `wide_msg` takes the rest of the terminal's width, and the name is truncated to it.
const LINE_TEMPLATE: &str = "{wide_msg} {numbers}";

/// The columns of a bar.
const BAR_COLUMNS: usize = 12;

/// The style of a progress bar: a message, and numbers that leave room for it.
pub(crate) fn line_style() -> ProgressStyle {
    let columns = || terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0);
    let show = move |state: &ProgressState, out: &mut dyn Write| {
        // A bar that cannot be drawn is not a failure.
        let _ = out.write_str(&numbers(state, columns()));
    };
    style(LINE_TEMPLATE).with_key("numbers", show)
}

/// Amount, rate and remaining time, as far as they fit into this number of columns.
fn numbers(state: &ProgressState, columns: u16) -> String {
    let done = BinaryBytes(state.pos()).to_string();
    let rate = format!("{}/s", BinaryBytes(state.per_sec() as u64));
    let Some(total) = state.len() else { return format!("{done:>10} {rate:>12}") };
    let eta = format!("{:#}", HumanDuration(state.eta()));
    let percent = (f64::from(state.fraction()) * 100.0) as u64;
    match columns {
        76.. => {
            let filled = (f64::from(state.fraction()) * BAR_COLUMNS as f64) as usize;
            let total = BinaryBytes(total).to_string();
            let bar = format!("{:-<BAR_COLUMNS$}", "#".repeat(filled.min(BAR_COLUMNS)));
            format!("{bar} {done:>10} of {total:>10} {rate:>12} {eta:>4}")
        }
        56.. => format!("{percent:>3} % {done:>10} {rate:>12} {eta:>4}"),
        _ => format!("{percent:>3} % {rate:>12}"),
    }
}

/// A style from one of our templates; `the_templates_are_valid` checks them.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{ProgressBar, ProgressDrawTarget};
    use std::sync::{Arc, Mutex};

    #[test]
    fn the_templates_are_valid() {
        for template in [LINE_TEMPLATE, "{wide_msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_line_fits_the_terminal() {
        for columns in [20, 40, 60, 80, 200] {
            let screen = Screen { columns, text: Arc::default() };
            let text = Arc::clone(&screen.text);
            let show = move |state: &ProgressState, out: &mut dyn Write| {
                out.write_str(&numbers(state, columns)).unwrap();
            };
            let target = ProgressDrawTarget::term_like(Box::new(screen));
            let line = ProgressBar::with_draw_target(Some(3 << 40), target);
            let line = line.with_style(style(LINE_TEMPLATE).with_key("numbers", show));
            line.set_message(
                "a name that is longer than any terminal of eighty columns is wide, and then some",
            );
            line.set_position(1023 << 30);
            line.force_draw();
            let shown = text.lock().unwrap().trim().to_owned();
            assert!(
                !shown.contains('\n') && shown.chars().count() <= usize::from(columns),
                "{columns}: {shown}"
            );
            assert!(shown.starts_with('a') && shown.contains("/s"), "{columns}: {shown}");
        }
    }

    /// A terminal that remembers what was written last.
    #[derive(Debug)]
    struct Screen {
        columns: u16,
        text: Arc<Mutex<String>>,
    }

    impl indicatif::TermLike for Screen {
        fn width(&self) -> u16 {
            self.columns
        }

        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn write_line(&self, line: &str) -> std::io::Result<()> {
            self.write_str(&format!("{line}\n"))
        }

        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.text.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> std::io::Result<()> {
            self.text.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
