//! sshome: files on a server that runs sshomed.

use clap::Parser;
use sshome::cli::ClientCli;
use sshome::exit::Exit;
use sshome::messages::{end_line, print_error};
use sshome::names;
use sshome::shell::words::Word;
use sshome::shell::{self, Invocation, Script, Shell, ShellError, ShellOutput, parse_command};
use sshome::ssh::{self, Environment, LoginError, Settings};
use sshome_wire::display::Escaped;
use std::io::IsTerminal;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match ClientCli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // If the text cannot be written, the exit code remains.
            let _ = error.print();
            return exit.into();
        }
    };
    #[cfg(unix)]
    let _restore = sshome::terminal::RestoreOnDrop;
    // One thread per connection is faster than a thread pool.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(&cli));
            // A thread may still wait for standard input.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            print_error(format_args!("cannot start: {error}"));
            Exit::Failed.into()
        }
    }
}

async fn run(cli: &ClientCli) -> Exit {
    let out = ShellOutput::new(cli.json, cli.quiet);
    let exit = attempt(cli, &out).await;
    out.finish(exit);
    exit
}

async fn attempt(cli: &ClientCli, out: &ShellOutput) -> Exit {
    let work = match CommandSource::parse(cli) {
        Ok(work) => work,
        Err(error) => {
            out.failed(&error);
            return error.exit();
        }
    };
    if let CommandSource::Command(invocation) = &work
        && let Some(done) = shell::offline(invocation, out)
    {
        return ended(done, out);
    }
    let settings = match Settings::resolve(cli, &Environment::current()) {
        Ok(settings) => settings,
        Err(error) => {
            out.failed_to_begin(&error);
            return Exit::Usage;
        }
    };
    let connected = tokio::select! {
        connected = ssh::connect(&settings) => connected,
        _ = tokio::signal::ctrl_c() => {
            end_line();
            Err(LoginError::Interrupted)
        }
    };
    let (connection, conversation) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            out.failed_to_begin(&error);
            return error.exit();
        }
    };
    let done = match Shell::new(conversation, out.clone()) {
        Ok(shell) => {
            let server = format!("{}@{}:{}", settings.user, settings.host, settings.port);
            let mut shell = shell.over(connection).with_jobs(cli.jobs).of_server(server);
            let done = work.run(&mut shell, cli, &settings).await;
            shell.close().await;
            done
        }
        Err(error) => Err(error),
    };
    ended(done, out)
}

/// Reports a failure. Returns the exit code.
fn ended(done: Result<(), ShellError>, out: &ShellOutput) -> Exit {
    match done {
        Ok(()) => Exit::Ok,
        Err(error) => {
            out.failed(&error);
            error.exit()
        }
    }
}

/// The commands to run after the login.
enum CommandSource {
    /// The command of the arguments.
    Command(Invocation),
    /// Commands of a file or standard input.
    Script(Script),
    /// A prompt.
    Prompt,
}

impl CommandSource {
    /// Finds mistakes in the arguments, and a missing batch file, before the login.
    fn parse(cli: &ClientCli) -> Result<CommandSource, ShellError> {
        let words: Vec<Word> = cli.command.iter().map(|word| Word::plain(&names::bytes(word))).collect();
        if let Some(invocation) = parse_command(&words)? {
            return Ok(CommandSource::Command(invocation));
        }
        if let Some(file) = &cli.batch {
            return Ok(CommandSource::Script(Script::batch(file)?));
        }
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        // A prompt and events cannot share the terminal.
        match terminal && !cli.json {
            true => Ok(CommandSource::Prompt),
            false => Ok(CommandSource::Script(Script::stdin())),
        }
    }

    async fn run(self, shell: &mut Shell, cli: &ClientCli, settings: &Settings) -> Result<(), ShellError> {
        match self {
            CommandSource::Command(invocation) => shell.argument(&invocation).await.map(drop),
            CommandSource::Script(script) => script.run(shell).await,
            CommandSource::Prompt => {
                let user = Escaped(settings.user.as_bytes());
                let host = Escaped(cli.destination.host.as_bytes());
                shell::interactive(shell, &format!("{user}@{host}")).await
            }
        }
    }
}
