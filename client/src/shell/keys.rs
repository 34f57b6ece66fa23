//! Key bindings of the prompt that the line editor does not have.

use rustyline::history::History;
use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent,
    Modifiers, RepeatCount,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The state of the key bindings.
#[derive(Debug, Default)]
pub(super) struct KeyBindings {
    cleared: AtomicBool,
    pasting: AtomicBool,
}

impl KeyBindings {
    /// Whether the line ended with Ctrl-C. Resets that.
    pub(super) fn take_cleared(&self) -> bool {
        self.cleared.swap(false, Ordering::SeqCst)
    }
}

/// A key with our own binding.
#[derive(Clone, Copy)]
enum BoundKey {
    /// Ctrl-C, Ctrl-\: discards the line. Keys that were typed after it stay.
    Clear,
    /// Ctrl-Z.
    Suspend,
    /// The beginning of a bracketed paste. Pasted text is treated as typed: each line runs by itself.
    PasteBegin,
    /// The end of a bracketed paste.
    PasteEnd,
    /// In pasted text a Tab is a blank, without completion.
    Tab,
    /// The byte of a Ctrl-D that was typed while a command was running.
    Null,
}

struct Handler {
    key: BoundKey,
    keys: Arc<KeyBindings>,
}

impl ConditionalEventHandler for Handler {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let pasting = |is| self.keys.pasting.store(is, Ordering::SeqCst);
        match self.key {
            BoundKey::Clear => {
                pasting(false);
                self.keys.cleared.store(true, Ordering::SeqCst);
                Some(Cmd::AcceptLine)
            }
            BoundKey::Suspend => {
                #[cfg(unix)]
                crate::terminal::suspend();
                Some(Cmd::Noop)
            }
            BoundKey::PasteBegin => {
                pasting(true);
                Some(Cmd::Noop)
            }
            BoundKey::PasteEnd => {
                pasting(false);
                Some(Cmd::Noop)
            }
            BoundKey::Tab => self.keys.pasting.load(Ordering::SeqCst).then(|| Cmd::Insert(1, " ".to_owned())),
            BoundKey::Null => context.line().is_empty().then_some(Cmd::EndOfFile),
        }
    }
}

/// Binds the keys of a line editor: the special keys of this terminal, and the marks of a bracketed paste.
pub(super) fn bind<H: Helper, I: History>(editor: &mut Editor<H, I>) -> Arc<KeyBindings> {
    let keys = Arc::new(KeyBindings::default());
    let mut bind = |event: KeyEvent, key| {
        let handler = Handler { key, keys: Arc::clone(&keys) };
        editor.bind_sequence(event, EventHandler::Conditional(Box::new(handler)));
    };
    for (code, key) in control_characters() {
        bind(KeyEvent::new(char::from(code), Modifiers::NONE), key);
    }
    bind(KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE), BoundKey::PasteBegin);
    bind(KeyEvent(KeyCode::BracketedPasteEnd, Modifiers::NONE), BoundKey::PasteEnd);
    bind(KeyEvent(KeyCode::Tab, Modifiers::NONE), BoundKey::Tab);
    bind(KeyEvent::ctrl('@'), BoundKey::Null);
    keys
}

#[cfg(unix)]
fn control_characters() -> Vec<(u8, BoundKey)> {
    // Without a terminal there are no keys.
    let Ok(modes) = rustix::termios::tcgetattr(std::io::stdin()) else { return Vec::new() };
    let keys = crate::terminal::ControlKeys::of(&modes);
    let all =
        [(keys.interrupt, BoundKey::Clear), (keys.quit, BoundKey::Clear), (keys.suspend, BoundKey::Suspend)];
    all.into_iter().filter(|(code, _)| *code != 0).collect()
}

#[cfg(not(unix))]
fn control_characters() -> Vec<(u8, BoundKey)> {
    vec![(3, BoundKey::Clear)]
}
