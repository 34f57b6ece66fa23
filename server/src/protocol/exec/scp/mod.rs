//! `scp -t` and `scp -f`: the server side of scp's legacy protocol, which scp still uses with `-O`. It has no
//! specification; OpenSSH's scp is the reference.

mod protocol;
mod sink;
mod source;

use super::arguments::{Arguments, path};
use super::error::{Error, Result};
use super::task::CommandTask;
pub(super) use protocol::failure;
use sink::ScpSink;
use source::ScpSource;

pub(super) fn begin(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let (recursive, preserve) = (arguments.has("r"), arguments.has("p"));
    match (arguments.has("t"), arguments.has("f"), arguments.operands.as_slice()) {
        (true, false, [target]) => {
            let (target, directory) = (path(target)?, arguments.has("d"));
            Ok(Box::new(ScpSink::new(target, directory, recursive, preserve)))
        }
        (false, true, _) => Ok(Box::new(ScpSource::new(arguments.operands, recursive, preserve))),
        _ => Err(Error::Protocol("scp needs -f, or -t and one name".to_owned())),
    }
}

/// Whether a command line, even an invalid one, comes from an scp client, which expects errors in its own protocol.
pub(super) fn is_spoken(line: &[u8]) -> bool {
    has_option(line, b"tf")
}

/// Whether it is that of an scp client which sends a byte before it reads.
pub(super) fn client_begins(line: &[u8]) -> bool {
    has_option(line, b"f")
}

/// Whether a command line is scp with one of these options.
fn has_option(line: &[u8], letters: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let options = |word: &&[u8]| word.starts_with(b"-") && *word != b"--";
    words.next() == Some(b"scp")
        && words.take_while(options).any(|option| option.iter().any(|letter| letters.contains(letter)))
}

#[cfg(test)]
mod tests {
    use super::is_spoken;

    #[test]
    fn scp_clients_are_recognized_by_their_options() {
        for line in ["scp -f x", "scp -rpt 'x", "  scp -v -p -f -- *", "scp -t"] {
            assert!(is_spoken(line.as_bytes()), "{line}");
        }
        for line in ["scp", "scp x", "scp -r x -f", "scp -- -t", "get -f", "scpf -f", ""] {
            assert!(!is_spoken(line.as_bytes()), "{line}");
        }
    }
}
