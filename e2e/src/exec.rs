//! Commands over SSH, without a client program.

use crate::peer::{Trusting, connect, connect_with};
use crate::{Host, Outcome};
use anyhow::{Result, ensure};
use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

/// A connection for commands.
pub struct Commands(Arc<Handle<Trusting>>);

impl Commands {
    /// Logs in.
    ///
    /// # Errors
    /// If that fails.
    pub async fn login(host: &Host, user: &str) -> Result<Commands> {
        Ok(Commands(Arc::new(connect(host, user).await?)))
    }

    /// Runs a command to its end with this input.
    ///
    /// # Errors
    /// If it cannot be started. Its failure is in the outcome.
    pub async fn run(&self, line: impl AsRef<[u8]>, input: &[u8]) -> Result<Outcome> {
        let exec = Exec::on(Arc::clone(&self.0), line, false).await?;
        let writer = Arc::clone(&exec.writer);
        let sending = async {
            // A command need not read its input.
            let _ = send(&writer, input).await;
            let _ = writer.eof().await;
            pending().await
        };
        // A client that sends everything before it reads may wait forever, and so may one whose command has ended.
        tokio::select! {
            outcome = exec.finish() => outcome,
            never = sending => never,
        }
    }
}

/// A running command. The test sends its input.
pub struct Exec {
    connection: Arc<Handle<Trusting>>,
    reader: ChannelReadHalf,
    writer: Arc<ChannelWriteHalf<Msg>>,
    output: VecDeque<u8>,
    errors: Vec<u8>,
    code: Option<i32>,
    ended: bool,
}

/// Logs in, and runs a command to its end with this input.
///
/// # Errors
/// If it cannot be started. Its failure is in the outcome.
pub async fn run(host: &Host, user: &str, line: impl AsRef<[u8]>, input: &[u8]) -> Result<Outcome> {
    Commands::login(host, user).await?.run(line, input).await
}

/// A command line with these operands, quoted as for a shell.
#[must_use]
pub fn command<O: AsRef<[u8]>>(name: &str, operands: impl IntoIterator<Item = O>) -> Vec<u8> {
    let mut line = name.as_bytes().to_vec();
    for operand in operands {
        line.extend(b" '");
        for byte in operand.as_ref() {
            match byte {
                b'\'' => line.extend(b"'\\''"),
                byte => line.push(*byte),
            }
        }
        line.push(b'\'');
    }
    line
}

impl Exec {
    /// Logs in and starts a command.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn start(host: &Host, user: &str, line: impl AsRef<[u8]>) -> Result<Exec> {
        Exec::on(Arc::new(connect(host, user).await?), line, false).await
    }

    /// As [`start`](Exec::start), of a client with a window and packets of these sizes in bytes.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn narrow(
        host: &Host,
        user: &str,
        line: impl AsRef<[u8]>,
        window: u32,
        packet: u32,
    ) -> Result<Exec> {
        Exec::on(Arc::new(connect_with(host, user, window, packet).await?), line, false).await
    }

    /// As [`start`](Exec::start), in a terminal.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn in_terminal(host: &Host, user: &str, line: impl AsRef<[u8]>) -> Result<Exec> {
        Exec::on(Arc::new(connect(host, user).await?), line, true).await
    }

    async fn on(connection: Arc<Handle<Trusting>>, line: impl AsRef<[u8]>, terminal: bool) -> Result<Exec> {
        let channel = connection.channel_open_session().await?;
        if terminal {
            channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await?;
        }
        channel.exec(true, line.as_ref()).await?;
        let (output, errors) = (VecDeque::new(), Vec::new());
        let (reader, writer) = channel.split();
        Ok(Exec { connection, reader, writer: Arc::new(writer), output, errors, code: None, ended: false })
    }

    /// Sends input.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn send(&self, bytes: &[u8]) -> Result<()> {
        send(&self.writer, bytes).await
    }

    /// Ends the input.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn end(&self) -> Result<()> {
        Ok(self.writer.eof().await?)
    }

    /// Closes the channel; the connection stays.
    ///
    /// # Errors
    /// If the server is gone.
    pub async fn close(&self) -> Result<()> {
        Ok(self.writer.close().await?)
    }

    /// Ends the connection immediately.
    ///
    /// # Errors
    /// If it is gone already.
    pub async fn vanish(self) -> Result<()> {
        Ok(self.connection.disconnect(russh::Disconnect::ByApplication, "", "").await?)
    }

    /// The next `length` bytes of its output.
    ///
    /// # Errors
    /// If it ends before.
    pub async fn read(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.output.len() < length {
            ensure!(self.take().await, "it has ended after {:?}", self.output);
        }
        Ok(self.output.drain(..length).collect())
    }

    /// The next line of its output, without its end.
    ///
    /// # Errors
    /// If it ends before.
    pub async fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(length) = self.output.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.output.drain(..=length).collect();
                line.pop();
                return Ok(line);
            }
            ensure!(self.take().await, "it has ended after {:?}", self.output);
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(mut self) -> Result<Outcome> {
        while self.take().await {}
        Ok(Outcome { code: self.code, stdout: self.output.into(), stderr: self.errors })
    }

    /// Receives one message. Returns whether there was one.
    async fn take(&mut self) -> bool {
        match self.reader.wait().await {
            _ if self.ended => return false,
            Some(ChannelMsg::Data { data }) => self.output.extend(data.iter()),
            Some(ChannelMsg::ExtendedData { data, .. }) => self.errors.extend_from_slice(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => self.code = i32::try_from(exit_status).ok(),
            Some(ChannelMsg::Close) | None => self.ended = true,
            Some(_) => {}
        }
        !self.ended
    }
}

async fn send(writer: &ChannelWriteHalf<Msg>, bytes: &[u8]) -> Result<()> {
    for chunk in bytes.chunks(256 << 10) {
        writer.data_bytes(Bytes::copy_from_slice(chunk)).await?;
    }
    Ok(())
}
