//! The user of a shared folder.

use super::password::OneTimePassword;
use crate::accounts::{Access, Account, HashError, NamePattern, PasswordHash, SftpUploads};
use std::path::Path;

/// The name of the user.
pub(super) const GUEST_USER: &str = "guest";

/// The account of the user, whose home is the folder.
pub(super) fn account(
    folder: &Path,
    writable: bool,
    password: &OneTimePassword,
) -> Result<Account, HashError> {
    Ok(Account {
        name: GUEST_USER.to_owned(),
        root: folder.to_owned(),
        make_root: false,
        quota: None,
        max_files: None,
        upload_rate: None,
        download_rate: None,
        access: if writable { Access::ReadWrite } else { Access::ReadOnly },
        sftp_uploads: SftpUploads::default(),
        enabled: true,
        expires: None,
        password: Some(PasswordHash::of(&password.to_password())?),
        keys: Vec::new(),
        own_keys: false,
        deletable: Vec::new(),
        temporary_names: NamePattern::of_temporary_names(),
        installed: Vec::new(),
    })
}
