//! The prompt: a thread of its own, so that the connection lives while somebody is typing.

use super::ShellError;
use super::complete::{Question, candidates, question};
use super::glob::Name;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter, Validator};
use std::path::PathBuf;
use std::sync::mpsc as blocking;
use tokio::sync::mpsc;

/// What the thread at the terminal has to say.
pub(super) enum Event {
    /// A line was typed.
    Line(String),
    /// Ctrl-C: the line is to be forgotten.
    Cleared,
    /// Ctrl-D.
    End,
    /// The terminal is gone.
    Failed(String),
    /// Tab: the names in a directory are wanted.
    Names(Question, blocking::Sender<Vec<Name>>),
}

/// A terminal at which somebody types.
pub(super) struct Prompt {
    show: blocking::Sender<String>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Prompt {
    /// Takes the terminal. The history is kept in a file that only its owner can read.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub(super) fn start() -> Result<Prompt, ShellError> {
        let failed = |error: &dyn std::fmt::Display| {
            ShellError::Failed(format!("the terminal cannot be used: {error}"))
        };
        let (show, shown) = blocking::channel();
        let (tell, events) = mpsc::unbounded_channel();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(10_000)
            .map_err(|error| failed(&error))?
            .build();
        let mut editor = Editor::<Line, FileHistory>::with_config(config).map_err(|error| failed(&error))?;
        editor.set_helper(Some(Line { tell: tell.clone() }));
        let run = move || converse(editor, &shown, &tell);
        std::thread::Builder::new().name("prompt".to_owned()).spawn(run).map_err(|error| failed(&error))?;
        Ok(Prompt { show, events })
    }

    /// Shows a prompt; events follow, the last of them not `Names`.
    pub(super) fn show(&self, prompt: String) {
        // If the thread is gone, the events end.
        let _ = self.show.send(prompt);
    }

    /// The next thing that happens at the terminal.
    pub(super) async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap_or(Event::End)
    }
}

fn converse(
    mut editor: Editor<Line, FileHistory>,
    shown: &blocking::Receiver<String>,
    tell: &mpsc::UnboundedSender<Event>,
) {
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    while let Ok(prompt) = shown.recv() {
        let event = match editor.readline(&prompt) {
            Ok(line) => {
                // A history that cannot be written is no reason to stop.
                let _ = editor.add_history_entry(&line);
                if let Some(file) = &history {
                    let _ = editor.append_history(file);
                }
                Event::Line(line)
            }
            Err(ReadlineError::Interrupted) => Event::Cleared,
            Err(ReadlineError::Eof) => Event::End,
            Err(error) => Event::Failed(error.to_string()),
        };
        if tell.send(event).is_err() {
            return;
        }
    }
}

/// The file of the history, which is made if it is missing; none where there is no place for it.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?.join("sshome");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).ok()?;
    let file = folder.join("history");
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(&file).ok()?;
    is_private(&opened).then_some(file)
}

/// Whether nobody else can write to a file: what others plant there, the up arrow would offer.
fn is_private(file: &std::fs::File) -> bool {
    #[cfg(unix)]
    let is_private = file.metadata().is_ok_and(|seen| {
        use std::os::unix::fs::MetadataExt;
        let is_own = seen.uid() == rustix::process::geteuid().as_raw();
        seen.is_file() && is_own && seen.mode() & 0o022 == 0
    });
    #[cfg(not(unix))]
    let is_private = file.metadata().is_ok_and(|seen| seen.is_file());
    is_private
}

/// Completes a line by asking the other thread.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Line {
    tell: mpsc::UnboundedSender<Event>,
}

impl Completer for Line {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..position).unwrap_or(line);
        let Some((start, question)) = question(typed) else { return Ok((position, Vec::new())) };
        if !matches!(question, Question::Names { .. }) {
            return Ok((start, candidates(&question, Vec::new())));
        }
        let (answer, answered) = blocking::channel();
        let Question::Names { operand, directory, prefix } = question else { return Ok((start, Vec::new())) };
        let asked = Question::Names { operand, directory: directory.clone(), prefix: prefix.clone() };
        if self.tell.send(Event::Names(asked, answer)).is_err() {
            return Ok((start, Vec::new()));
        }
        // Nobody answers where the connection is gone.
        let names = answered.recv().unwrap_or_default();
        Ok((start, candidates(&Question::Names { operand, directory, prefix }, names)))
    }
}
