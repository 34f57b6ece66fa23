//! A command at work: a bounded turn at a time, between what has come in and what is to go out.

use super::error::{Error, PARTLY, Result};
use crate::operations::User;
use crate::subsystem::receive_buffer::End;
use bytes::{Bytes, BytesMut};
use sshome_wire::display::Escaped;
use std::collections::VecDeque;

/// A turn ends when it has put out about this much, in bytes.
pub(super) const ENOUGH: usize = 1 << 20;

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more to do; go on.
    Busy,
    /// Nothing to do until more arrives.
    Waiting,
    /// The command is done, with this exit status.
    Done(u8),
}

/// A command, or a part of one.
pub(super) trait Task: Send {
    /// Works for a bounded time. After an error it is not called again.
    fn turn(&mut self, user: &User, io: &mut Io) -> Result<Turn>;
}

/// What a command works between.
pub(super) struct Io {
    /// What the client sends.
    pub(super) input: Input,
    /// Whether the client's side is a terminal.
    pub(super) terminal: bool,
    /// The command's name, for its errors.
    name: String,
    chunks: Vec<Chunk>,
    small: BytesMut,
    length: usize,
    /// A turn ends when it has put out about this much, in bytes.
    most: usize,
}

/// Bytes to be sent, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// To the standard output.
    Output(Bytes),
    /// To the standard error.
    Error(Bytes),
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        let (Chunk::Output(bytes) | Chunk::Error(bytes)) = self;
        bytes.len()
    }
}

impl Io {
    pub(super) fn new(terminal: bool) -> Io {
        Io {
            input: Input::default(),
            terminal,
            name: String::new(),
            chunks: Vec::new(),
            small: BytesMut::new(),
            length: 0,
            most: ENOUGH,
        }
    }

    /// Limits what a turn puts out, in bytes; none for the usual.
    pub(super) fn limit_output(&mut self, bytes: Option<usize>) {
        self.most = bytes.unwrap_or(ENOUGH);
    }

    /// Whose errors are told from now on.
    pub(super) fn named(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Puts out bytes as they are.
    pub(super) fn data(&mut self, data: impl Into<Bytes>) {
        let data = data.into();
        self.length += data.len();
        self.gather();
        self.chunks.push(Chunk::Output(data));
    }

    /// Puts out bytes as they are, together with their neighbours.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        self.small.extend_from_slice(bytes);
    }

    /// Puts out a line of text.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.bytes(line);
        self.bytes(if self.terminal { b"\r\n" } else { b"\n" });
    }

    /// A name as it is to be put out: in a terminal it must not do anything.
    pub(super) fn name(&self, name: &[u8]) -> Vec<u8> {
        if self.terminal { Escaped(name).to_string().into_bytes() } else { name.to_vec() }
    }

    /// Tells of an error.
    pub(super) fn error(&mut self, error: &Error) {
        let separator = if self.name.is_empty() { "" } else { ": " };
        let end = if self.terminal { "\r\n" } else { "\n" };
        let text = format!("{}{separator}{error}{end}", self.name);
        self.length += text.len();
        self.gather();
        self.chunks.push(Chunk::Error(text.into()));
    }

    /// Whether it is time to send.
    pub(super) fn is_full(&self) -> bool {
        self.length >= self.most
    }

    /// All that was put out, in order.
    pub(super) fn take(&mut self) -> Vec<Chunk> {
        self.gather();
        self.length = 0;
        std::mem::take(&mut self.chunks)
    }

    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push(Chunk::Output(self.small.split().freeze()));
        }
    }
}

/// What the client has sent and nobody has looked at.
#[derive(Default)]
pub(super) struct Input {
    chunks: VecDeque<Bytes>,
    length: usize,
    end: Option<End>,
}

/// What there is of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Some bytes, at least one.
    Bytes(Bytes),
    /// Nothing at the moment.
    Nothing,
    /// No more bytes come.
    End,
}

impl Input {
    /// Takes what has arrived, and how it ended if it did.
    pub(super) fn push(&mut self, chunks: Vec<Bytes>, end: Option<End>) {
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            self.length += chunk.len();
            self.chunks.push_back(chunk);
        }
        self.end = end;
    }

    /// Bytes that nobody has looked at.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Up to `most` bytes.
    ///
    /// # Errors
    /// If there are no more and the client has not said that this was all.
    pub(super) fn read(&mut self, most: usize) -> Result<Read> {
        let Some(mut chunk) = self.chunks.pop_front() else {
            return match self.end {
                None => Ok(Read::Nothing),
                Some(End::Eof) => Ok(Read::End),
                Some(End::Cut) => Err(Error::Cut),
            };
        };
        let rest = chunk.split_off(most.min(chunk.len()));
        if !rest.is_empty() {
            self.chunks.push_front(rest);
        }
        self.length -= chunk.len();
        Ok(Read::Bytes(chunk))
    }
}

/// Something that is done at once.
pub(super) struct Once<F>(pub(super) F);

impl<F: FnMut(&User, &mut Io) -> Result<()> + Send> Task for Once<F> {
    fn turn(&mut self, user: &User, io: &mut Io) -> Result<Turn> {
        (self.0)(user, io).map(|()| Turn::Done(0))
    }
}

/// The same for each operand. One that fails does not stop the others.
pub(super) struct Each<F> {
    operands: VecDeque<Vec<u8>>,
    begin: F,
    current: Option<Box<dyn Task>>,
    status: u8,
}

/// Does the same for each operand: `begin` makes a task of one.
pub(super) fn each<F>(operands: Vec<Vec<u8>>, begin: F) -> Box<dyn Task>
where
    F: FnMut(&User, &mut Io, &[u8]) -> Result<Option<Box<dyn Task>>> + Send + 'static,
{
    Box::new(Each { operands: operands.into(), begin, current: None, status: 0 })
}

impl<F> Task for Each<F>
where
    F: FnMut(&User, &mut Io, &[u8]) -> Result<Option<Box<dyn Task>>> + Send,
{
    fn turn(&mut self, user: &User, io: &mut Io) -> Result<Turn> {
        let Some(task) = &mut self.current else {
            let Some(operand) = self.operands.pop_front() else { return Ok(Turn::Done(self.status)) };
            match (self.begin)(user, io, &operand) {
                Ok(task) => self.current = task,
                Err(error) => self.failed(io, &error),
            }
            return Ok(Turn::Busy);
        };
        match task.turn(user, io) {
            Ok(Turn::Done(status)) => {
                self.status = self.status.max(status);
                self.current = None;
            }
            Ok(turn) => return Ok(turn),
            Err(error) => self.failed(io, &error),
        }
        Ok(Turn::Busy)
    }
}

impl<F> Each<F> {
    fn failed(&mut self, io: &mut Io, error: &Error) {
        io.error(error);
        self.status = self.status.max(PARTLY);
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_in_pieces_and_its_end_is_not_a_cut() {
        let mut input = Input::default();
        assert_eq!(input.read(9).unwrap(), Read::Nothing);
        input.push(vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"d")], None);
        assert_eq!(input.len(), 4);
        assert_eq!(input.read(2).unwrap(), Read::Bytes(Bytes::from_static(b"ab")));
        assert_eq!(input.read(9).unwrap(), Read::Bytes(Bytes::from_static(b"c")));
        input.push(Vec::new(), Some(End::Eof));
        assert_eq!(input.read(9).unwrap(), Read::Bytes(Bytes::from_static(b"d")));
        assert_eq!((input.read(9).unwrap(), input.len()), (Read::End, 0));
        input.push(Vec::new(), Some(End::Cut));
        assert!(matches!(input.read(9), Err(Error::Cut)));
    }

    #[test]
    fn output_and_errors_stay_apart_and_in_order() {
        let mut io = Io::new(true);
        io.named("ls");
        io.line(b"a");
        io.bytes(b"b");
        io.error(&Error::ReadOnly);
        io.data(&b"c"[..]);
        let wanted = [
            Chunk::Output(Bytes::from_static(b"a\r\nb")),
            Chunk::Error(Bytes::from_static(b"ls: this account may read and not write\r\n")),
            Chunk::Output(Bytes::from_static(b"c")),
        ];
        assert_eq!(io.take(), wanted);
        assert_eq!(io.name(b"\x1b[2J"), b"\\x1b[2J");
        assert_eq!(Io::new(false).name(b"\x1b[2J"), b"\x1b[2J");
    }
}
