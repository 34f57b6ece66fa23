//! `sshomed check`: a report of the effective settings, with warnings.

use super::list::{key_tables, table};
use crate::accounts::{Account, OwnKeys, OwnKeysError, expiry_warnings};
use crate::config::{self, Algorithms, Config, ConfigError, Confine, Kex, shown};
use crate::host_key::{HostKeyType, read as read_host_key};
use crate::limits::ConnectionLimits;
use jiff::Timestamp;
use russh::keys::{Error as KeyError, HashAlg};
use sshome_wire::display::Escaped;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A report of valid settings.
#[derive(Debug)]
pub struct CheckReport {
    /// The effective settings.
    pub report: String,
    /// Settings that are valid and perhaps not intended. Each is a sentence.
    pub warnings: Vec<String>,
}

/// Validates the settings as [`config::load`] does, and reports them.
///
/// # Errors
/// If the file cannot be read, or there are mistakes in it.
pub fn check(
    dir: &Path,
    file: Option<&Path>,
    listen_override: &[SocketAddr],
) -> Result<CheckReport, ConfigError> {
    let config = config::load(dir, file, listen_override)?;
    Ok(CheckReport { report: report(&config), warnings: warnings(&config) })
}

fn report(config: &Config) -> String {
    let listen = config.listen.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
    let kex = match config.kex {
        Kex::Compatible => "compatible (post-quantum first, then curve25519)",
        Kex::PostQuantum => "post-quantum only",
    };
    let algorithms = match config.algorithms {
        Algorithms::Strict => "strict",
        Algorithms::Compatible => "compatible (adds algorithms of older clients)",
    };
    let confine = match config.confine {
        Confine::Off => "off",
        Confine::BestEffort => "best effort",
        Confine::Required => "required",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn Display| text += &format!("{name:15}{value}\n");
    line("folder", &shown(&config.dir));
    line("file", &shown(&config.file));
    line("listens on", &listen);
    for key in &config.host_keys {
        line("host key", &host_key(key));
    }
    line("key exchange", &kex);
    line("algorithms", &algorithms);
    if let Some(account) = &config.account {
        line("account", &Escaped(account.as_bytes()));
    }
    line("confinement", &confine);
    line("shutdown grace", &format_args!("{} s", config.shutdown_grace.as_secs()));
    line("part expiry", &format_args!("{} days", config.part_expiry.as_secs() / (24 * 3600)));
    line("stream expiry", &format_args!("{} s", config.stream_expiry.as_secs()));
    if let Some(socket) = &config.control_socket {
        line("control socket", &shown(socket));
    }
    if let Some(address) = config.metrics {
        line("metrics", &format_args!("http://{address}/metrics"));
    }
    if let Some(file) = &config.log.file {
        line("log", &shown(file));
    }
    for (name, value) in limits(&config.limits) {
        line(name, &value);
    }
    text = text + "\n" + &table(config);
    match key_tables(config) {
        keys if keys.is_empty() => text,
        keys => text + "\n" + &keys,
    }
}

fn limits(limits: &ConnectionLimits) -> [(&'static str, String); 4] {
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let ConnectionLimits { login_grace, max_startups, connections_per_address, login_attempts, .. } = limits;
    let penalties = &limits.penalties;
    let idle = limits.idle_timeout.map_or("none".to_owned(), seconds);
    [
        (
            "logins",
            format!(
                "{} and {login_attempts} attempts each; {max_startups} connections without one",
                seconds(*login_grace)
            ),
        ),
        (
            "an address",
            format!("{connections_per_address} connections; penalties up to {}", seconds(penalties.most)),
        ),
        ("a user", format!("{} sessions, idle timeout {idle}", limits.sessions_per_user)),
        (
            "keepalives",
            format!(
                "after {}, {} without a reply",
                seconds(limits.keepalive_interval),
                limits.keepalive_count
            ),
        ),
    ]
}

fn host_key(path: &Path) -> String {
    match read_host_key(path) {
        Ok(key) => format!("{} {}", shown(path), key.fingerprint(HashAlg::Sha256)),
        Err(KeyError::IO(error)) if error.kind() == ErrorKind::PermissionDenied => {
            format!("{} (not readable by this account)", shown(path))
        }
        Err(_) => format!("{} (will be created)", shown(path)),
    }
}

/// Whether a host key is an RSA key, or will be once it is generated.
fn is_rsa(path: &Path) -> bool {
    match read_host_key(path) {
        Ok(key) => HostKeyType::of(&key) == Some(HostKeyType::Rsa),
        Err(_) => HostKeyType::to_make(path, Algorithms::Compatible) == HostKeyType::Rsa,
    }
}

fn warnings(config: &Config) -> Vec<String> {
    let own_keys = OwnKeys::of(&config.dir);
    let enabled = config.accounts.iter().filter(|account| account.enabled);
    let mut warnings: Vec<String> = enabled.flat_map(|account| user(account, &own_keys)).collect();
    warnings.extend(orphaned_keys(config, &own_keys));
    warnings.extend(config::modes::warnings(config));
    warnings.extend(expiry_warnings(&config.accounts, Timestamp::now()));
    if config.algorithms == Algorithms::Compatible && !config.host_keys.iter().any(|path| is_rsa(path)) {
        warnings.push(
            "algorithms = \"compatible\" offers no RSA host key, which many older clients need: add keys/host_rsa to host-keys."
                .to_owned(),
        );
    }
    warnings
}

/// Installed keys of users that do not exist: a new user with the name would inherit them.
fn orphaned_keys(config: &Config, own_keys: &OwnKeys) -> Vec<String> {
    let Ok(files) = fs::read_dir(own_keys.folder()) else { return Vec::new() };
    let names = files.flatten().map(|file| file.file_name());
    let is_user = |name: &OsStr| config.accounts.iter().any(|account| name == account.name.as_str());
    let is_left = |name: &OsString| !is_user(name) && !name.as_encoded_bytes().starts_with(b".");
    let warning = |name: OsString| {
        let file = own_keys.folder().join(name);
        format!("{} holds keys of a user that does not exist: remove it.", shown(&file))
    };
    names.filter(is_left).map(warning).collect()
}

fn user(account: &Account, own_keys: &OwnKeys) -> Vec<String> {
    let name = &account.name;
    let mut warnings = Vec::new();
    let installed = match account.own_keys {
        true => own_keys.read(name),
        false => Ok(Vec::new()),
    };
    if let Err(error) = &installed {
        let file = own_keys.folder().join(name);
        let why = match error {
            // The keys may be valid: this account cannot read them.
            OwnKeysError::Disk(error) if error.kind() == ErrorKind::PermissionDenied => {
                "cannot be read by this account".to_owned()
            }
            error => format!("are not accepted: {error}"),
        };
        warnings.push(format!("the keys in {} {why}.", shown(&file)));
    }
    if !account.has_credentials() && installed.map_or(true, |keys| keys.is_empty()) {
        warnings.push(format!("{name} cannot log in: no password and no key."));
    }
    if account.has_demo_password() {
        warnings.push(format!(
            "{name} has a demo password, so the server listens on this machine only: \
             `sshomed user passwd {name}` sets another."
        ));
    }
    if account.password.as_ref().is_some_and(|hash| !hash.has_usual_cost()) {
        warnings.push(format!(
            "{name}'s password takes longer to check than others', so the time of a refusal reveals that {name} exists: \
             `sshomed user passwd {name}` writes a hash of the usual cost."
        ));
    }
    warnings
}
