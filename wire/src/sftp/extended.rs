//! Requests that are not in the draft: EXTENDED with a name (section 8). OpenSSH's are described in
//! its file PROTOCOL, section 4; `copy-data`, `home-directory` and `check-file-…` in
//! draft-ietf-secsh-filexfer-extensions-00; `vendor-id` in draft-ietf-secsh-filexfer-13 section 4.4.

use super::Extension;
use super::attributes::SftpAttributes;
use super::fields::{Fields, Flaw, put_string};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

/// An extended request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the extension's description
pub enum Extended {
    /// `posix-rename@openssh.com`: renames, and replaces an existing file.
    PosixRename { from: Bytes, to: Bytes },
    /// `statvfs@openssh.com`: space and usage of the disk.
    Statvfs { path: Bytes },
    /// `fstatvfs@openssh.com`: the same for an open file.
    Fstatvfs { handle: Bytes },
    /// `hardlink@openssh.com`: a second name for a file.
    Hardlink { from: Bytes, to: Bytes },
    /// `fsync@openssh.com`: flushes an open file to the disk.
    Fsync { handle: Bytes },
    /// `lsetstat@openssh.com`: sets attributes of a link itself.
    Lsetstat { path: Bytes, attributes: SftpAttributes },
    /// `limits@openssh.com`: asks for the server's limits.
    Limits,
    /// `expand-path@openssh.com`: as REALPATH, and `~` is the home.
    ExpandPath { path: Bytes },
    /// `users-groups-by-id@openssh.com`: names for numbers.
    UsersGroupsById { users: Vec<u32>, groups: Vec<u32> },
    /// `copy-data`: copies between open files; a length of 0 means up to the end.
    CopyData { from: Bytes, from_offset: u64, length: u64, to: Bytes, to_offset: u64 },
    /// `home-directory`: the path of a user's home.
    HomeDirectory { user: Bytes },
    /// `check-file-name`, `check-file-handle` and `check-file`: digests.
    CheckFile(CheckFile),
    /// `vendor-id`: the program of the client.
    VendorId(Vendor),
    /// Any other extension: its name and data.
    Unknown(Extension),
}

/// A request for digests of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFile {
    /// The file.
    pub subject: Subject,
    /// Names of algorithms, comma-separated, best first.
    pub algorithms: Bytes,
    /// The start, in bytes.
    pub offset: u64,
    /// The number of bytes; 0 means up to the end.
    pub length: u64,
    /// A digest for each block of this many bytes; 0 means one for all.
    pub block_size: u32,
}

/// The file to compute digests of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `check-file-name`.
    Path(Bytes),
    /// `check-file-handle`.
    Handle(Bytes),
    /// `check-file`, as Paramiko sends it: a handle, and the answer repeats the extension's name.
    HandleNamed(Bytes),
}

/// Name and version of a program. The server sends its own in VERSION.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vendor {
    /// Its vendor.
    pub vendor: Bytes,
    /// Its name.
    pub product: Bytes,
    /// Its version.
    pub version: Bytes,
    /// Its build.
    pub build: u64,
}

mod name {
    pub(super) const POSIX_RENAME: &[u8] = b"posix-rename@openssh.com";
    pub(super) const STATVFS: &[u8] = b"statvfs@openssh.com";
    pub(super) const FSTATVFS: &[u8] = b"fstatvfs@openssh.com";
    pub(super) const HARDLINK: &[u8] = b"hardlink@openssh.com";
    pub(super) const FSYNC: &[u8] = b"fsync@openssh.com";
    pub(super) const LSETSTAT: &[u8] = b"lsetstat@openssh.com";
    pub(super) const LIMITS: &[u8] = b"limits@openssh.com";
    pub(super) const EXPAND_PATH: &[u8] = b"expand-path@openssh.com";
    pub(super) const USERS_GROUPS: &[u8] = b"users-groups-by-id@openssh.com";
    pub(super) const COPY_DATA: &[u8] = b"copy-data";
    pub(super) const HOME_DIRECTORY: &[u8] = b"home-directory";
    pub(super) const CHECK_FILE: &[u8] = b"check-file";
    pub(super) const CHECK_FILE_NAME: &[u8] = b"check-file-name";
    pub(super) const CHECK_FILE_HANDLE: &[u8] = b"check-file-handle";
    pub(super) const VENDOR_ID: &[u8] = b"vendor-id";
}

impl Extended {
    /// The supported extensions with their versions, as VERSION announces them: OpenSSH's client uses an extension only
    /// with exactly this version.
    pub const KNOWN: &'static [(&'static [u8], &'static [u8])] = &[
        (name::POSIX_RENAME, b"1"),
        (name::STATVFS, b"2"),
        (name::FSTATVFS, b"2"),
        (name::HARDLINK, b"1"),
        (name::FSYNC, b"1"),
        (name::LSETSTAT, b"1"),
        (name::LIMITS, b"1"),
        (name::EXPAND_PATH, b"1"),
        (name::COPY_DATA, b"1"),
        (name::HOME_DIRECTORY, b"1"),
        (name::USERS_GROUPS, b"1"),
        (name::CHECK_FILE_NAME, b"1"),
        (name::CHECK_FILE_HANDLE, b"1"),
        (name::CHECK_FILE, b"1"),
    ];

    /// The extension's name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        match self {
            Extended::PosixRename { .. } => name::POSIX_RENAME,
            Extended::Statvfs { .. } => name::STATVFS,
            Extended::Fstatvfs { .. } => name::FSTATVFS,
            Extended::Hardlink { .. } => name::HARDLINK,
            Extended::Fsync { .. } => name::FSYNC,
            Extended::Lsetstat { .. } => name::LSETSTAT,
            Extended::Limits => name::LIMITS,
            Extended::ExpandPath { .. } => name::EXPAND_PATH,
            Extended::UsersGroupsById { .. } => name::USERS_GROUPS,
            Extended::CopyData { .. } => name::COPY_DATA,
            Extended::HomeDirectory { .. } => name::HOME_DIRECTORY,
            Extended::CheckFile(check) => match check.subject {
                Subject::Path(_) => name::CHECK_FILE_NAME,
                Subject::Handle(_) => name::CHECK_FILE_HANDLE,
                Subject::HandleNamed(_) => name::CHECK_FILE,
            },
            Extended::VendorId(_) => name::VENDOR_ID,
            Extended::Unknown(extension) => &extension.name,
        }
    }

    pub(super) fn decode(fields: &mut Fields) -> Result<Extended, Flaw> {
        let name = fields.string()?;
        Ok(match &*name {
            name::POSIX_RENAME => Extended::PosixRename { from: fields.path()?, to: fields.path()? },
            name::STATVFS => Extended::Statvfs { path: fields.path()? },
            name::FSTATVFS => Extended::Fstatvfs { handle: fields.handle()? },
            name::HARDLINK => Extended::Hardlink { from: fields.path()?, to: fields.path()? },
            name::FSYNC => Extended::Fsync { handle: fields.handle()? },
            name::LSETSTAT => {
                Extended::Lsetstat { path: fields.path()?, attributes: SftpAttributes::decode(fields)? }
            }
            name::LIMITS => Extended::Limits,
            name::EXPAND_PATH => Extended::ExpandPath { path: fields.path()? },
            name::USERS_GROUPS => {
                Extended::UsersGroupsById { users: numbers(fields)?, groups: numbers(fields)? }
            }
            name::COPY_DATA => Extended::CopyData {
                from: fields.handle()?,
                from_offset: fields.u64()?,
                length: fields.u64()?,
                to: fields.handle()?,
                to_offset: fields.u64()?,
            },
            name::HOME_DIRECTORY => Extended::HomeDirectory { user: fields.string()? },
            name::CHECK_FILE_NAME => CheckFile::decode(Subject::Path(fields.path()?), fields)?,
            name::CHECK_FILE_HANDLE => CheckFile::decode(Subject::Handle(fields.handle()?), fields)?,
            name::CHECK_FILE => CheckFile::decode(Subject::HandleNamed(fields.handle()?), fields)?,
            name::VENDOR_ID => Extended::VendorId(Vendor::decode(fields)?),
            _ => Extended::Unknown(Extension { name, data: fields.rest()? }),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, self.name());
        match self {
            Extended::PosixRename { from, to } | Extended::Hardlink { from, to } => {
                put_string(out, from);
                put_string(out, to);
            }
            Extended::Statvfs { path: name }
            | Extended::ExpandPath { path: name }
            | Extended::Fstatvfs { handle: name }
            | Extended::Fsync { handle: name }
            | Extended::HomeDirectory { user: name } => put_string(out, name),
            Extended::Lsetstat { path, attributes } => {
                put_string(out, path);
                attributes.encode(out);
            }
            Extended::Limits => {}
            Extended::UsersGroupsById { users, groups } => {
                put_numbers(out, users);
                put_numbers(out, groups);
            }
            Extended::CopyData { from, from_offset, length, to, to_offset } => {
                put_string(out, from);
                out.put_u64(*from_offset);
                out.put_u64(*length);
                put_string(out, to);
                out.put_u64(*to_offset);
            }
            Extended::CheckFile(check) => check.encode(out),
            Extended::VendorId(vendor) => vendor.encode(out),
            Extended::Unknown(extension) => out.put_slice(&extension.data),
        }
    }
}

impl CheckFile {
    fn decode(subject: Subject, fields: &mut Fields) -> Result<Extended, Flaw> {
        Ok(Extended::CheckFile(CheckFile {
            subject,
            algorithms: fields.string()?,
            offset: fields.u64()?,
            length: fields.u64()?,
            block_size: fields.u32()?,
        }))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (Subject::Path(name) | Subject::Handle(name) | Subject::HandleNamed(name)) = &self.subject;
        put_string(out, name);
        put_string(out, &self.algorithms);
        out.put_u64(self.offset);
        out.put_u64(self.length);
        out.put_u32(self.block_size);
    }
}

impl Vendor {
    /// As an extension for INIT or VERSION.
    #[must_use]
    pub fn announced(&self) -> Extension {
        let mut data = Vec::new();
        self.encode(&mut data);
        Extension { name: Bytes::from_static(name::VENDOR_ID), data: data.into() }
    }

    fn decode(fields: &mut Fields) -> Result<Vendor, Flaw> {
        Ok(Vendor {
            vendor: fields.string()?,
            product: fields.string()?,
            version: fields.string()?,
            build: fields.u64()?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, &self.vendor);
        put_string(out, &self.product);
        put_string(out, &self.version);
        out.put_u64(self.build);
    }
}

/// A string of consecutive `u32`s.
fn numbers(fields: &mut Fields) -> Result<Vec<u32>, Flaw> {
    let mut packed = Fields::from(fields.string()?);
    let mut numbers = Vec::new();
    while !packed.is_empty() {
        numbers.push(packed.u32()?);
    }
    Ok(numbers)
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    out.put_u32(numbers.len() as u32 * 4);
    numbers.iter().for_each(|number| out.put_u32(*number));
}
