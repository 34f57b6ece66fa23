//! `ProxyCommand`: a command whose standard input and output are the connection.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The command's standard input and output. Dropping it ends the command.
pub(super) struct ProxyStream {
    input: ChildStdin,
    output: ChildStdout,
    _child: Child,
}

/// Starts a command in the user's shell, as ssh does.
///
/// # Errors
/// If the shell cannot be started.
pub(super) fn start(command: &str) -> io::Result<ProxyStream> {
    if cfg!(not(unix)) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it needs a POSIX shell"));
    }
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let mut process = Command::new("/bin/sh");
    // Ctrl-C cancels a command of ours; it must not end the connection. The process stays in our group, so that it can
    // ask for a password at the terminal.
    process.args(["-c", "trap '' INT; exec \"$0\" -c \"exec $1\""]).arg(shell.unwrap_or("/bin/sh".into()));
    process.arg(command).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = process.spawn()?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => Ok(ProxyStream { input, output, _child: child }),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

impl AsyncRead for ProxyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_command_is_the_connection_and_ends_with_it() {
        let mut stream = start("cat; echo ended").unwrap();
        stream.write_all(b"echoed").await.unwrap();
        let mut read = [0; 6];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"echoed");
        // A process that ignores the end of its input.
        let mut stream = start("sh -c 'echo $$; exec sleep 1000'").unwrap();
        let mut id = String::new();
        while !id.ends_with('\n') {
            id.push(char::from(stream.read_u8().await.unwrap()));
        }
        let child = rustix::process::Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        assert!(rustix::process::test_kill_process(child).is_ok());
        drop(stream);
        // The runtime reaps it.
        while rustix::process::test_kill_process(child).is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_end_of_a_command_is_the_end_of_the_stream() {
        let mut read = Vec::new();
        start("echo \"$((1 + 1))\"").unwrap().read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"2\n");
    }
}
