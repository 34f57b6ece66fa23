//! The table `[server]`.

use super::location::resolve;
use super::section::{Located, Section, set};
use super::settings::{SERVER_SETTINGS, names};
use super::{
    Algorithms, ConfigLocation, Confine, Diagnostics, Kex, LogSettings, host_keys, limits, log, value,
};
use crate::limits::ConnectionLimits;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

/// The default path of the control socket.
pub(super) const CONTROL_SOCKET: &str = "run/control";

/// The default grace period.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// The default expiry of partial uploads.
const PART_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// The default expiry of interrupted streams.
const STREAM_EXPIRY: Duration = Duration::from_secs(15 * 60);

pub(super) struct ServerSection {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) host_keys: Vec<PathBuf>,
    pub(super) homes: PathBuf,
    pub(super) account: Option<String>,
    pub(super) confine: Confine,
    pub(super) kex: Kex,
    pub(super) algorithms: Algorithms,
    pub(super) shutdown_grace: Duration,
    pub(super) part_expiry: Duration,
    pub(super) stream_expiry: Duration,
    pub(super) control_socket: Option<PathBuf>,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) log: LogSettings,
    pub(super) limits: ConnectionLimits,
}

pub(super) fn read(
    top: &Section<'_>,
    location: &ConfigLocation,
    listen_override: &[SocketAddr],
    mistakes: &mut Diagnostics,
) -> ServerSection {
    let mut server = ServerSection {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 2222))],
        host_keys: Vec::new(),
        homes: resolve(&location.path("home")),
        account: None,
        confine: Confine::default(),
        kex: Kex::default(),
        algorithms: Algorithms::default(),
        shutdown_grace: SHUTDOWN_GRACE,
        part_expiry: PART_EXPIRY,
        stream_expiry: STREAM_EXPIRY,
        control_socket: Some(location.path(CONTROL_SOCKET)),
        metrics: None,
        log: LogSettings::default(),
        limits: ConnectionLimits::default(),
    };
    if let Some(section) = top.table("server", mistakes) {
        section.only(&names(&[SERVER_SETTINGS], &["log", "limits"]), mistakes);
        if let Some(listen) = section.each("listen", value::address, mistakes) {
            server.listen = distinct(&section, "listen", listen, mistakes);
        }
        let homes = |value| folder(&location.path(value::path(value)?));
        set(&mut server.homes, section.get("homes", homes, mistakes));
        set(&mut server.account, section.get("account", |value| account(value).map(Some), mistakes));
        set(&mut server.confine, section.get("confine", value::confine, mistakes));
        set(&mut server.kex, section.get("kex", value::kex, mistakes));
        set(&mut server.algorithms, section.get("algorithms", value::algorithms, mistakes));
        if (server.kex, server.algorithms) == (Kex::PostQuantum, Algorithms::Compatible) {
            let message = "\"post-quantum\" shuts out the clients that algorithms = \"compatible\" is for: remove one of them";
            mistakes.add(section.span_of("kex"), &section.key("kex"), message.to_owned());
        }
        let host_key = |value| host_keys::named(location, server.algorithms, value::path(value)?);
        if let Some(keys) = section.each("host-keys", host_key, mistakes) {
            server.host_keys = distinct(&section, "host-keys", keys, mistakes);
        }
        set(&mut server.shutdown_grace, section.get("shutdown-grace", value::seconds, mistakes));
        set(&mut server.part_expiry, section.get("part-expiry", value::days, mistakes));
        set(&mut server.stream_expiry, section.get("stream-expiry", value::seconds, mistakes));
        let socket = |value| control_socket(location, value::path(value)?);
        set(&mut server.control_socket, section.get("control-socket", socket, mistakes));
        set(&mut server.metrics, section.get("metrics", metrics, mistakes));
        server.log = log::read(&section, location, mistakes);
        server.limits = limits::read(&section, mistakes);
    }
    if server.host_keys.is_empty() {
        server.host_keys = host_keys::usual(location, server.algorithms, mistakes);
    }
    if !listen_override.is_empty() {
        server.listen = listen_override.to_vec();
    }
    server
}

/// A system account. The server checks at startup that it exists, because the file may be written on another machine.
fn account(value: &DeValue<'_>) -> Result<String, String> {
    match value::string(value)? {
        "" => Err("is empty: set the name of an account of this machine".into()),
        "root" => Err("root keeps all privileges: name an account for the server only".into()),
        name => Ok(name.to_owned()),
    }
}

/// The control socket. `None` if it is off.
fn control_socket(location: &ConfigLocation, path: &str) -> Result<Option<PathBuf>, String> {
    if path == "off" {
        return Ok(None);
    }
    let full = location.path(path);
    match (full.file_name(), full.parent()) {
        (Some(_), Some(folder)) if folder != location.dir => Ok(Some(full)),
        _ => Err(format!(
            "{path} must be in a folder of its own that only the server can enter, such as run/control"
        )),
    }
}

/// The address for Prometheus. It must be a loopback address: the metrics contain user names, and there is no
/// authentication.
fn metrics(value: &DeValue<'_>) -> Result<Option<SocketAddr>, String> {
    let address = value::address(value)?;
    match address.ip().to_canonical().is_loopback() {
        true => Ok(Some(address)),
        false => Err(format!(
            "{address} can be reached from other machines, and anybody could read the metrics: write \"127.0.0.1:{}\", and put a proxy with a password before it",
            address.port()
        )),
    }
}

/// The values of an array, which must be neither empty nor have duplicates.
fn distinct<T: PartialEq>(
    section: &Section<'_>,
    key: &str,
    values: Vec<Located<T>>,
    mistakes: &mut Diagnostics,
) -> Vec<T> {
    if section.is_empty_array(key) {
        let message = "is empty: set at least one, or remove the key".to_owned();
        mistakes.add(section.span_of(key), &section.key(key), message);
    }
    let mut seen = Vec::new();
    for Located { value, span } in values {
        if seen.contains(&value) {
            mistakes.add(Some(span), &section.key(key), "is in the list twice: remove one".into());
        } else {
            seen.push(value);
        }
    }
    seen
}

/// A folder, which need not exist yet.
pub(super) fn folder(path: &Path) -> Result<PathBuf, String> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(format!("{} is not a folder", path.display())),
        // Permission problems are reported at startup, with the remedy.
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            Err(format!("{} cannot be opened: {error}", path.display()))
        }
        _ => Ok(resolve(path)),
    }
}
