//! Questions to a person: at the terminal, or through the program that SSH_ASKPASS names.

use std::fmt;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// A password or a passphrase. It does not print, and does not stay in memory. Clones are the same bytes there.
#[derive(Clone)]
pub(super) struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// The secret itself, for whoever has to send or to try it.
    #[must_use]
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody is there.
    #[error("there is no terminal to ask at")]
    NobodyThere,
    /// The configuration forbids it.
    #[error("BatchMode forbids asking")]
    Forbidden,
    /// The person does not want to answer.
    #[error("no answer was given")]
    NoAnswer,
    /// Ctrl-C was pressed instead.
    #[error("interrupted")]
    Interrupted,
    /// The terminal or the program failed.
    #[error("asking failed: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> AskError {
        match error.kind() {
            io::ErrorKind::Interrupted => AskError::Interrupted,
            _ => AskError::Failed(error),
        }
    }
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    forbidden: bool,
    terminal: bool,
    program: Option<std::ffi::OsString>,
    /// Whether somebody is being asked just now. Clones share it.
    asking: Arc<watch::Sender<bool>>,
}

/// Somebody is being asked for as long as this lives.
pub(super) struct Asking(Arc<watch::Sender<bool>>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Asker {
    /// Asks at the terminal, if standard input or standard error is one. As with OpenSSH, where
    /// SSH_ASKPASS_REQUIRE is `force` or `prefer` the program in SSH_ASKPASS is asked for secrets;
    /// `batch` forbids both.
    #[must_use]
    pub(super) fn current(batch: bool) -> Asker {
        use std::io::IsTerminal;
        let wanted =
            std::env::var("SSH_ASKPASS_REQUIRE").is_ok_and(|value| value == "force" || value == "prefer");
        let program = std::env::var_os("SSH_ASKPASS").filter(|program| wanted && !program.is_empty());
        let terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
        Asker { forbidden: batch, terminal, program, asking: Arc::default() }
    }

    /// One that asks nobody, whatever there is.
    #[must_use]
    pub(super) fn silent() -> Asker {
        Asker { forbidden: true, terminal: false, program: None, asking: Arc::default() }
    }

    /// Waits for `work`, and for `limit` at the most; none if that was too long. While a person is
    /// asked, and may think, the time does not run; afterwards it begins anew.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.too_long(limit) => None,
        }
    }

    /// Says that a person is being asked, by whomever.
    #[must_use]
    pub(super) fn asking(&self) -> Asking {
        self.asking.send_replace(true);
        Asking(Arc::clone(&self.asking))
    }

    async fn too_long(&self, limit: Duration) {
        let mut asking = self.asking.subscribe();
        // Waiting fails only when the sender is gone, and we hold it.
        while asking.wait_for(|asking| !asking).await.is_ok()
            && timeout(limit, asking.wait_for(|asking| *asking)).await.is_ok()
        {}
    }

    /// Asks for a secret, which is not shown while it is typed.
    ///
    /// # Errors
    /// If nobody can be asked, or nobody answers.
    pub(super) async fn secret(&self, question: String) -> Result<Secret, AskError> {
        let program = self.program.clone();
        if self.forbidden {
            return Err(AskError::Forbidden);
        }
        if program.is_none() && !self.terminal {
            return Err(AskError::NobodyThere);
        }
        no_core_dumps();
        let _asking = self.asking();
        blocking(move || match program {
            Some(program) => ask_program(&program, &question),
            None => ask_secret(&question),
        })
        .await
        .map(|answer| Secret(Arc::new(answer)))
    }

    /// Asks what a server wants to know, and shows what is typed if it says so. The program is asked as well.
    ///
    /// # Errors
    /// If nobody can be asked, or nobody answers.
    pub(super) async fn answer(&self, question: String, shown: bool) -> Result<Secret, AskError> {
        match shown && self.program.is_none() {
            true => self.line(question).await.map(|answer| Secret(Arc::new(Zeroizing::new(answer)))),
            false => self.secret(question).await,
        }
    }

    /// Asks a question at the terminal.
    ///
    /// # Errors
    /// If there is no terminal, or nobody answers.
    pub(super) async fn line(&self, question: String) -> Result<String, AskError> {
        if self.forbidden {
            return Err(AskError::Forbidden);
        }
        if !self.terminal {
            return Err(AskError::NobodyThere);
        }
        let _asking = self.asking();
        blocking(move || ask_terminal(&question)).await
    }
}

/// From the first secret on this process leaves no core dump. A kernel that refuses is no reason not to ask.
fn no_core_dumps() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

async fn blocking<T, F>(ask: F) -> Result<T, AskError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, AskError> + Send + 'static,
{
    tokio::task::spawn_blocking(ask).await.map_err(io::Error::other)?
}

fn ask_program(program: &std::ffi::OsStr, question: &str) -> Result<Zeroizing<String>, AskError> {
    let output =
        Command::new(program).arg(question).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(AskError::NoAnswer);
    }
    let output = Zeroizing::new(output.stdout);
    let answer = str::from_utf8(&output).map_err(io::Error::other)?;
    Ok(Zeroizing::new(answer.lines().next().unwrap_or_default().to_owned()))
}

/// Reads what is typed, key by key: so nothing is shown, Ctrl-Z stops the program with the terminal as it was,
/// and what was typed behind the answer stays for whoever reads next.
#[cfg(unix)]
fn ask_secret(question: &str) -> Result<Zeroizing<String>, AskError> {
    use crate::terminal::{self, Modes, Resume};
    use std::io::{Read, Write};
    let mut device = terminal::device()?;
    let hold = terminal::hold(Modes::Secret, Resume::Write(question.to_owned()))?;
    device.write_all(question.as_bytes())?;
    let mut typed = SecretBuffer::new();
    let mut byte = [0];
    let answer = loop {
        match device.read(&mut byte) {
            Ok(0) => break Err(AskError::NoAnswer),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Err(error.into()),
        }
        match byte.iter().map(|byte| typed.key(*byte, &hold.keys)).next() {
            Some(PromptKey::End) if typed.0.is_empty() => break Err(AskError::NoAnswer),
            Some(PromptKey::Enter) => break typed.into_text(),
            Some(PromptKey::Interrupt) => break Err(AskError::Interrupted),
            Some(PromptKey::Suspend) => {
                // Nobody sees how much was typed: it begins anew.
                typed = SecretBuffer::new();
                terminal::suspend();
            }
            Some(PromptKey::Quit) => {
                terminal::end_by(signal_hook::consts::SIGQUIT);
                break Err(AskError::Interrupted);
            }
            Some(PromptKey::Text | PromptKey::End) | None => {}
        }
    };
    // The key that ended it was not shown either.
    device.write_all(b"\n")?;
    answer
}

#[cfg(not(unix))]
fn ask_secret(question: &str) -> Result<Zeroizing<String>, AskError> {
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(AskError::from)
}

/// What a key means where a secret is typed.
#[cfg(unix)]
#[derive(Debug, PartialEq, Eq)]
enum PromptKey {
    Text,
    Enter,
    End,
    Interrupt,
    Suspend,
    Quit,
}

/// What was typed of a secret.
#[cfg(unix)]
struct SecretBuffer(Zeroizing<Vec<u8>>);

#[cfg(unix)]
impl SecretBuffer {
    fn new() -> SecretBuffer {
        // A vector that grows leaves copies behind.
        SecretBuffer(Zeroizing::new(Vec::with_capacity(1024)))
    }

    /// Takes a key, as a terminal with these control keys edits a line.
    fn key(&mut self, byte: u8, keys: &crate::terminal::ControlKeys) -> PromptKey {
        // 0 is no key.
        let is = |key| byte != 0 && key == byte;
        match byte {
            b'\r' | b'\n' => return PromptKey::Enter,
            _ if is(keys.interrupt) => return PromptKey::Interrupt,
            _ if is(keys.quit) => return PromptKey::Quit,
            _ if is(keys.suspend) => return PromptKey::Suspend,
            _ if is(keys.end) => return PromptKey::End,
            _ if is(keys.kill) => self.0.clear(),
            _ if is(keys.erase) || byte == 0x08 || byte == 0x7f => {
                // A character of several bytes goes as a whole.
                while self.0.pop().is_some_and(|last| last & 0xc0 == 0x80) {}
            }
            byte => self.0.push(byte),
        }
        PromptKey::Text
    }

    fn into_text(mut self) -> Result<Zeroizing<String>, AskError> {
        match String::from_utf8(std::mem::take(&mut self.0)) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(AskError::Failed(io::Error::new(io::ErrorKind::InvalidData, "that is not UTF-8")))
            }
        }
    }
}

/// Standard input may be a file with commands, so that the terminal itself is asked.
fn ask_terminal(question: &str) -> Result<String, AskError> {
    use std::io::{BufRead, BufReader, Write};
    let mut answer = String::new();
    #[cfg(unix)]
    {
        use crate::terminal::{self, Modes, Resume};
        let mut terminal = terminal::device()?;
        let _hold = terminal::hold(Modes::Lines, Resume::Write(question.to_owned()))?;
        terminal.write_all(question.as_bytes())?;
        BufReader::new(&terminal).read_line(&mut answer)?;
        if !answer.ends_with('\n') {
            // Ctrl-D shows nothing: what is said next begins a line.
            terminal.write_all(b"\n")?;
        }
    }
    #[cfg(not(unix))]
    {
        std::io::stderr().write_all(question.as_bytes())?;
        BufReader::new(std::io::stdin()).read_line(&mut answer)?;
    }
    if answer.is_empty() {
        return Err(AskError::NoAnswer);
    }
    Ok(answer.trim().to_owned())
}

#[cfg(test)]
mod tests;
