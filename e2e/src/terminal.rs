use anyhow::{Context, Result, bail, ensure};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a text may take to appear. A test waits that long only before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a terminal of its own. It is killed when it is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What came and was not expected yet.
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts a command in a new terminal, which controls it.
    ///
    /// # Errors
    /// If there is no terminal to be had, or the program does not start.
    pub fn start(command: &Command) -> Result<Terminal> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let size = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size)?;
        let mut options = File::options();
        options.read(true).write(true);
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            rustix::fs::OFlags::NOCTTY.bits() as i32,
        );
        let slave = options.open(OsStr::from_bytes(name.as_bytes()))?;
        // Only a new session can have a new terminal; the program becomes its leader.
        let mut leader = Command::new("setsid");
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
        leader.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        leader.current_dir(command.get_current_dir().context("where?")?);
        let child = leader.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave).spawn()?;
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone()?;
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end is an error (EIO) on Linux.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Terminal { child, keyboard, screen, seen: Vec::new() })
    }

    /// Types.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn send(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Whether what is typed is shown by the terminal itself.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn echoes(&self) -> Result<bool> {
        Ok(rustix::termios::tcgetattr(&self.keyboard)?.local_modes.contains(LocalModes::ECHO))
    }

    /// Waits for a text and returns what came before it, without colours and cursor movements.
    ///
    /// # Errors
    /// If the program ends first, or does not say it within a minute.
    pub fn expect(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = plain(&self.seen);
            if let Some((before, after)) = shown.split_once(text) {
                let before = before.to_owned();
                self.seen = after.as_bytes().to_vec();
                return Ok(before);
            }
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => self.seen.extend(more),
                Err(RecvTimeoutError::Timeout) => bail!("{text:?} does not come, only {shown:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended without {text:?}: {shown:?}"),
            }
        }
    }

    /// Waits for the program's end and returns its exit code, and what it said in the end.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn end(mut self) -> Result<(Option<i32>, String)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => self.seen.extend(more),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("it does not end: {:?}", plain(&self.seen)),
            }
        }
        let code = self.child.wait()?.code();
        ensure!(code.is_some(), "a signal ended it");
        Ok((code, plain(&self.seen)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a person reads: no escape sequences, no carriage returns. A sequence that is not whole yet
/// stays, so that its rest can come.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let before = rest.as_str();
        match c {
            '\r' => {}
            '\x1b' if rest.next() == Some('[') => {
                if !rest.by_ref().any(|c| ('@'..='~').contains(&c)) {
                    return out + "\x1b" + before;
                }
            }
            '\x1b' if before.is_empty() => out.push(c),
            '\x1b' => {}
            c => out.push(c),
        }
    }
    out
}
