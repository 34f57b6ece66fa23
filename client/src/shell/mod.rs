//! The shell: commands at a prompt, from a script or from the program's arguments.

pub mod command;
pub mod flag;
pub mod glob;
pub mod listing;
pub mod words;

mod complete;
mod ctrl_c;
mod error;
mod event;
mod event_observer;
mod failure_text;
mod failures;
mod help;
mod interpreter;
mod invocation;
mod key;
mod key_action;
mod keys;
mod local;
mod ls;
mod output;
mod parse;
mod prompt;
mod quoted;
mod reconnect;
mod remote;
mod script;
mod session;
mod stream;
mod stream_usage;
mod sync;
mod table;
mod tilde;
mod transfer;
mod usage;
mod value;

pub use error::ShellError;
#[cfg(feature = "schema")]
pub use event::event_schema;
pub use interpreter::{Flow, Shell};
pub use invocation::Invocation;
pub use output::ShellOutput;
pub use parse::parse_command;
pub use script::Script;
pub use session::interactive;
pub use table::COMMANDS;
