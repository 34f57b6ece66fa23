//! The terminal's modes. Code that changes them holds the terminal. They are restored when the hold ends, and when the
//! program is stopped or ends. When the program is continued, they are changed again.

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// The time in which the kernel stops the program. If nobody could continue it, it is never stopped.
const STOP_WITHIN: Duration = Duration::from_millis(200);

/// The time within which a Ctrl-\ arrives after the end of the other program that it has ended.
const QUIT_WITHIN: Duration = Duration::from_secs(1);

/// The sequences that switch bracketed paste on and off.
const PASTE_MARKS: (&str, &str) = ("\x1b[?2004h", "\x1b[?2004l");

/// There is one terminal, and signals are sent to the whole process.
static TERMINAL: ProcessTerminal = ProcessTerminal {
    state: Mutex::new(TerminalState { held: None, continued: 0, is_resumed: false, quits: 0 }),
    changed: Condvar::new(),
};

struct ProcessTerminal {
    state: Mutex<TerminalState>,
    changed: Condvar,
}

struct TerminalState {
    held: Option<Held>,
    /// The number of times that the program was continued.
    continued: u64,
    /// The modes were set again after a stop whose SIGCONT has not arrived yet, if there was one.
    is_resumed: bool,
    /// The number of Ctrl-\ that were left to another program.
    quits: u64,
}

struct Held {
    device: File,
    found: Termios,
    wanted: Termios,
    modes: Modes,
    resume: Resume,
    /// Called for a Ctrl-Z while keys are signals. The waiting code then stops the program itself.
    waiting: Option<OnSuspend>,
}

/// Runs when Ctrl-Z is pressed during a wait.
type OnSuspend = Arc<dyn Fn() + Send + Sync>;

/// The purpose of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modes {
    /// Lines that the terminal itself edits and shows: nothing changes.
    Lines,
    /// A secret: each key is a byte, and none is shown.
    Secret,
    /// The line editor, which sets the modes itself.
    Editor,
    /// Another program, to which Ctrl-\ belongs.
    Program,
}

/// The action when the program is continued after a stop.
#[derive(Clone)]
pub(crate) enum Resume {
    /// Nothing.
    Nothing,
    /// Writes this text again.
    Write(String),
    /// Redraws the line of the editor.
    Draw(Arc<dyn Fn() + Send + Sync>),
}

/// The special keys of a terminal; 0 if disabled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ControlKeys {
    /// Ctrl-C.
    pub(crate) interrupt: u8,
    /// Ctrl-\.
    pub(crate) quit: u8,
    /// Ctrl-Z.
    pub(crate) suspend: u8,
    /// Ctrl-D.
    pub(crate) end: u8,
    /// Ctrl-U.
    pub(crate) kill: u8,
    /// The backspace.
    pub(crate) erase: u8,
}

impl ControlKeys {
    /// The keys of a terminal in these modes.
    pub(crate) fn of(modes: &Termios) -> ControlKeys {
        use SpecialCodeIndex as Code;
        let key = |code| modes.special_codes[code];
        ControlKeys {
            interrupt: key(Code::VINTR),
            quit: key(Code::VQUIT),
            suspend: key(Code::VSUSP),
            end: key(Code::VEOF),
            kill: key(Code::VKILL),
            erase: key(Code::VERASE),
        }
    }
}

/// A hold of the terminal. Dropping it restores the modes.
pub(crate) struct Hold {
    /// The special keys of the terminal.
    pub(crate) keys: ControlKeys,
    quits: u64,
}

impl Hold {
    /// Waits for the Ctrl-\ that has ended another program: this program gets the signal as well, and only during the
    /// hold is it known to belong to the other one.
    pub(crate) fn await_quit(&self) {
        let waiting = |state: &mut TerminalState| state.quits == self.quits;
        // If the signal was sent to the other program only, the wait times out.
        let _ = TERMINAL.changed.wait_timeout_while(TERMINAL.state(), QUIT_WITHIN, waiting);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = TERMINAL.state();
        if let Some(held) = state.held.take() {
            held.set(&held.found);
        }
        drop(state);
        TERMINAL.changed.notify_all();
    }
}

/// The controlling terminal, wherever standard input and output are redirected.
///
/// # Errors
/// If the program has none.
pub(crate) fn device() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// Waits until nobody holds the terminal, and holds it.
///
/// # Errors
/// If there is none, or its modes cannot be changed.
pub(crate) fn hold(modes: Modes, resume: Resume) -> io::Result<Hold> {
    let device = device()?;
    listen();
    let mut state = TERMINAL.state();
    while state.held.is_some() {
        state = TERMINAL.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let found = tcgetattr(&device)?;
    let wanted = modes.of(&found);
    if modes == Modes::Secret {
        // Not with TCSAFLUSH: keys that were typed ahead are kept.
        tcsetattr(&device, OptionalActions::Now, &wanted)?;
    }
    let (keys, quits) = (ControlKeys::of(&found), state.quits);
    state.held = Some(Held { device, found, wanted, modes, resume, waiting: None });
    Ok(Hold { keys, quits })
}

/// Restores the modes before the program ends. The hold continues.
pub fn restore() {
    if let Some(held) = TERMINAL.state().held.as_ref().filter(|held| held.is_in_foreground()) {
        held.leave();
    }
}

/// Restores the modes when it is dropped, even by a panic.
#[derive(Debug)]
pub struct RestoreOnDrop;

impl Drop for RestoreOnDrop {
    fn drop(&mut self) {
        restore();
    }
}

/// While this lives, Ctrl-C, Ctrl-Z and Ctrl-\ are signals although the line editor holds the terminal. Other keys
/// wait. Dropping it gives the keys back to the editor.
pub(crate) struct Interruptible(());

/// Makes Ctrl-C, Ctrl-Z and Ctrl-\ signals for a while. After a Ctrl-Z `on_suspend` runs on another thread: it ends the
/// wait, and the waiting code calls [`suspend`]. A Ctrl-\ ends the program, as it does while a command runs.
pub(crate) fn interruptible(on_suspend: impl Fn() + Send + Sync + 'static) -> Interruptible {
    TERMINAL.adjust(|held| {
        held.wanted.local_modes |= LocalModes::ISIG;
        held.waiting = Some(Arc::new(on_suspend));
    });
    Interruptible(())
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        TERMINAL.adjust(|held| held.waiting = None);
    }
}

/// Stops the process group, as Ctrl-Z does. Returns when it is continued.
pub(crate) fn suspend() {
    // SIGTSTP is handled, SIGTTIN stops. Unlike SIGSTOP, neither stops a program that nobody could continue.
    suspend_by(|| kill_current_process_group(Signal::TTIN));
}

fn suspend_by(stop: impl FnOnce() -> rustix::io::Result<()>) {
    let before = {
        let mut state = TERMINAL.state();
        state.is_resumed = false;
        state.continued
    };
    restore();
    // If it fails, nothing is stopped, and the modes are set again.
    let _ = stop();
    let state = TERMINAL.state();
    let waited = TERMINAL.changed.wait_timeout_while(state, STOP_WITHIN, |state| state.continued == before);
    let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
    // The timeout also expires while the program is stopped.
    state.is_resumed = waited.timed_out();
    drop(state);
    if waited.timed_out() {
        resume();
    }
}

/// Handles a Ctrl-Z that arrived as a signal. The rest of the process group has it, too.
fn suspended(state: MutexGuard<'_, TerminalState>) {
    let stop = || kill_process(getpid(), Signal::TTIN);
    match state.held.as_ref().map(|held| (held.modes, held.waiting.clone())) {
        Some((_, Some(on_suspend))) => {
            drop(state);
            on_suspend();
        }
        Some((Modes::Secret | Modes::Editor, None)) => {
            drop(state);
            // This thread has to receive SIGCONT. If no other thread can be started, the program is not stopped.
            let _ = std::thread::Builder::new().name("suspend".to_owned()).spawn(move || suspend_by(stop));
        }
        _ => {
            drop(state);
            // A process that nobody could continue is not stopped, which is no failure.
            let _ = stop();
        }
    }
}

fn resume() {
    let state = TERMINAL.state();
    let Some(held) = state.held.as_ref().filter(|held| held.is_in_foreground()) else { return };
    if matches!(held.modes, Modes::Secret | Modes::Editor) {
        held.set(&held.wanted);
    }
    if held.modes == Modes::Editor {
        held.write(PASTE_MARKS.0);
    }
    match held.resume.clone() {
        Resume::Nothing => {}
        Resume::Write(text) => held.write(&text),
        Resume::Draw(draw) => {
            drop(state);
            draw();
        }
    }
}

impl Modes {
    fn of(self, found: &Termios) -> Termios {
        let mut modes = found.clone();
        if matches!(self, Modes::Lines | Modes::Program) {
            return modes;
        }
        modes.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::IEXTEN
            | LocalModes::ISIG;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        if self == Modes::Editor {
            // The modes that rustyline sets.
            modes.input_modes -= InputModes::BRKINT
                | InputModes::ICRNL
                | InputModes::INPCK
                | InputModes::ISTRIP
                | InputModes::IXON;
            modes.control_modes |= ControlModes::CS8;
        }
        modes
    }
}

impl ProcessTerminal {
    fn state(&self) -> MutexGuard<'_, TerminalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adjust(&self, change: impl FnOnce(&mut Held)) {
        if let Some(held) = &mut self.state().held {
            held.wanted = held.modes.of(&held.found);
            change(held);
            held.set(&held.wanted);
        }
    }
}

impl Held {
    /// Whether this process group is in the foreground of the terminal. In the background, changing the modes would
    /// stop the program, even while a signal ends it. A closed terminal counts as ours.
    fn is_in_foreground(&self) -> bool {
        tcgetpgrp(&self.device).map_or(true, |group| group == getpgrp())
    }

    fn leave(&self) {
        self.set(&self.found);
        if self.modes == Modes::Editor {
            self.write(PASTE_MARKS.1);
        }
        if matches!(self.modes, Modes::Secret | Modes::Editor) {
            // The next output begins a line.
            self.write("\r\n");
        }
    }

    fn set(&self, modes: &Termios) {
        // A closed terminal has no modes.
        let _ = tcsetattr(&self.device, OptionalActions::Now, modes);
    }

    fn write(&self, text: &str) {
        // A closed terminal shows nothing.
        let _ = (&self.device).write_all(text.as_bytes());
    }
}

/// From the first hold on, signals that end or stop the program restore the modes first.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored = ignored();
        // Under nohup, SIGHUP stays ignored.
        let heard = [SIGTERM, SIGHUP, SIGQUIT, SIGTSTP].into_iter();
        let heard = heard.filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let Ok(mut signals) = Signals::new(heard.chain([SIGCONT])) else { return };
        let work = move || signals.forever().for_each(handle);
        // Without the thread, signals have their default effect.
        let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(work);
    });
}

fn handle(signal: i32) {
    let mut state = TERMINAL.state();
    let is_programs = matches!(&state.held, Some(held) if held.modes == Modes::Program);
    match signal {
        SIGCONT => {
            state.continued += 1;
            let is_resumed = std::mem::take(&mut state.is_resumed);
            drop(state);
            if !is_resumed {
                resume();
            }
            TERMINAL.changed.notify_all();
        }
        SIGTSTP => suspended(state),
        SIGQUIT if is_programs => {
            state.quits += 1;
            TERMINAL.changed.notify_all();
        }
        signal => {
            drop(state);
            end_by(signal);
        }
    }
}

/// Restores the modes and ends the program as the signal does.
pub(crate) fn end_by(signal: i32) {
    restore();
    // If this does not end the program, nothing will.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// The signals that the program was started to ignore, as bits, signal 1 first; 0 if /proc is unavailable.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
