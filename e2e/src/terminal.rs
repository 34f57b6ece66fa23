use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The time limit for a text to appear. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in its own terminal. It is killed when it is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// Output that was not consumed by `expect` yet.
    seen: Vec<u8>,
    /// All output.
    shown: Vec<u8>,
    /// The terminal's modes before the program began.
    found: String,
}

/// The end of a program in a terminal.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its last output.
    pub said: String,
    /// All output, including escape sequences.
    pub shown: Vec<u8>,
}

impl Terminal {
    /// Starts a command in a new terminal, which is its controlling terminal.
    ///
    /// # Errors
    /// If no terminal can be opened, or the program does not start.
    pub fn start(command: &Command) -> Result<Terminal> {
        Terminal::start_sized(command, 120, 24)
    }

    /// The same in a terminal of this size.
    ///
    /// # Errors
    /// If no terminal can be opened, or the program does not start.
    pub fn start_sized(command: &Command, columns: u16, rows: u16) -> Result<Terminal> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        rustix::termios::tcsetwinsize(&master, size(columns, rows))?;
        let found = modes(&master)?;
        let mut options = File::options();
        options.read(true).write(true);
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            rustix::fs::OFlags::NOCTTY.bits() as i32,
        );
        let slave = options.open(OsStr::from_bytes(name.as_bytes()))?;
        // Only a new session can have a new terminal; the program becomes its leader.
        let mut leader = Command::new("setsid");
        // The process that runs the tests may ignore signals, as a shell does for background commands.
        leader.args(["--ctty", "/usr/bin/env", "--default-signal"]);
        leader.arg(command.get_program()).args(command.get_args());
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
        Ok(Terminal { child, keyboard, screen, seen: Vec::new(), shown: Vec::new(), found })
    }

    /// Types a text.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub fn send(&mut self, keys: &str) -> Result<()> {
        self.send_bytes(keys.as_bytes())
    }

    /// Types bytes.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub fn send_bytes(&mut self, keys: &[u8]) -> Result<()> {
        Ok(self.keyboard.write_all(keys)?)
    }

    /// Changes the size of the window.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        Ok(rustix::termios::tcsetwinsize(&self.keyboard, size(columns, rows))?)
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Whether the terminal's modes are those that it had before the program began.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub fn is_as_found(&self) -> Result<bool> {
        Ok(modes(&self.keyboard)? == self.found)
    }

    /// Whether Ctrl-C is a signal.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub fn is_interruptible(&self) -> Result<bool> {
        Ok(rustix::termios::tcgetattr(&self.keyboard)?.local_modes.contains(LocalModes::ISIG))
    }

    /// Whether the terminal echoes typed keys.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub fn echoes(&self) -> Result<bool> {
        Ok(rustix::termios::tcgetattr(&self.keyboard)?.local_modes.contains(LocalModes::ECHO))
    }

    /// Waits for a text. Returns the output before it, without escape sequences.
    ///
    /// # Errors
    /// If the program ends first, or the text does not appear within a minute.
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
                Ok(more) => self.see(more),
                Err(RecvTimeoutError::Timeout) => bail!("{text:?} does not come, only {shown:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended without {text:?}: {shown:?}"),
            }
        }
    }

    /// Waits for the program's end. Returns its exit code and its last output.
    ///
    /// # Errors
    /// If it does not end within a minute, a signal ends it, or it leaves the terminal in different modes.
    pub fn end(self) -> Result<(Option<i32>, String)> {
        let ended = self.ended()?;
        ensure!(ended.status.code().is_some(), "a signal ended it");
        Ok((ended.status.code(), ended.said))
    }

    /// The same, also if a signal ends it.
    ///
    /// # Errors
    /// If it does not end within a minute, or leaves the terminal in different modes.
    pub fn ended(mut self) -> Result<Ended> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => self.see(more),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("it does not end: {:?}", plain(&self.seen)),
            }
        }
        let status = self.child.wait()?;
        ensure!(self.is_as_found()?, "the terminal has other modes than before: {}", modes(&self.keyboard)?);
        let marks = String::from_utf8_lossy(&self.shown)
            .rsplit("\x1b[?2004")
            .next()
            .map(|last| last.starts_with('h'));
        ensure!(marks != Some(true), "the terminal still marks what is pasted");
        Ok(Ended { status, said: plain(&self.seen), shown: std::mem::take(&mut self.shown) })
    }

    fn see(&mut self, more: Vec<u8>) {
        self.shown.extend_from_slice(&more);
        self.seen.extend(more);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The modes of a terminal, for comparisons.
fn modes(terminal: impl std::os::fd::AsFd) -> Result<String> {
    Ok(format!("{:?}", rustix::termios::tcgetattr(terminal)?))
}

/// The readable text: no escape sequences, no carriage returns. An incomplete sequence at the end is kept for the rest
/// of it.
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
