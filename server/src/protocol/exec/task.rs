//! A running command, its input and its output.

use super::error::{EXIT_FAILURE, Error, Result};
use crate::protocol::channel_loop::OutputChunk;
use crate::protocol::receive_buffer::InputEnd;
use crate::service::{LongOperation, User};
use bytes::{Bytes, BytesMut};
use sshome_wire::display::Escaped;
use std::collections::VecDeque;

/// The output after which a slice ends, in bytes.
pub(super) const SLICE_OUTPUT_BYTES: usize = 1 << 20;

/// The state of a command after a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// There is more to do.
    Busy,
    /// It needs more input.
    Waiting,
    /// It has ended with this exit status.
    Done(u8),
}

/// A command, or a part of one.
pub(super) trait CommandTask: Send {
    /// Works for a bounded time. After an error it is not called again.
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState>;
}

impl<O: LongOperation> CommandTask for O {
    fn run_slice(&mut self, user: &User, _: &mut CommandIo) -> Result<TaskState> {
        Ok(self.advance(user)?.map_or(TaskState::Busy, |_| TaskState::Done(0)))
    }
}

/// The input and output of a command.
pub(super) struct CommandIo {
    /// The input from the client.
    pub(super) input: CommandInput,
    /// Whether the client's side is a terminal.
    pub(super) terminal: bool,
    /// The command's name, the prefix of its errors.
    name: String,
    chunks: Vec<OutputChunk>,
    small: BytesMut,
    length: usize,
    /// The output after which a slice ends, in bytes.
    max_output: usize,
}

impl CommandIo {
    pub(super) fn new(terminal: bool) -> CommandIo {
        CommandIo {
            input: CommandInput::default(),
            terminal,
            name: String::new(),
            chunks: Vec::new(),
            small: BytesMut::new(),
            length: 0,
            max_output: SLICE_OUTPUT_BYTES,
        }
    }

    /// Limits the output of a slice, in bytes. `None` restores the default.
    pub(super) fn limit_output(&mut self, bytes: Option<usize>) {
        self.max_output = bytes.unwrap_or(SLICE_OUTPUT_BYTES);
    }

    /// Sets the name that prefixes errors.
    pub(super) fn named(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Writes bytes unchanged, as a chunk of their own.
    pub(super) fn data(&mut self, data: impl Into<Bytes>) {
        let data = data.into();
        self.length += data.len();
        self.gather();
        self.chunks.push(OutputChunk::Output(data));
    }

    /// Writes bytes unchanged, merged with their neighbours.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        self.small.extend_from_slice(bytes);
    }

    /// Writes a line of text.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.bytes(line);
        self.bytes(if self.terminal { b"\r\n" } else { b"\n" });
    }

    /// A file name for the output. It is escaped for a terminal.
    pub(super) fn name(&self, name: &[u8]) -> Vec<u8> {
        if self.terminal { Escaped(name).to_string().into_bytes() } else { name.to_vec() }
    }

    /// Writes an error to standard error.
    pub(super) fn error(&mut self, error: &Error) {
        self.note(&error.to_string());
    }

    /// Writes a line to standard error.
    pub(super) fn note(&mut self, text: &str) {
        let separator = if self.name.is_empty() { "" } else { ": " };
        let end = if self.terminal { "\r\n" } else { "\n" };
        let text = format!("{}{separator}{text}{end}", self.name);
        self.length += text.len();
        self.gather();
        self.chunks.push(OutputChunk::Error(text.into()));
    }

    /// Whether the slice has produced enough output.
    pub(super) fn is_full(&self) -> bool {
        self.length >= self.max_output
    }

    /// Takes all output, in order.
    pub(super) fn take(&mut self) -> Vec<OutputChunk> {
        self.gather();
        self.length = 0;
        std::mem::take(&mut self.chunks)
    }

    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push(OutputChunk::Output(self.small.split().freeze()));
        }
    }
}

/// Input that the command has not read yet.
#[derive(Default)]
pub(super) struct CommandInput {
    chunks: VecDeque<Bytes>,
    length: usize,
    end: Option<InputEnd>,
}

/// The result of reading input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputRead {
    /// Some bytes, at least one.
    Bytes(Bytes),
    /// Nothing has arrived yet.
    Nothing,
    /// The end of the input.
    End,
}

impl CommandInput {
    /// Adds chunks that have arrived.
    pub(super) fn push(&mut self, chunks: Vec<Bytes>) {
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            self.length += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Adds the end of the input.
    pub(super) fn end(&mut self, end: InputEnd) {
        self.end = Some(end);
    }

    /// Unread bytes.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Up to `max_output` bytes.
    ///
    /// # Errors
    /// If the input ended without EOF.
    pub(super) fn read(&mut self, max_output: usize) -> Result<InputRead> {
        let Some(mut chunk) = self.chunks.pop_front() else {
            return match self.end {
                None => Ok(InputRead::Nothing),
                Some(InputEnd::Eof) => Ok(InputRead::End),
                Some(InputEnd::Cut) => Err(Error::Cut),
            };
        };
        let rest = chunk.split_off(max_output.min(chunk.len()));
        if !rest.is_empty() {
            self.chunks.push_front(rest);
        }
        self.length -= chunk.len();
        Ok(InputRead::Bytes(chunk))
    }
}

/// A command that completes in one slice.
pub(super) struct RunOnce<F>(pub(super) F);

impl<F: FnMut(&User, &mut CommandIo) -> Result<()> + Send> CommandTask for RunOnce<F> {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        (self.0)(user, io).map(|()| TaskState::Done(0))
    }
}

/// Runs a task for each operand. A failure does not stop the others.
pub(super) struct ForEachOperand<F> {
    operands: VecDeque<Vec<u8>>,
    begin: F,
    current: Option<Box<dyn CommandTask>>,
    status: u8,
}

/// Runs a task for each operand. `begin` creates the task of one operand.
pub(super) fn each<F>(operands: Vec<Vec<u8>>, begin: F) -> Box<dyn CommandTask>
where
    F: FnMut(&User, &mut CommandIo, &[u8]) -> Result<Option<Box<dyn CommandTask>>> + Send + 'static,
{
    Box::new(ForEachOperand { operands: operands.into(), begin, current: None, status: 0 })
}

impl<F> CommandTask for ForEachOperand<F>
where
    F: FnMut(&User, &mut CommandIo, &[u8]) -> Result<Option<Box<dyn CommandTask>>> + Send,
{
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        let Some(task) = &mut self.current else {
            let Some(operand) = self.operands.pop_front() else { return Ok(TaskState::Done(self.status)) };
            match (self.begin)(user, io, &operand) {
                Ok(task) => self.current = task,
                Err(error) => self.failed(io, &error),
            }
            return Ok(TaskState::Busy);
        };
        match task.run_slice(user, io) {
            Ok(TaskState::Done(status)) => {
                self.status = self.status.max(status);
                self.current = None;
            }
            Ok(state) => return Ok(state),
            Err(error) => self.failed(io, &error),
        }
        Ok(TaskState::Busy)
    }
}

impl<F> ForEachOperand<F> {
    fn failed(&mut self, io: &mut CommandIo, error: &Error) {
        io.error(error);
        self.status = self.status.max(EXIT_FAILURE);
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_in_pieces_and_a_cut_is_not_an_end_of_file() {
        let mut input = CommandInput::default();
        assert_eq!(input.read(9).unwrap(), InputRead::Nothing);
        input.push(vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"d")]);
        assert_eq!(input.len(), 4);
        assert_eq!(input.read(2).unwrap(), InputRead::Bytes(Bytes::from_static(b"ab")));
        assert_eq!(input.read(9).unwrap(), InputRead::Bytes(Bytes::from_static(b"c")));
        input.end(InputEnd::Eof);
        assert_eq!(input.read(9).unwrap(), InputRead::Bytes(Bytes::from_static(b"d")));
        assert_eq!((input.read(9).unwrap(), input.len()), (InputRead::End, 0));
        input.end(InputEnd::Cut);
        assert!(matches!(input.read(9), Err(Error::Cut)));
    }

    #[test]
    fn output_and_errors_stay_apart_and_in_order() {
        let mut io = CommandIo::new(true);
        io.named("ls");
        io.line(b"a");
        io.bytes(b"b");
        io.error(&Error::ReadOnly);
        io.data(&b"c"[..]);
        let wanted = [
            OutputChunk::Output(Bytes::from_static(b"a\r\nb")),
            OutputChunk::Error(Bytes::from_static(b"ls: this account is read-only\r\n")),
            OutputChunk::Output(Bytes::from_static(b"c")),
        ];
        assert_eq!(io.take(), wanted);
        assert_eq!(io.name(b"\x1b[2J"), b"\\x1b[2J");
        assert_eq!(CommandIo::new(false).name(b"\x1b[2J"), b"\x1b[2J");
    }
}
