//! The command interpreter: parses a line or the program's arguments and runs the command.

use super::command::CommandSpec;
use super::command::{CommandError, Verb};
use super::ctrl_c::CtrlC;
use super::error::ShellError;
use super::event::OutputEvent;
use super::failures::Failures;
use super::invocation::Invocation;
use super::jobs::{BackgroundJobs, JobProgress};
use super::output::ShellOutput;
use super::parse::parse_command;
use super::pipe::LocalCommand;
use super::words::{self, CommandLine, Word};
use super::{help, listing};
use crate::conversation::{Conversation, ConversationError};
use crate::ssh::Connection;
use crate::transfer::Jobs;
use sshome_wire::{PROTOCOL_VERSION, RemotePath, Reply, Request, Status};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio_util::sync::CancellationToken;

/// Whether to continue after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue with the next command.
    Continue,
    /// End the shell.
    Leave,
}

/// The state of the shell: a conversation and a local directory.
pub struct Shell {
    pub(super) conversation: Conversation,
    /// The connection, which can open another conversation when this one is lost.
    pub(super) connection: Option<Connection>,
    pub(super) cancel: CancellationToken,
    /// The local working directory, absolute.
    pub(super) local: PathBuf,
    /// The working directories before the last `cd` and `lcd`.
    pub(super) previous: Option<RemotePath>,
    pub(super) previous_local: Option<PathBuf>,
    pub(super) out: ShellOutput,
    /// Whether progress bars are shown.
    pub(super) progress: bool,
    /// Whether commands come from a batch file, with the conventions of sftp: a get replaces existing files.
    pub(super) batch: bool,
    /// Whether the words come from the program's arguments.
    pub(super) arguments: bool,
    /// Whether standard input can be uploaded: no commands come from it, and it was not uploaded before.
    pub(super) stdin_is_free: bool,
    /// The server, as `USER@HOST:PORT`, for bookmarks.
    pub(super) server: String,
    /// The default number of connections of a transfer.
    pub(super) jobs: Jobs,
    /// Whether commands are typed at the prompt, so that a lost connection does not end the shell.
    pub(super) is_prompt: bool,
    /// The connection is lost, and that was reported.
    pub(super) is_lost: bool,
    /// A local program has the terminal: Ctrl-C belongs to it.
    pub(super) local_runs: Arc<AtomicBool>,
    pub(super) background: BackgroundJobs,
    /// The progress of the background job that this shell runs.
    pub(super) job: Option<Arc<JobProgress>>,
    /// A Ctrl-C that was pressed since the prompt was shown. It cancels the command that was typed there.
    pub(super) pressed: Option<CtrlC>,
}

impl Shell {
    /// A shell in the current directory of the process.
    ///
    /// # Errors
    /// If that directory was removed.
    pub fn new(conversation: Conversation, out: ShellOutput) -> Result<Shell, ShellError> {
        let local = std::env::current_dir()
            .map_err(|error| ShellError::Failed(format!("the working directory cannot be used: {error}")))?;
        Ok(Shell {
            conversation,
            connection: None,
            cancel: CancellationToken::new(),
            local,
            previous: None,
            previous_local: None,
            progress: !out.is_quiet() && !out.is_for_programs(),
            out,
            batch: false,
            arguments: false,
            stdin_is_free: false,
            server: String::new(),
            jobs: Jobs::default(),
            is_prompt: false,
            is_lost: false,
            local_runs: Arc::default(),
            background: BackgroundJobs::default(),
            job: None,
            pressed: None,
        })
    }

    /// Runs a command from the program's arguments, which another shell has split and whose local patterns it has
    /// expanded.
    ///
    /// # Errors
    /// If the command fails or is cancelled.
    pub async fn argument(&mut self, invocation: &Invocation) -> Result<Flow, ShellError> {
        (self.arguments, self.stdin_is_free) = (true, true);
        self.perform(invocation, None).await
    }

    /// This shell with the connection of its conversation: transfers reconnect if it is lost.
    #[must_use]
    pub fn over(self, connection: Connection) -> Shell {
        Shell { connection: Some(connection), ..self }
    }

    /// This shell with the name of its server, `USER@HOST:PORT`, which its bookmarks belong to.
    #[must_use]
    pub fn of_server(self, server: String) -> Shell {
        Shell { server, ..self }
    }

    /// This shell with this default number of connections of a transfer.
    #[must_use]
    pub fn with_jobs(self, jobs: Jobs) -> Shell {
        Shell { jobs, ..self }
    }

    /// Ends the conversation, and the connection if the shell has it.
    pub async fn close(self) {
        drop(self.conversation);
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }

    /// Runs a line as typed. The rest of the line after `!` is not parsed.
    ///
    /// # Errors
    /// If the line is not a valid command, or the command fails.
    pub async fn line(&mut self, line: &[u8]) -> Result<Flow, ShellError> {
        // A trailing blank may belong to the last word, after a backslash.
        let typed = line.trim_ascii_start();
        let words = |words| CommandLine { words, ..CommandLine::default() };
        let line = match typed.strip_prefix(b"!") {
            Some(rest) if rest.trim_ascii().is_empty() => words(vec![Word::plain(b"!")]),
            Some(rest) => words(vec![Word::plain(b"!"), Word::plain(b"--"), Word::literal(rest)]),
            None if self.is_prompt => words::command_line(typed)?,
            None => words(words::split(typed)?),
        };
        match parse_command(&line.words)? {
            Some(invocation) if line.background => {
                self.stay();
                self.start_job(invocation, typed).map(|()| Flow::Continue)
            }
            Some(invocation) => self.perform(&invocation, line.pipe.as_deref()).await,
            None => Ok(Flow::Continue),
        }
    }

    /// Runs a command, with the local command line that reads its output, or the pager of `less`.
    async fn perform(&mut self, invocation: &Invocation, pipe: Option<&[u8]>) -> Result<Flow, ShellError> {
        let is_paged = invocation.command.verb == Verb::Less && self.out.is_terminal();
        match pipe {
            Some(line) => self.pipe(invocation, LocalCommand::line(line, &self.local), false).await,
            None if is_paged => self.pipe(invocation, LocalCommand::pager(), true).await,
            None => self.run(invocation).await,
        }
    }

    /// Runs a command. Ctrl-C cancels it; a second one stops waiting for that.
    ///
    /// # Errors
    /// If the command fails or is cancelled.
    pub async fn run(&mut self, invocation: &Invocation) -> Result<Flow, ShellError> {
        self.cancel = CancellationToken::new();
        if invocation.command.verb != Verb::Exit {
            self.stay();
        }
        self.out.event(&started(invocation))?;
        let cancel = self.cancel.clone();
        let local_runs = Arc::clone(&self.local_runs);
        let pressed = self.pressed.take().unwrap_or_else(CtrlC::new);
        let draws = matches!(
            invocation.command.verb,
            Verb::Check | Verb::Cp | Verb::Fg | Verb::Get | Verb::Hash | Verb::Pull | Verb::Push | Verb::Put
        );
        let is_shown = !(draws && self.progress || self.out.is_piped());
        tokio::select! {
            biased;
            result = self.execute(invocation) => result,
            () = pressed.twice(&cancel, &local_runs, is_shown) => Err(ShellError::Abandoned),
        }
    }

    pub(super) async fn execute(&mut self, invocation: &Invocation) -> Result<Flow, ShellError> {
        self.connect_again_for(invocation.command.verb).await?;
        match invocation.command.verb {
            Verb::Exit => return self.leave().map(|()| Flow::Leave),
            Verb::Bookmark => self.bookmark(invocation).await,
            Verb::Cat | Verb::Less => self.cat(invocation).await,
            Verb::Cd => self.cd(invocation).await,
            Verb::Check => self.check(invocation).await,
            Verb::Chmod => self.chmod(invocation).await,
            Verb::Cp => self.cp(invocation).await,
            Verb::Df => self.df(invocation).await,
            Verb::Du => self.du(invocation).await,
            Verb::Edit => self.edit(invocation).await,
            Verb::Fg => self.fg(invocation).await,
            Verb::Find => self.find(invocation).await,
            Verb::Get => self.get(invocation).await,
            Verb::Hash => self.hash(invocation).await,
            Verb::Help => show_help(&self.out, invocation),
            Verb::Jobs => self.list_jobs().await,
            Verb::Key => self.key(invocation).await,
            Verb::Kill => self.kill(invocation).await,
            Verb::Lcd => self.lcd(invocation),
            Verb::Lls => self.lls(invocation).await,
            Verb::Lmkdir => self.lmkdir(invocation),
            Verb::Ln | Verb::Symlink => self.link(invocation).await,
            Verb::Lpwd => self.lpwd(),
            Verb::Ls => self.ls(invocation).await,
            Verb::Mkdir => self.mkdir(invocation).await,
            Verb::Mv => self.mv(invocation).await,
            Verb::Progress => self.toggle_progress(),
            Verb::Pull => self.pull(invocation).await,
            Verb::Push => self.push(invocation).await,
            Verb::Put => self.put(invocation).await,
            Verb::Pwd => self.pwd().await,
            Verb::Rename => self.rename(invocation).await,
            Verb::Rm => self.rm(invocation).await,
            Verb::Rmdir => self.rmdir(invocation).await,
            Verb::Shell => self.other_shell(invocation).await,
            Verb::Stat => self.stat(invocation).await,
            Verb::Tree => self.tree(invocation).await,
            Verb::Flush => self.flush().await,
            Verb::Version => self.version(),
        }
        .map(|()| Flow::Continue)
    }

    fn version(&self) -> Result<(), ShellError> {
        let version = env!("CARGO_PKG_VERSION");
        self.out.say(&format!("sshome {version}, protocol {PROTOCOL_VERSION}\n"))
    }

    pub(super) async fn request(&mut self, request: Request) -> Result<Reply, ShellError> {
        Ok(self.conversation.request(request, &self.cancel).await?)
    }

    /// Sends many requests that are answered by a reply each. A refusal is reported and does not stop the others.
    pub(super) async fn request_all(
        &mut self,
        requests: Vec<Request>,
        each: impl FnMut(usize, Reply) -> Result<(), ShellError> + Send,
    ) -> Result<(), ShellError> {
        self.request_all_but(requests, |_| false, each).await
    }

    /// The same. Refusals with these statuses are not reported.
    pub(super) async fn request_all_but(
        &mut self,
        requests: Vec<Request>,
        is_ignored: impl Fn(Status) -> bool + Send + Sync,
        mut each: impl FnMut(usize, Reply) -> Result<(), ShellError> + Send,
    ) -> Result<(), ShellError> {
        let mut failures = Failures::new(&self.out);
        let mut stopped = Ok(());
        let mut judge = |index, reply: Reply| {
            let result = if is_ignored(reply.status) {
                Ok(())
            } else if reply.status.is_error() {
                Err(ConversationError::Refused(reply).into())
            } else {
                each(index, reply)
            };
            if stopped.is_ok() {
                stopped = failures.pass(result);
            }
        };
        self.conversation.ask_all(requests.into_iter(), &self.cancel, &mut judge).await?;
        stopped?;
        failures.verdict()
    }
}

/// Runs a command that needs no server, before the login; `None` if it needs one.
pub fn offline(invocation: &Invocation, out: &ShellOutput) -> Option<Result<(), ShellError>> {
    let is_help = invocation.command.verb == Verb::Help;
    is_help.then(|| out.event(&started(invocation)).and_then(|()| show_help(out, invocation)))
}

fn show_help(out: &ShellOutput, invocation: &Invocation) -> Result<(), ShellError> {
    let Some(word) = invocation.operands.first() else {
        return out.say(&help::overview(listing::width()));
    };
    match CommandSpec::find(&word.bytes()) {
        Some(command) => out.say(&help::help(command, listing::width())),
        None => Err(CommandError::unknown(&word.bytes()).into()),
    }
}

fn started(invocation: &Invocation) -> OutputEvent<'_> {
    let flags = invocation.flags().iter().filter_map(|flag| {
        let name = invocation.command.flag(*flag)?;
        Some(invocation.value(*flag).map(|value| format!("{name}={value}")).unwrap_or(name))
    });
    let operands = invocation.operands.iter().map(|word| String::from_utf8_lossy(&word.bytes()).into_owned());
    let arguments = flags.chain(operands).map(Cow::Owned).collect();
    OutputEvent::Started { command: invocation.command.name, arguments }
}
