//! A man page.

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

/// How an apostrophe is printed: straight.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// A man page that is being written.
pub(crate) struct Page(String);

impl Page {
    /// A page with its title and its section NAME. `about` is one line without a final period.
    pub(crate) fn new(name: &str, section: &str, about: &str) -> Page {
        let mut page = Page(APOSTROPHE.to_owned());
        let source = concat!("sshome ", env!("CARGO_PKG_VERSION"));
        page.add(|roff| _ = roff.control("TH", [name, section, "\"\"", source, "sshome"]));
        page.heading("NAME");
        page.add(|roff| _ = roff.text([roman(format!("{name} - {about}"))]));
        page
    }

    /// A section.
    pub(crate) fn heading(&mut self, name: &str) {
        self.add(|roff| _ = roff.control("SH", [name]));
    }

    /// A section within a section.
    pub(crate) fn subheading(&mut self, name: &str) {
        self.add(|roff| _ = roff.control("SS", [name]));
    }

    /// A paragraph. Text between backticks is bold; an empty line begins another paragraph.
    pub(crate) fn paragraph(&mut self, text: &str) {
        for paragraph in text.split("\n\n") {
            self.add(|roff| {
                roff.control("PP", []);
                roff.text(marked(paragraph));
            });
        }
    }

    /// A term with its description.
    pub(crate) fn item(&mut self, term: &str, text: &str) {
        self.add(|roff| {
            roff.control("TP", []);
            roff.text(marked(term));
            roff.text(marked(text));
        });
    }

    /// Lines as they are.
    pub(crate) fn lines(&mut self, text: &str) {
        self.add(|roff| {
            roff.control("PP", []);
            roff.control("nf", []);
            text.lines().for_each(|line| _ = roff.text([roman(line)]));
            roff.control("fi", []);
        });
    }

    /// Options with their descriptions.
    pub(crate) fn options(&mut self, options: impl IntoIterator<Item = Arg>) -> anyhow::Result<()> {
        let mut command = Command::new("options").disable_help_flag(true).args(options);
        command.build();
        let mut text = Vec::new();
        Man::new(command).render_options_section(&mut text)?;
        // The caller has written the heading.
        let text = String::from_utf8(text)?;
        text.lines().filter(|line| !line.starts_with(".SH")).for_each(|line| self.line(line));
        Ok(())
    }

    /// The finished page.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn add(&mut self, write: impl FnOnce(&mut Roff)) {
        let mut roff = Roff::default();
        write(&mut roff);
        roff.render().lines().for_each(|line| self.line(line));
    }

    /// A line, unless it is the definition of the apostrophe, which each part begins with and the page has.
    fn line(&mut self, line: &str) {
        if !APOSTROPHE.contains(line) {
            self.0.push_str(line);
            self.0.push('\n');
        }
    }
}

/// Text with the parts between backticks in bold.
fn marked(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(number, part)| if number % 2 == 0 { roman(part) } else { bold(part) }).collect()
}
