//! The behaviour of the kernel and of OpenSSH's SFTP server with the same path in the same tree.

use crate::table::{Op, PathOutcome, Tree};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sshome_wire::sftp::{
    ClientPacket, Response, SFTP_VERSION, ServerPacket, SftpDecoder, SftpRequest, StatusCode,
};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The result of the plain system call of each operation, on the path as spelled.
pub(crate) fn kernel(tree: &Tree, op: Op, path: &str) -> PathOutcome {
    let top = rustix::fs::open(tree.top(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let code = match call(&top, op, path) {
        Ok(()) => StatusCode::Ok,
        Err(errno) => portable(errno),
    };
    PathOutcome { code, name: None, after: tree.snapshot() }
}

fn call(top: &OwnedFd, op: Op, path: &str) -> rustix::io::Result<()> {
    let open = |flags| rustix::fs::openat(top, path, flags, Mode::from_raw_mode(0o644));
    let write = |flags| {
        let mut file = std::fs::File::from(open(OFlags::WRONLY | flags)?);
        file.write_all(Op::CONTENT).map_err(|_| Errno::IO)
    };
    match op {
        Op::Stat => rustix::fs::statat(top, path, AtFlags::empty()).map(drop),
        Op::Lstat => rustix::fs::statat(top, path, AtFlags::SYMLINK_NOFOLLOW).map(drop),
        Op::Readlink => rustix::fs::readlinkat(top, path, Vec::new()).map(drop),
        Op::Realpath => Err(Errno::NOSYS),
        Op::Opendir => open(OFlags::RDONLY | OFlags::DIRECTORY).map(drop),
        Op::OpenRead => open(OFlags::RDONLY).map(drop),
        Op::OpenWrite => write(OFlags::empty()),
        Op::OpenCreate => write(OFlags::CREATE | OFlags::TRUNC),
        Op::OpenExclusive => write(OFlags::CREATE | OFlags::EXCL),
        Op::Mkdir => rustix::fs::mkdirat(top, path, Mode::from_raw_mode(0o755)),
        Op::Rmdir => rustix::fs::unlinkat(top, path, AtFlags::REMOVEDIR),
        Op::Remove => rustix::fs::unlinkat(top, path, AtFlags::empty()),
        Op::RenameFrom => rustix::fs::renameat(top, path, top, "new"),
        Op::RenameFileTo => rustix::fs::renameat(top, "f", top, path),
        Op::RenameDirectoryTo => rustix::fs::renameat(top, "d", top, path),
        Op::Symlink => rustix::fs::symlinkat("text", top, path),
        Op::HardlinkFrom => rustix::fs::linkat(top, path, top, "new", AtFlags::empty()),
        Op::HardlinkTo => rustix::fs::linkat(top, "f", top, path, AtFlags::empty()),
    }
}

/// The code of OpenSSH's server for an error (sftp-server.c, `errno_to_portable`).
fn portable(errno: Errno) -> StatusCode {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::BADF | Errno::LOOP => StatusCode::NoSuchFile,
        Errno::PERM | Errno::ACCESS | Errno::FAULT => StatusCode::PermissionDenied,
        Errno::NAMETOOLONG | Errno::INVAL => StatusCode::BadMessage,
        Errno::NOSYS => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    }
}

/// Opens a path as in a chroot. Returns its device and inode, or the error.
pub(crate) fn in_root(top: &Path, path: &[u8], flags: OFlags) -> rustix::io::Result<(u64, u64)> {
    let top = rustix::fs::openat(CWD, top, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(top.as_fd(), path, flags, Mode::empty(), how)?;
    let stat = rustix::fs::fstat(&file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// OpenSSH's SFTP server, running in a folder.
pub(crate) struct Reference {
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
    decoder: SftpDecoder,
}

impl Reference {
    pub(crate) const PROGRAM: &'static str = "/usr/lib/openssh/sftp-server";

    /// Starts it.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn start(folder: &Path) -> Result<Reference> {
        let mut command = Command::new(Reference::PROGRAM);
        command.arg("-d").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (input, output) =
            (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
        let mut reference = Reference { _child: child, input, output, decoder: SftpDecoder::new() };
        reference.send(&ClientPacket::Init { version: SFTP_VERSION, extensions: Vec::new() }).await?;
        match reference.packet().await? {
            ServerPacket::Version { .. } => Ok(reference),
            other => bail!("{other:?} in place of a version"),
        }
    }

    /// Sends a request and receives its answer.
    ///
    /// # Errors
    /// If anything else arrives.
    pub(crate) async fn ask(&mut self, request: SftpRequest) -> Result<Response> {
        self.send(&ClientPacket::Request { id: 1, request }).await?;
        match self.packet().await? {
            ServerPacket::Response { response, .. } => Ok(response),
            other => bail!("{other:?} in place of an answer"),
        }
    }

    async fn send(&mut self, packet: &ClientPacket) -> Result<()> {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes)?;
        Ok(self.input.write_all(&bytes).await?)
    }

    async fn packet(&mut self) -> Result<ServerPacket> {
        loop {
            if let Some(packet) = self.decoder.next()? {
                return Ok(ServerPacket::decode(packet)?);
            }
            let mut buffer = vec![0; 65536];
            let read = self.output.read(&mut buffer).await?;
            if read == 0 {
                bail!("the server has ended");
            }
            buffer.truncate(read);
            self.decoder.push(Bytes::from(buffer));
        }
    }
}
