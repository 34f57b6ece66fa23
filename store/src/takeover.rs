//! Ending the conversation that holds a stream.

use std::fmt;
use std::sync::Arc;

/// Ends the conversation that receives a stream, when a different one resumes the stream. Clones end the same one.
#[derive(Clone)]
pub struct Takeover(Arc<dyn Fn() + Send + Sync>);

impl Takeover {
    /// `end` ends the conversation. It must not block, and may be called several times.
    pub fn new(end: impl Fn() + Send + Sync + 'static) -> Takeover {
        Takeover(Arc::new(end))
    }

    /// Ends the conversation.
    pub fn end(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}
