//! A filesystem that is mounted as long as a test needs it.

use fuser::{BackgroundSession, Config, Filesystem};
use std::path::{Path, PathBuf};

/// A mounted filesystem. It is unmounted when this is dropped.
pub(crate) struct MountedFilesystem {
    session: Option<BackgroundSession>,
    path: PathBuf,
}

impl MountedFilesystem {
    /// Mounts a filesystem on a folder.
    ///
    /// # Errors
    /// If nothing can be mounted here.
    pub(crate) fn new(
        filesystem: impl Filesystem,
        path: PathBuf,
        config: &Config,
    ) -> std::io::Result<MountedFilesystem> {
        let session = fuser::spawn_mount(filesystem, &path, config)?;
        Ok(MountedFilesystem { session: Some(session), path })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MountedFilesystem {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if let Err(error) = session.umount_and_join() {
            eprintln!("{} is not unmounted: {error}", self.path.display());
        }
    }
}
