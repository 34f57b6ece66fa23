//! The keys that may log in to the user's account.

use super::{Error, Result, User};
use crate::accounts::{Account, AuthorizedKey, OwnKeysError};
use sshome_wire::Key;
use std::sync::Arc;

/// Bytes of a key's comment that are sent.
const MAX_COMMENT_BYTES: usize = 255;

/// The keys that may log in: the user's own first, then the administrator's; and the number of those that do not fit into
/// the reply. A login by a key that sees a folder only, or with less than read-write access, sees its own key only.
///
/// # Errors
/// If the user's own keys cannot be read.
pub fn keys(user: &User) -> Result<(Vec<Key>, usize)> {
    user.require_read()?;
    let account = user.login.account();
    let installed = match account.own_keys {
        true => user.login.store().own_keys(&account.name)?,
        false => Vec::new(),
    };
    let is_restricted = user.login.folder().is_some() || !user.access().changes();
    let only = user.login.key().filter(|_| is_restricted);
    let own = installed.iter().map(|key| (key, true));
    let all = own.chain(account.keys.iter().map(|key| (key, false)));
    let visible = all.filter(|(key, _)| only.as_ref().is_none_or(|only| key.fingerprint() == *only));
    let mut keys: Vec<_> = visible.map(|(key, own)| describe(key, own)).collect();
    let left_out = keys.len().saturating_sub(Key::MAX_PER_REPLY);
    keys.truncate(Key::MAX_PER_REPLY);
    Ok((keys, left_out))
}

/// Installs a key, a line as in `authorized_keys`.
///
/// # Errors
/// If the account's settings do not allow it, the key is not accepted, or it cannot be stored.
pub fn install_key(user: &User, line: &str) -> Result<()> {
    let account = may_manage(user)?;
    let key = user.login.store().install_key(&account.name, line)?;
    user.audit.key_installed(&key.fingerprint(), key.comment());
    Ok(())
}

/// Removes a key that the user has installed, unless it is the last credential of the account.
///
/// # Errors
/// If the account's settings do not allow it, there is no such key, it is the administrator's, or it is the last
/// credential.
pub fn remove_key(user: &User, fingerprint: &str) -> Result<()> {
    let account = may_manage(user)?;
    let other_way = account.password.is_some() || !account.keys.is_empty();
    let removed = user.login.store().remove_key(&account.name, fingerprint, !other_way);
    let is_it = |key: &AuthorizedKey| key.fingerprint() == fingerprint;
    match removed {
        Err(OwnKeysError::NoSuchKey(print)) if account.keys.iter().any(is_it) => {
            Err(OwnKeysError::Administrators(print).into())
        }
        result => {
            result?;
            user.audit.key_removed(fingerprint);
            Ok(())
        }
    }
}

/// The account, if the user may install and remove keys.
fn may_manage(user: &User) -> Result<Arc<Account>> {
    let account = user.login.account();
    if !account.own_keys {
        return Err(OwnKeysError::NotAllowed.into());
    }
    if !user.login.may_manage_keys() {
        return Err(OwnKeysError::RestrictedLogin.into());
    }
    Ok(account)
}

fn describe(key: &AuthorizedKey, own: bool) -> Key {
    Key {
        fingerprint: key.fingerprint(),
        algorithm: key.public_key().algorithm().as_str().to_owned(),
        comment: key.comment().iter().take(MAX_COMMENT_BYTES).copied().collect(),
        own,
    }
}

impl From<OwnKeysError> for Error {
    fn from(error: OwnKeysError) -> Error {
        Error::Keys(error)
    }
}
