//! The client side of the control socket.

use super::{ControlRequest, ControlResponse};
use crate::config::shown;
use crate::permission;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server that does not answer for this long is reported. It may hang, or a scan may take long.
const SILENCE_BEFORE_NOTICE: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket is disabled in the settings.
    #[error("the server cannot be reached: control-socket is \"off\" in its settings")]
    Off,
    /// No server listens.
    #[error("no server is running: no answer at {}; start one with `sshomed`, or name its folder with --dir", shown(.0))]
    NoServer(PathBuf),
    /// This account may not use the socket.
    #[error("the server cannot be reached: {}", denied(.0))]
    Denied(PathBuf),
    /// The connection failed.
    #[error("the server at {} gave no answer: {error}", shown(.path))]
    Lost {
        /// The socket.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The server refused the request.
    #[error("{0}")]
    Refused(String),
}

/// Describes who may use the socket.
fn denied(socket: &Path) -> String {
    let why = socket.parent().and_then(permission::wrong_account);
    let why = why.map(|why| format!("only its account can query it; {why}"));
    why.unwrap_or_else(|| {
        format!("{} belongs to its account: run this as that account, or as root", shown(socket))
    })
}

/// Sends a request to the first server that listens on one of the sockets.
///
/// # Errors
/// As [`ask`]; [`ClientError::Off`] if there are none.
pub fn ask_any(sockets: &[PathBuf], request: &ControlRequest) -> Result<ControlResponse, ClientError> {
    for socket in sockets {
        match ask(socket, request) {
            Err(ClientError::NoServer(_)) => {}
            answered => return answered,
        }
    }
    Err(sockets.first().map_or(ClientError::Off, |socket| ClientError::NoServer(socket.clone())))
}

/// Sends a request to the server that listens on a socket.
///
/// # Errors
/// If there is no response, or the response is an error.
pub fn ask(socket: &Path, request: &ControlRequest) -> Result<ControlResponse, ClientError> {
    let path = socket.to_owned();
    let stream = super::server::short(socket, UnixStream::connect).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NoServer(path.clone()),
        ErrorKind::PermissionDenied => ClientError::Denied(path.clone()),
        _ => ClientError::Lost { path: path.clone(), error },
    })?;
    match exchange(stream, request) {
        Ok(ControlResponse::Error { message }) => Err(ClientError::Refused(message)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(ClientError::Lost { path, error }),
    }
}

fn exchange(mut stream: UnixStream, request: &ControlRequest) -> io::Result<ControlResponse> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.set_read_timeout(Some(SILENCE_BEFORE_NOTICE))?;
    let server = rustix::net::sockopt::socket_peercred(&stream).ok();
    let (mut reader, mut answer) = (BufReader::new(&stream), Vec::new());
    loop {
        match reader.read_until(b'\n', &mut answer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let pid =
                    server.map_or_else(String::new, |server| format!(" {}", server.pid.as_raw_nonzero()));
                eprintln!("sshomed: the server, process{pid}, has not answered yet; waiting");
                stream.set_read_timeout(None)?;
            }
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(serde_json::from_slice(&answer)?)
}
