//! Records and replies of scp's protocol.

use crate::protocol::exec::error::{Error, Result};
use crate::protocol::exec::task::{CommandInput, InputRead};
use sshome_wire::Time;

/// The longest accepted line, in bytes. The longest name has 255, and errors are short.
const MAX_LINE_BYTES: usize = 8192;

/// A record that a source sends before data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScpRecord {
    /// A file. Its data follows once it is accepted.
    File { mode: u32, size: u64, name: Vec<u8> },
    /// A directory. The following records are in it.
    Directory { mode: u32, name: Vec<u8> },
    /// The end of the directory.
    Leave,
    /// The mtime of the next file or directory.
    Times(Time),
    /// A file could not be sent. The transfer continues.
    Failed,
    /// The transfer is aborted.
    GivenUp,
}

/// The reply of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScpReply {
    /// Success.
    Accepted,
    /// The file was refused. The transfer continues.
    Refused,
    /// The transfer is aborted.
    GivenUp,
    /// The input has ended.
    End,
}

/// Reads lines and replies.
#[derive(Default)]
pub(super) struct ScpReader(Vec<u8>);

/// A line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScpLine {
    /// A complete line without its line break.
    Whole(Vec<u8>),
    /// The end of the input.
    End,
}

impl ScpReader {
    /// The next line. `None` if it has not arrived completely.
    ///
    /// # Errors
    /// If it is too long, or the input ends within it.
    pub(super) fn line(&mut self, input: &mut CommandInput) -> Result<Option<ScpLine>> {
        loop {
            match input.read(1)? {
                InputRead::Nothing => return Ok(None),
                InputRead::End if self.0.is_empty() => return Ok(Some(ScpLine::End)),
                InputRead::End => return Err(Error::Cut),
                InputRead::Bytes(byte) if byte == b"\n"[..] => {
                    return Ok(Some(ScpLine::Whole(std::mem::take(&mut self.0))));
                }
                InputRead::Bytes(byte) => self.0.extend_from_slice(&byte),
            }
            if self.0.len() > MAX_LINE_BYTES {
                return Err(protocol("a line is too long"));
            }
        }
    }

    /// The next reply. `None` if it has not arrived completely.
    ///
    /// # Errors
    /// If its text is too long, or the input ends within it.
    pub(super) fn answer(&mut self, input: &mut CommandInput) -> Result<Option<ScpReply>> {
        if self.0.is_empty() {
            match input.read(1)? {
                InputRead::Nothing => return Ok(None),
                InputRead::End => return Ok(Some(ScpReply::End)),
                InputRead::Bytes(byte) if byte == b"\0"[..] => return Ok(Some(ScpReply::Accepted)),
                InputRead::Bytes(byte) => self.0.extend_from_slice(&byte),
            }
        }
        let first = self.0.first().copied();
        Ok(self.line(input)?.map(|_| match first {
            Some(2) => ScpReply::GivenUp,
            _ => ScpReply::Refused,
        }))
    }
}

impl ScpRecord {
    /// Parses a record.
    ///
    /// # Errors
    /// If it is invalid, or its name is not a single entry of the current directory.
    pub(super) fn parse(line: &[u8]) -> Result<ScpRecord> {
        match line {
            b"E" => Ok(ScpRecord::Leave),
            [1, ..] => Ok(ScpRecord::Failed),
            [2, ..] => Ok(ScpRecord::GivenUp),
            [b'T', rest @ ..] => times(rest),
            [b'C', rest @ ..] => {
                let (mode, size, name) = entry(rest)?;
                Ok(ScpRecord::File { mode, size, name })
            }
            [b'D', rest @ ..] => {
                let (mode, _, name) = entry(rest)?;
                Ok(ScpRecord::Directory { mode, name })
            }
            _ => Err(protocol("an unknown kind of record")),
        }
    }

    /// The line of the record, with its line break. `None` if the name contains a line break, which the protocol cannot
    /// express.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let named = |letter: char, mode: u32, size: u64, name: &[u8]| {
            let line = [format!("{letter}{mode:04o} {size} ").as_bytes(), name, b"\n"].concat();
            (!name.contains(&b'\n')).then_some(line)
        };
        match self {
            ScpRecord::File { mode, size, name } => named('C', *mode, *size, name),
            ScpRecord::Directory { mode, name } => named('D', *mode, 0, name),
            ScpRecord::Leave => Some(b"E\n".to_vec()),
            ScpRecord::Times(time) => {
                // The protocol also has the access time, which this server does not keep.
                let (seconds, micros) = (time.seconds.max(0), time.nanoseconds / 1000);
                Some(format!("T{seconds} {micros} {seconds} {micros}\n").into_bytes())
            }
            ScpRecord::Failed | ScpRecord::GivenUp => None,
        }
    }
}

/// An error message for the other side. The transfer continues after it.
pub(in crate::protocol::exec) fn failure(error: &Error) -> Vec<u8> {
    format!("\u{1}scp: {error}\n").into_bytes()
}

/// The error for a protocol violation.
pub(super) fn protocol(why: &str) -> Error {
    Error::Protocol(format!("invalid input for scp: {why}"))
}

/// `MODE SIZE NAME`
fn entry(rest: &[u8]) -> Result<(u32, u64, Vec<u8>)> {
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let (mode, size, name) = (parts.next(), parts.next(), parts.next());
    let mode = mode.filter(|mode| (1..=6).contains(&mode.len())).and_then(|mode| digits(mode, 8));
    let mode = mode.ok_or_else(|| protocol("an invalid mode"))?;
    let size = size.and_then(|size| digits(size, 10)).filter(|size| i64::try_from(*size).is_ok());
    let size = size.ok_or_else(|| protocol("an invalid size"))?;
    let name = name.unwrap_or_default();
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        return Err(protocol("a name that is a path"));
    }
    Ok(((mode & 0o7777) as u32, size, name.to_vec()))
}

/// `SECONDS MICROSECONDS` of the last modification, and the same of the last access.
fn times(rest: &[u8]) -> Result<ScpRecord> {
    let parts: Option<Vec<u64>> = rest.split(|byte| *byte == b' ').map(|part| digits(part, 10)).collect();
    match parts.as_deref() {
        Some([seconds, micros @ 0..1_000_000, _, 0..1_000_000]) => {
            let seconds = i64::try_from(*seconds).map_err(|_| protocol("an invalid time"))?;
            Ok(ScpRecord::Times(Time { seconds, nanoseconds: (*micros * 1000) as u32 }))
        }
        _ => Err(protocol("an invalid time")),
    }
}

fn digits(text: &[u8], radix: u32) -> Option<u64> {
    // `from_str_radix` accepts a sign.
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::receive_buffer::InputEnd;
    use bytes::Bytes;

    #[test]
    fn an_encoded_record_decodes_to_itself() {
        let time = Time { seconds: 1_700_000_000, nanoseconds: 5000 };
        let file = |name: &[u8]| ScpRecord::File { mode: 0o644, size: 12, name: name.to_vec() };
        let cases = [
            (file(b"a b"), &b"C0644 12 a b\n"[..]),
            (file(b"\xff"), b"C0644 12 \xff\n"),
            (file(b" "), b"C0644 12  \n"),
            (ScpRecord::Directory { mode: 0o755, name: b"d".to_vec() }, b"D0755 0 d\n"),
            (ScpRecord::Leave, b"E\n"),
            (ScpRecord::Times(time), b"T1700000000 5 1700000000 5\n"),
        ];
        for (record, line) in cases {
            assert_eq!(record.encode().as_deref(), Some(line));
            assert_eq!(ScpRecord::parse(line.strip_suffix(b"\n").unwrap()).unwrap(), record);
        }
        assert_eq!(file(b"new\nline").encode(), None);
        assert_eq!(ScpRecord::parse(b"\x01scp: x").unwrap(), ScpRecord::Failed);
        assert_eq!(ScpRecord::parse(b"\x02scp: x").unwrap(), ScpRecord::GivenUp);
    }

    #[test]
    fn invalid_records_and_names_are_refused() {
        for line in [
            &b""[..],
            b"X",
            b"EE",
            b"C",
            b"C0644",
            b"C0644 1",
            b"C0644 1 ",
            b"C0644 1 .",
            b"C0644 1 ..",
            b"C0644 1 a/b",
            b"C0644 1 /etc/passwd",
            b"D0755 0 ../x",
            b"D0755 0 x/",
            b"C0644 1 a\0b",
            b"C0948 1 a",
            b"C 1 a",
            b"C0000644 1 a",
            b"C0644 -1 a",
            b"C0644 +1 a",
            b"C0644 0x1 a",
            b"C0644 9223372036854775808 a",
            b"C0644 99999999999999999999 a",
            b"C0644  1 a",
            b"T1 0 1",
            b"T1 0 1 0 0",
            b"T-1 0 1 0",
            b"T1 1000000 1 0",
            b"T99999999999999999999 0 1 0",
        ] {
            assert!(ScpRecord::parse(line).is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn lines_and_answers_may_arrive_in_pieces() {
        let mut reader = ScpReader::default();
        let mut input = CommandInput::default();
        let push =
            |input: &mut CommandInput, bytes: &'static [u8]| input.push(vec![Bytes::from_static(bytes)]);
        push(&mut input, b"C0644 ");
        assert_eq!(reader.line(&mut input).unwrap(), None);
        push(&mut input, b"1 a\n\0\x01no");
        assert_eq!(reader.line(&mut input).unwrap(), Some(ScpLine::Whole(b"C0644 1 a".to_vec())));
        assert_eq!(reader.answer(&mut input).unwrap(), Some(ScpReply::Accepted));
        assert_eq!(reader.answer(&mut input).unwrap(), None);
        push(&mut input, b"t so\n\x02\nold error\n");
        assert_eq!(reader.answer(&mut input).unwrap(), Some(ScpReply::Refused));
        assert_eq!(reader.answer(&mut input).unwrap(), Some(ScpReply::GivenUp));
        assert_eq!(reader.answer(&mut input).unwrap(), Some(ScpReply::Refused));
        input.end(InputEnd::Eof);
        assert_eq!(reader.answer(&mut input).unwrap(), Some(ScpReply::End));
        assert_eq!(reader.line(&mut input).unwrap(), Some(ScpLine::End));
    }

    #[test]
    fn an_endless_line_is_not_buffered() {
        let mut input = CommandInput::default();
        input.push(vec![Bytes::from(vec![b'x'; 1 << 20])]);
        assert!(ScpReader::default().line(&mut input).is_err());
        assert!(input.len() > (1 << 20) - 2 * MAX_LINE_BYTES);
        let mut input = CommandInput::default();
        input.push(vec![Bytes::from_static(b"C06")]);
        input.end(InputEnd::Eof);
        assert!(matches!(ScpReader::default().line(&mut input), Err(Error::Cut)));
    }
}
