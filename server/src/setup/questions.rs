//! Questionnaire on the terminal.

use super::SetupError;
use std::io::{self, BufRead, IsTerminal, Write};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The person at the terminal.
    Ask,
    /// The defaults.
    Defaults,
    /// Nobody: all answers have to be options.
    Options,
}

/// Asks questions that no option has answered.
#[derive(Debug)]
pub(super) struct Questionnaire(Mode);

/// A question.
pub(super) struct Question<'a> {
    /// The text, without a mark at its end.
    pub(super) text: &'a str,
    /// The option that answers it.
    pub(super) option: &'static str,
    /// The answer of an empty line, if there is one.
    pub(super) default: Option<String>,
}

impl Questionnaire {
    /// Questionnaire of this process. With `defaults`, nobody is asked.
    pub(super) fn new(defaults: bool) -> Questionnaire {
        Questionnaire(match defaults {
            true => Mode::Defaults,
            false if io::stdin().is_terminal() => Mode::Ask,
            false => Mode::Options,
        })
    }

    /// Asks until an answer is accepted. `accept` returns why it is not.
    pub(super) fn ask<T>(
        &mut self,
        question: &Question<'_>,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, SetupError> {
        let refused = |why| SetupError::NoAnswer { option: question.option, why };
        match self.0 {
            Mode::Options => Err(refused("standard input is not a terminal")),
            Mode::Defaults => {
                let answer = question.default.as_deref().ok_or_else(|| refused("it has no default"))?;
                accept(answer).map_err(|why| SetupError::Answer { option: question.option, why })
            }
            Mode::Ask => loop {
                let answer = typed(question).ok_or_else(|| refused("the question was not answered"))?;
                match accept(&answer) {
                    Ok(answer) => return Ok(answer),
                    Err(why) => say(&format!("{why}\n")),
                }
            },
        }
    }

    /// Tells the person at the terminal something.
    pub(super) fn tell(&self, text: &str) {
        if self.0 == Mode::Ask {
            say(&format!("{text}\n"));
        }
    }

    /// Whether there is a person who can be asked.
    pub(super) fn asks(&self) -> bool {
        self.0 == Mode::Ask
    }
}

/// The answer of the person; `None` at the end of the input.
fn typed(question: &Question<'_>) -> Option<String> {
    let default = question.default.as_ref().map(|default| format!(" [{default}]")).unwrap_or_default();
    loop {
        say(&format!("{}{default}: ", question.text));
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).ok()? == 0 {
            say("\n");
            return None;
        }
        match (line.trim(), &question.default) {
            ("", Some(default)) => return Some(default.clone()),
            ("", None) => {}
            (answer, _) => return Some(answer.to_owned()),
        }
    }
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    // A closed terminal ends the input, too.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
