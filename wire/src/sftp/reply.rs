//! The answers to extensions, in an EXTENDED_REPLY; [`super::extended`] names their specifications.

use super::fields::{Fields, Flaw, put_string};
use super::response::Response;
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

/// The answer to `limits@openssh.com`, in bytes; 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SftpLimits {
    /// The longest packet.
    pub packet: u64,
    /// The longest READ that is answered in one packet.
    pub read: u64,
    /// The most data in a WRITE.
    pub write: u64,
    /// Files and directories that may be open at a time.
    pub handles: u64,
}

impl SftpLimits {
    /// Encodes it as an answer.
    #[must_use]
    pub fn response(&self) -> Response {
        row(&[self.packet, self.read, self.write, self.handles])
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(body: Bytes) -> Result<SftpLimits, Flaw> {
        let [packet, read, write, handles] = numbers(body)?;
        Ok(SftpLimits { packet, read, write, handles })
    }
}

/// The answer to `statvfs@openssh.com`, the fields of `statvfs(3)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // as statvfs(3) has them
pub struct Statvfs {
    pub bsize: u64,
    pub frsize: u64,
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub favail: u64,
    pub fsid: u64,
    /// 1: nothing can be written; 2: set-id bits mean nothing.
    pub flag: u64,
    pub namemax: u64,
}

impl Statvfs {
    /// Encodes it as an answer.
    #[must_use]
    pub fn response(&self) -> Response {
        row(&[
            self.bsize,
            self.frsize,
            self.blocks,
            self.bfree,
            self.bavail,
            self.files,
            self.ffree,
            self.favail,
            self.fsid,
            self.flag,
            self.namemax,
        ])
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(body: Bytes) -> Result<Statvfs, Flaw> {
        let [bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax] =
            numbers(body)?;
        Ok(Statvfs { bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax })
    }
}

/// The answer to `users-groups-by-id@openssh.com`: a name for each number, empty if unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersGroups {
    /// The users'.
    pub users: Vec<Bytes>,
    /// The groups'.
    pub groups: Vec<Bytes>,
}

impl UsersGroups {
    /// Encodes it as an answer.
    #[must_use]
    pub fn response(&self) -> Response {
        let mut out = Vec::new();
        for names in [&self.users, &self.groups] {
            let mut packed = Vec::new();
            names.iter().for_each(|name| put_string(&mut packed, name));
            put_string(&mut out, &packed);
        }
        Response::Extended(out.into())
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(body: Bytes) -> Result<UsersGroups, Flaw> {
        let mut fields = Fields::from(body);
        let mut names = || {
            let mut packed = Fields::from(fields.string()?);
            let mut names = Vec::new();
            while !packed.is_empty() {
                names.push(packed.string()?);
            }
            Ok(names)
        };
        let answer = UsersGroups { users: names()?, groups: names()? };
        fields.end()?;
        Ok(answer)
    }
}

/// The answer to `check-file-name` and `check-file-handle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedFile {
    /// The algorithm that was chosen.
    pub algorithm: Bytes,
    /// The digests, one after the other.
    pub digests: Bytes,
}

impl CheckedFile {
    /// Encodes it as an answer; `named` puts the extension's name first, as in Paramiko's `check-file`.
    #[must_use]
    pub fn response(&self, named: bool) -> Response {
        let mut out = Vec::new();
        if named {
            put_string(&mut out, b"check-file");
        }
        put_string(&mut out, &self.algorithm);
        out.put_slice(&self.digests);
        Response::Extended(out.into())
    }

    /// Reads an answer without the extension's name.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(body: Bytes) -> Result<CheckedFile, Flaw> {
        let mut fields = Fields::from(body);
        Ok(CheckedFile { algorithm: fields.string()?, digests: fields.rest()? })
    }
}

fn row(numbers: &[u64]) -> Response {
    let mut out = Vec::with_capacity(numbers.len() * 8);
    numbers.iter().for_each(|number| out.put_u64(*number));
    Response::Extended(out.into())
}

fn numbers<const COUNT: usize>(body: Bytes) -> Result<[u64; COUNT], Flaw> {
    let mut fields = Fields::from(body);
    let mut numbers = [0; COUNT];
    for number in &mut numbers {
        *number = fields.u64()?;
    }
    fields.end()?;
    Ok(numbers)
}
