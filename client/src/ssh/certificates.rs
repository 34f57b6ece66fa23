//! Certificates of users' keys, in files.

use super::keys::Problem;
use super::settings::{IdentitySource, Settings};
use crate::names::shown;
use russh::keys::Certificate;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Reads the certificates of `CertificateFile`, and as ssh does, those beside the key files: `KEY-cert.pub`. Each has its
/// origin, safe to show.
pub(super) fn read(settings: &Settings, problems: &mut Vec<Problem>) -> Vec<(Certificate, String)> {
    let mut certificates = Vec::new();
    let mut add = |file: &Path, is_named: bool| match load(file) {
        Ok(certificate) => certificates.push((certificate, shown(file))),
        Err(problem) if is_named => problems.push(Problem::later(problem)),
        Err(_) => {}
    };
    settings.certificates.iter().for_each(|file| add(file, true));
    for identity in &settings.identities {
        let mut beside = identity.file.clone().into_os_string();
        beside.push("-cert.pub");
        let beside = PathBuf::from(beside);
        let is_named = identity.source != IdentitySource::Usual && beside.exists();
        add(&beside, is_named);
    }
    certificates
}

fn load(file: &Path) -> Result<Certificate, String> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("no certificate: {}: No such file or directory", shown(file)),
        _ => format!("{}: {error}", shown(file)),
    })?;
    Certificate::from_openssh(text.trim())
        .map_err(|error| format!("{} is not a certificate: {error}", shown(file)))
}
