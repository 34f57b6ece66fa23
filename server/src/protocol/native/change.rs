//! Which requests wait while the home is being counted.

use crate::service::ChangeKind;
use sshome_wire::Request;

/// What a request changes that waits while the home is being counted.
pub(super) fn change_of(request: &Request) -> Option<ChangeKind> {
    match request {
        Request::Put(_)
        | Request::PutDelta(_)
        | Request::PutStream { .. }
        | Request::OpenUpload(_)
        | Request::PutCopy { .. }
        | Request::Mkdir { .. }
        | Request::Symlink { .. }
        | Request::Mv { .. }
        | Request::Cp { .. }
        | Request::BackUp { .. } => Some(ChangeKind::Stores),
        Request::Rm { .. } | Request::Rmdir { .. } => Some(ChangeKind::Removes),
        Request::Pwd
        | Request::Cd { .. }
        | Request::Ls { .. }
        | Request::Stat { .. }
        | Request::Get { .. }
        | Request::GetDelta { .. }
        | Request::GetRange { .. }
        | Request::PutBlocks { .. }
        | Request::FinishUpload { .. }
        | Request::Describe { .. }
        | Request::Hash { .. }
        | Request::Df
        | Request::Sync
        | Request::PartStatus { .. }
        | Request::StreamStatus { .. }
        | Request::Parts
        | Request::Discard { .. }
        | Request::FinishDirectory { .. }
        | Request::RealPath { .. }
        | Request::Keys
        | Request::InstallKey { .. }
        | Request::RemoveKey { .. }
        | Request::StoredDigests { .. }
        | Request::SetAttributes { .. } => None,
    }
}
