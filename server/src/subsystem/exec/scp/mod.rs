//! `scp -t` and `scp -f`: the other end of the protocol that scp spoke before SFTP, and still does
//! with `-O`. It has no specification; OpenSSH's scp is what everybody agrees with.

mod protocol;
mod sink;
mod source;

use super::arguments::{Arguments, path};
use super::error::{Error, Result};
use super::task::Task;
use sink::Sink;
use source::Source;

pub(super) fn begin(arguments: Arguments) -> Result<Box<dyn Task>> {
    let (recursive, preserve) = (arguments.has("r"), arguments.has("p"));
    match (arguments.has("t"), arguments.has("f"), arguments.operands.as_slice()) {
        (true, false, [target]) => {
            let (target, directory) = (path(target)?, arguments.has("d"));
            Ok(Box::new(Sink::new(target, directory, recursive, preserve)))
        }
        (false, true, _) => Ok(Box::new(Source::new(arguments.operands, recursive, preserve))),
        _ => Err(Error::Protocol("an scp client says -f, or -t and one name".to_owned())),
    }
}
