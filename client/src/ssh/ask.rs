//! Questions to the user: at the terminal, or through the program in SSH_ASKPASS.

use std::fmt;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// A password or a passphrase. It cannot be printed, and is erased from memory when it is dropped. Clones share the
/// bytes.
#[derive(Clone)]
pub(super) struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// The secret itself, to send it or to try it.
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

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There is no terminal.
    #[error("there is no terminal to ask on")]
    NobodyThere,
    /// The configuration forbids it.
    #[error("BatchMode forbids asking")]
    Forbidden,
    /// The user gave no answer.
    #[error("no answer was given")]
    NoAnswer,
    /// Ctrl-C was pressed.
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

/// Asks the user.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    forbidden: bool,
    terminal: bool,
    program: Option<std::ffi::OsString>,
    /// Whether a question is open. Clones share it.
    asking: Arc<watch::Sender<bool>>,
}

/// A question is open while this exists.
pub(super) struct Asking(Arc<watch::Sender<bool>>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Asker {
    /// Asks at the terminal, if standard input or standard error is one. As with OpenSSH, the program in SSH_ASKPASS is
    /// used for secrets if SSH_ASKPASS_REQUIRE is `force` or `prefer`. `batch` forbids both.
    #[must_use]
    pub(super) fn current(batch: bool) -> Asker {
        use std::io::IsTerminal;
        let wanted =
            std::env::var("SSH_ASKPASS_REQUIRE").is_ok_and(|value| value == "force" || value == "prefer");
        let program = std::env::var_os("SSH_ASKPASS").filter(|program| wanted && !program.is_empty());
        let terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
        Asker { forbidden: batch, terminal, program, asking: Arc::default() }
    }

    /// An `Asker` that never asks.
    #[must_use]
    pub(super) fn silent() -> Asker {
        Asker { forbidden: true, terminal: false, program: None, asking: Arc::default() }
    }

    /// Waits for `work`, at most for `limit`; `None` if that was exceeded. While a question is open the time does not
    /// run; afterwards it starts again.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.too_long(limit) => None,
        }
    }

    /// Marks a question as open.
    #[must_use]
    pub(super) fn asking(&self) -> Asking {
        self.asking.send_replace(true);
        Asking(Arc::clone(&self.asking))
    }

    async fn too_long(&self, limit: Duration) {
        let mut asking = self.asking.subscribe();
        // This only fails if the sender is dropped, and we hold it.
        while asking.wait_for(|asking| !asking).await.is_ok()
            && timeout(limit, asking.wait_for(|asking| *asking)).await.is_ok()
        {}
    }

    /// Asks for a secret, which is not shown while it is typed.
    ///
    /// # Errors
    /// If the user cannot be asked, or does not answer.
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

    /// Asks a question of the server, and echoes the answer if the server allows it. It also uses the program in
    /// SSH_ASKPASS.
    ///
    /// # Errors
    /// If the user cannot be asked, or does not answer.
    pub(super) async fn answer(&self, question: String, shown: bool) -> Result<Secret, AskError> {
        match shown && self.program.is_none() {
            true => self.line(question).await.map(|answer| Secret(Arc::new(Zeroizing::new(answer)))),
            false => self.secret(question).await,
        }
    }

    /// Asks a question at the terminal.
    ///
    /// # Errors
    /// If there is no terminal, or the user does not answer.
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

/// Disables core dumps from the first secret on. If the kernel refuses, the question is asked nevertheless.
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

/// Reads the answer key by key: so nothing is echoed, Ctrl-Z stops the program with the terminal's modes restored, and
/// keys after the answer remain for the next reader.
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
                // The user cannot see how much was typed: it starts from the beginning.
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
    // The key that ended it was not echoed either.
    device.write_all(b"\n")?;
    answer
}

#[cfg(not(unix))]
fn ask_secret(question: &str) -> Result<Zeroizing<String>, AskError> {
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(AskError::from)
}

/// The meaning of a key in a secret.
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

/// The typed bytes of a secret.
#[cfg(unix)]
struct SecretBuffer(Zeroizing<Vec<u8>>);

#[cfg(unix)]
impl SecretBuffer {
    fn new() -> SecretBuffer {
        // A growing vector leaves copies in memory.
        SecretBuffer(Zeroizing::new(Vec::with_capacity(1024)))
    }

    /// Processes a key, as a terminal with these control keys edits a line.
    fn key(&mut self, byte: u8, keys: &crate::terminal::ControlKeys) -> PromptKey {
        // 0 is not a key.
        let is = |key| byte != 0 && key == byte;
        match byte {
            b'\r' | b'\n' => return PromptKey::Enter,
            _ if is(keys.interrupt) => return PromptKey::Interrupt,
            _ if is(keys.quit) => return PromptKey::Quit,
            _ if is(keys.suspend) => return PromptKey::Suspend,
            _ if is(keys.end) => return PromptKey::End,
            _ if is(keys.kill) => self.0.clear(),
            _ if is(keys.erase) || byte == 0x08 || byte == 0x7f => {
                // A character of several bytes is removed as a whole.
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

/// Standard input may be a file with commands, so the terminal itself is used.
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
            // Ctrl-D is not echoed: the next message begins a line.
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
