//! Checks that the roots of users do not overlap.

use super::location::resolve;
use super::users::UserSection;
use super::{ConfigLocation, Diagnostics};
use crate::accounts::{OwnKeys, unfit_root};
use std::path::{Path, PathBuf};

/// Reports roots that contain each other or the server's own files: a user could read foreign files, and a file would
/// count against two quotas. `own` are additional files of the server.
pub(super) fn check(
    users: &[UserSection],
    location: &ConfigLocation,
    own: &[&Path],
    mistakes: &mut Diagnostics,
) {
    // An unfit root is not served, and affects only its own user.
    let served: Vec<&UserSection> = users.iter().filter(|user| unfit_root(&user.account).is_none()).collect();
    // Whoever can write to another user's key file can log in as that user.
    let key_files = users.iter().flat_map(|user| &user.key_files);
    let own_keys = OwnKeys::of(&location.dir);
    let secrets = own.iter().copied().chain(key_files.map(PathBuf::as_path));
    let secrets: Vec<PathBuf> =
        [location.file.as_path(), own_keys.folder()].into_iter().chain(secrets).map(resolve).collect();
    for &user in &served {
        if let Some(secret) = secrets.iter().find(|secret| secret.starts_with(&user.account.root)) {
            let (name, root) = (&user.account.name, user.account.root.display());
            let message = format!(
                "{root} holds the server's own {}, which {name} could read or replace: choose a folder without it",
                secret.display()
            );
            note(user, message, mistakes);
        }
    }

    // Sorted by components, the contents of a folder follow the folder directly.
    let mut sorted = served;
    sorted.sort_by_key(|user| &user.account.root);
    let mut outer: Option<&UserSection> = None;
    for user in sorted {
        match outer {
            Some(outer) if user.account.root.starts_with(&outer.account.root) => {
                let (root, theirs) = (user.account.root.display(), outer.account.root.display());
                let name = &outer.account.name;
                let message = if user.account.root == outer.account.root {
                    format!("{root} is also the root of {name}: every user needs a folder of their own")
                } else {
                    format!(
                        "{root} is inside {theirs}, the root of {name}: every user needs a folder of their own"
                    )
                };
                note(user, message, mistakes);
            }
            _ => outer = Some(user),
        }
    }
}

fn note(user: &UserSection, message: String, mistakes: &mut Diagnostics) {
    mistakes.add(user.root.clone(), &format!("users.{}.root", user.account.name), message);
}
