//! The prompt: line editor, history and completion on their own thread, so that the connection stays alive.

use super::ShellError;
use super::complete::{Completion, CompletionQuery, completion, question};
use super::glob::GlobEntry;
use super::keys::{KeyBindings, bind};
use super::{columns, listing};
#[cfg(unix)]
use crate::terminal::{self, Modes, Resume};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{
    CompletionType, Config, Context, Editor, ExternalPrinter, Helper, Highlighter, Hinter, Validator,
};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Terminals that cannot move their cursor: lines are read without editing.
const DUMB_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// The timeout for the rest of a key sequence that begins with ESC, in milliseconds.
const ESCAPE_TIMEOUT_MS: u16 = 500;

/// The largest number of names that Tab shows.
const MAX_SHOWN_NAMES: usize = 200;

/// An event of the prompt's thread.
pub(super) enum PromptEvent {
    /// A line was typed.
    Line(String),
    /// Ctrl-C: the line was discarded.
    Cleared,
    /// The line was not UTF-8, and was discarded.
    NoText,
    /// Ctrl-D.
    End,
    /// The terminal was closed.
    Failed(String),
    /// Tab: the names in a directory are needed.
    Names(CompletionQuery, blocking::Sender<CompletionReply>),
    /// The names are obsolete; the line stays.
    NamesUnwanted,
}

/// The answer to a Tab.
pub(super) enum CompletionReply {
    /// The names.
    Names(Vec<GlobEntry>),
    /// Ctrl-C: the line has to be cleared.
    Cleared,
    /// Ctrl-Z: the program has to be stopped.
    Suspended,
}

/// The interactive terminal.
pub(super) struct Prompt {
    show: blocking::Sender<String>,
    events: mpsc::UnboundedReceiver<PromptEvent>,
    /// Whether the terminal edits the lines itself, so that Ctrl-C is a signal.
    pub(super) is_plain: bool,
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
        let (sender, events) = mpsc::unbounded_channel();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .keyseq_timeout(Some(ESCAPE_TIMEOUT_MS))
            .history_ignore_space(true)
            .max_history_size(10_000)
            .map_err(|error| failed(&error))?
            .build();
        let mut editor =
            Editor::<LineHelper, FileHistory>::with_config(config).map_err(|error| failed(&error))?;
        let term = std::env::var("TERM").unwrap_or_default();
        let is_plain = DUMB_TERMINALS.iter().any(|plain| plain.eq_ignore_ascii_case(&term));
        // Without line editing there is none.
        let printer = editor.create_external_printer().ok().map(Printer::new);
        editor.set_helper(Some(LineHelper { events: sender.clone(), printer: printer.clone() }));
        let keys = bind(&mut editor);
        let typist = LineReader { editor, keys, printer, is_plain, history: history_file() };
        let run = move || typist.converse(&shown, &sender);
        std::thread::Builder::new().name("prompt".to_owned()).spawn(run).map_err(|error| failed(&error))?;
        Ok(Prompt { show, events, is_plain })
    }

    /// Shows a prompt. Events follow; the last one is not `Names`.
    pub(super) fn show(&self, prompt: String) {
        // If the thread is gone, the events end.
        let _ = self.show.send(prompt);
    }

    /// The next event of the terminal.
    pub(super) async fn event(&mut self) -> PromptEvent {
        self.events.recv().await.unwrap_or(PromptEvent::End)
    }
}

/// Reads lines on the prompt's thread.
struct LineReader {
    editor: Editor<LineHelper, FileHistory>,
    keys: Arc<KeyBindings>,
    printer: Option<Printer>,
    is_plain: bool,
    history: Option<PathBuf>,
}

impl LineReader {
    fn converse(mut self, shown: &blocking::Receiver<String>, events: &mpsc::UnboundedSender<PromptEvent>) {
        if let Some(file) = &self.history {
            // It does not exist at the first start.
            let _ = self.editor.load_history(file);
        }
        while let Ok(prompt) = shown.recv() {
            let event = self.read(&prompt);
            if events.send(event).is_err() {
                return;
            }
        }
    }

    fn read(&mut self, prompt: &str) -> PromptEvent {
        #[cfg(unix)]
        let _hold = self.hold(prompt);
        let read = self.editor.readline(prompt);
        // Ctrl-C ends the line like Enter: an error would lose later input.
        let cleared = self.keys.take_cleared();
        match read {
            Ok(_) if cleared => PromptEvent::Cleared,
            Ok(line) => {
                // A history that cannot be written is not an error.
                let _ = self.editor.add_history_entry(&line);
                if let Some(file) = &self.history {
                    let _ = self.editor.append_history(file);
                }
                PromptEvent::Line(line)
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => PromptEvent::Cleared,
            Err(ReadlineError::Eof) => PromptEvent::End,
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                // The rest of the line must not run as a separate line. A closed terminal has no rest.
                #[cfg(unix)]
                let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
                PromptEvent::NoText
            }
            Err(error) => PromptEvent::Failed(error.to_string()),
        }
    }

    /// Redraws the line when the program is continued. Without a controlling terminal it is not stopped either.
    #[cfg(unix)]
    fn hold(&self, prompt: &str) -> Option<terminal::Hold> {
        let (modes, resume) = match (self.is_plain, self.printer.clone()) {
            // Up and down again: the printed text ends in a line feed, which must not show.
            (false, Some(printer)) => {
                (Modes::Editor, Resume::Draw(Arc::new(move || printer.print("\x1b[A\n".to_owned()))))
            }
            (false, None) => (Modes::Editor, Resume::Nothing),
            (true, _) => (Modes::Lines, Resume::Write(prompt.to_owned())),
        };
        terminal::hold(modes, resume).ok()
    }
}

/// Prints above the line that is being edited.
#[derive(Clone)]
struct Printer(Arc<Mutex<dyn ExternalPrinter + Send>>);

impl Printer {
    fn new(printer: impl ExternalPrinter + Send + 'static) -> Printer {
        Printer(Arc::new(Mutex::new(printer)))
    }

    /// Prints once the line editor reads keys, without waiting: the editor may be waiting for the caller.
    fn print(&self, text: String) {
        let printer = Arc::clone(&self.0);
        let print = move || printer.lock().unwrap_or_else(PoisonError::into_inner).print(text);
        // If it cannot be shown, only the text is lost.
        let _ = std::thread::Builder::new().name("printer".to_owned()).spawn(print);
    }
}

/// The history file, created if missing; `None` if there is no place for it.
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

/// Whether no other user can write to a file: the up arrow would offer lines that they plant there.
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

/// Completes a line by a query to the other thread.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct LineHelper {
    events: mpsc::UnboundedSender<PromptEvent>,
    printer: Option<Printer>,
}

impl LineHelper {
    /// The names that answer a query.
    ///
    /// # Errors
    /// If Ctrl-C is pressed first.
    fn names(&self, question: &CompletionQuery) -> rustyline::Result<Vec<GlobEntry>> {
        if !matches!(question, CompletionQuery::Names { .. }) {
            return Ok(Vec::new());
        }
        let (answer, answered) = blocking::channel();
        #[cfg(unix)]
        let interruptible = {
            let answer = answer.clone();
            terminal::interruptible(move || {
                // If the wait is over, nothing needs to be ended.
                let _ = answer.send(CompletionReply::Suspended);
            })
        };
        self.events
            .send(PromptEvent::Names(question.clone(), answer))
            .map_err(|_| ReadlineError::Interrupted)?;
        let first = answered.recv();
        #[cfg(unix)]
        {
            drop(interruptible);
            if matches!(first, Ok(CompletionReply::Suspended))
                || matches!(answered.try_recv(), Ok(CompletionReply::Suspended))
            {
                // If the receiver has ended, no answer comes either.
                let _ = self.events.send(PromptEvent::NamesUnwanted);
                terminal::suspend();
            }
        }
        match first {
            Ok(CompletionReply::Names(names)) => Ok(names),
            Ok(CompletionReply::Suspended) => Ok(Vec::new()),
            Ok(CompletionReply::Cleared) | Err(_) => Err(ReadlineError::Interrupted),
        }
    }
}

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or(line);
        let Some((start, question)) = question(typed) else { return Ok((position, Vec::new())) };
        let names = self.names(&question)?;
        match (completion(&question, names), &self.printer) {
            (Completion::Text(text), _) => Ok((start, vec![text])),
            (Completion::Choice(names), Some(printer)) if !names.is_empty() => {
                printer.print(choice(&names));
                Ok((start, Vec::new()))
            }
            _ => Ok((start, Vec::new())),
        }
    }
}

/// Names to choose from, below the line that was typed.
fn choice(names: &[String]) -> String {
    let shown = names.get(..MAX_SHOWN_NAMES).unwrap_or(names);
    let cells: Vec<_> = shown.iter().cloned().map(columns::Cell::from).collect();
    let mut text = columns::columns(&cells, listing::width());
    if names.len() > shown.len() {
        text.push_str(&format!("and {} more\n", names.len() - shown.len()));
    }
    text
}
