//! The systemd units: the shipped ones with the paths of this server.

use super::SetupError;
use super::answers::SetupAnswers;
use crate::config::shown;
use std::path::Path;

/// The unit's name.
pub(super) const UNIT_NAME: &str = "sshomed.service";

const SYSTEM_UNIT: &str = include_str!("../../../etc/systemd/sshomed.service");
const USER_UNIT: &str = include_str!("../../../etc/systemd/user/sshomed.service");

/// The first port that needs no privilege.
const FIRST_FREE_PORT: u16 = 1024;

/// Folders that the system's unit hides or replaces.
const HIDDEN_FOLDERS: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Lines of the system's unit for ports below 1024, and those for other ports.
const WITH_LOW_PORT: &str =
    "#AmbientCapabilities=CAP_NET_BIND_SERVICE\n#CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n";
const WITHOUT_LOW_PORT: &str = "AmbientCapabilities=\nCapabilityBoundingSet=\nPrivateUsers=yes\n";

/// The text of the unit for these answers.
pub(super) fn text(answers: &SetupAnswers, program: &Path) -> Result<String, SetupError> {
    let hidden = answers.account.is_some();
    let folder = plain(&answers.folder, "--dir", hidden)?;
    let program = plain(program, "--service", hidden)?;
    let Some(account) = &answers.account else {
        return Ok(USER_UNIT.replace("%h/sshome", folder).replace("%h/.local/bin/sshomed", program));
    };
    let unit = SYSTEM_UNIT
        .replace("User=sshome\n", &format!("User={account}\n"))
        .replace("/srv/sshome", folder)
        .replace("/usr/local/bin/sshomed", program);
    let low = answers.listen.iter().any(|address| address.port() < FIRST_FREE_PORT);
    Ok(match low {
        true => unit
            .replace(&format!("{WITH_LOW_PORT}{WITHOUT_LOW_PORT}"), &WITH_LOW_PORT.replace('#', ""))
            .replace("# For a port below 1024, use these two lines in place of the three below them.\n", ""),
        false => unit,
    })
}

/// A path as a unit needs it: nothing in it has a meaning there, and the unit does not hide it.
fn plain<'a>(path: &'a Path, option: &'static str, hidden: bool) -> Result<&'a str, SetupError> {
    let is_plain = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
    let refused = |why: &str| SetupError::Answer { option, why: format!("{} {why}", shown(path)) };
    let text = path.to_str().filter(is_plain);
    let text = text.ok_or_else(|| refused("has characters that a unit cannot hold: choose another path"))?;
    match HIDDEN_FOLDERS.iter().find(|folder| hidden && path.starts_with(folder)) {
        Some(folder) => {
            let why = format!(
                "is in {folder}, which the sandboxed unit cannot see: move it, for example to /usr/local/bin or /srv"
            );
            Err(refused(&why))
        }
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServiceKind;
    use super::super::answers::UserCredential;
    use super::*;

    fn answers(account: Option<&str>, folder: &str, port: u16) -> SetupAnswers {
        SetupAnswers {
            folder: folder.into(),
            listen: vec![([0, 0, 0, 0], port).into()],
            user: "sam".to_owned(),
            credential: UserCredential::Keys(Vec::new()),
            quota: "unlimited".to_owned(),
            service: ServiceKind::Systemd,
            account: account.map(str::to_owned),
        }
    }

    #[test]
    fn a_system_unit_has_the_account_the_paths_and_the_port_of_the_server() {
        let program = Path::new("/opt/bin/sshomed");
        let unit = text(&answers(Some("files"), "/data/files", 2222), program).unwrap();
        for line in [
            "User=files",
            "WorkingDirectory=/data/files",
            "ReadWritePaths=/data/files",
            "ExecStart=/opt/bin/sshomed",
            "ExecReload=/opt/bin/sshomed reload",
            "CapabilityBoundingSet=",
            "PrivateUsers=yes",
        ] {
            assert!(unit.lines().any(|found| found == line), "{line}: {unit}");
        }
        let unit = text(&answers(Some("files"), "/data/files", 22), program).unwrap();
        assert!(unit.contains("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"), "{unit}");
        assert!(!unit.contains("PrivateUsers=yes") && !unit.contains("CapabilityBoundingSet=\n"), "{unit}");
    }

    #[test]
    fn a_user_unit_has_the_paths_of_the_account() {
        let unit = text(&answers(None, "/home/ann/files", 2222), Path::new("/home/ann/bin/sshomed")).unwrap();
        for line in ["WorkingDirectory=/home/ann/files", "ExecStart=/home/ann/bin/sshomed"] {
            assert!(unit.lines().any(|found| found == line), "{line}: {unit}");
        }
        assert!(!unit.contains("User=") && !unit.contains("/srv/") && !unit.contains('%'), "{unit}");
    }

    #[test]
    fn paths_that_a_unit_cannot_use_are_refused() {
        let program = Path::new("/usr/local/bin/sshomed");
        let error = |folder: &str| text(&answers(Some("s"), folder, 2222), program).unwrap_err().to_string();
        assert!(error("/srv/the files").contains("characters"), "{}", error("/srv/the files"));
        assert!(error("/home/x").contains("cannot see"), "{}", error("/home/x"));
        let error = text(&answers(Some("s"), "/srv/x", 2222), Path::new("/root/sshomed")).unwrap_err();
        assert!(error.to_string().contains("/usr/local/bin"), "{error}");
    }
}
