//! What keys do at the prompt besides what the line editor does with them.

use rustyline::history::History;
use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent,
    Modifiers, RepeatCount,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was pressed that the line itself does not show.
#[derive(Debug, Default)]
pub(super) struct KeyBindings {
    cleared: AtomicBool,
    pasting: AtomicBool,
}

impl KeyBindings {
    /// Whether the line ended by Ctrl-C. Forgets it.
    pub(super) fn take_cleared(&self) -> bool {
        self.cleared.swap(false, Ordering::SeqCst)
    }
}

/// A key that does something of ours.
#[derive(Clone, Copy)]
enum BoundKey {
    /// Ctrl-C, Ctrl-\: ends the line, which is forgotten. What was typed behind it stays.
    Clear,
    /// Ctrl-Z.
    Suspend,
    /// The terminal says that what follows is pasted. It is taken as if it were typed: each line runs by itself.
    PasteBegin,
    /// And that it was.
    PasteEnd,
    /// In what is pasted a Tab is a blank, and nobody asks for a completion.
    Tab,
    /// What a Ctrl-D becomes that was typed while a command was at work.
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

/// Binds the keys of a line editor: those that are special at this terminal, and what it marks pastes with.
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
    // Without a terminal no keys are pressed.
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
