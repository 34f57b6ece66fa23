//! The table `[server.limits]`.

use super::Diagnostics;
use super::section::{Section, is_not, set};
use super::settings::{LIMIT_SETTINGS, names};
use super::value::{integer, seconds, string};
use crate::limits::{ConnectionLimits, MaxStartups};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use toml::de::DeValue;

/// The largest count of a setting.
pub(super) const MAX_COUNT: u64 = 1_000_000;

pub(super) fn read(server: &Section<'_>, mistakes: &mut Diagnostics) -> ConnectionLimits {
    let mut limits = ConnectionLimits::default();
    let Some(section) = server.table("limits", mistakes) else { return limits };
    section.only(&names(&[LIMIT_SETTINGS], &[]), mistakes);
    let penalties = &mut limits.penalties;
    for (key, value) in [
        ("penalty-failed-login", &mut penalties.failed_login),
        ("penalty-no-login", &mut penalties.no_login),
        ("penalty-too-long", &mut penalties.too_long),
        ("penalty-threshold", &mut penalties.threshold),
        ("penalty-max", &mut penalties.most),
    ] {
        set(value, section.get(key, seconds, mistakes));
    }
    set(&mut limits.login_grace, section.get("login-grace", some_time, mistakes));
    set(&mut limits.keepalive_interval, section.get("keepalive-interval", some_time, mistakes));
    for (key, value) in [
        ("connections-per-address", &mut limits.connections_per_address),
        ("login-attempts", &mut limits.login_attempts),
        ("sessions-per-user", &mut limits.sessions_per_user),
        ("keepalive-count", &mut limits.keepalive_count),
    ] {
        set(value, section.get(key, count, mistakes));
    }
    set(&mut limits.max_startups, section.get("max-startups", startups, mistakes));
    set(&mut limits.idle_timeout, section.get("idle-timeout", time_or_none, mistakes));
    if let Some(exempt) = section.each("exempt", network, mistakes) {
        limits.exempt = exempt.into_iter().map(|found| found.value).collect();
    }
    limits
}

/// A number of seconds, at least one.
fn some_time(value: &DeValue<'_>) -> Result<Duration, String> {
    match seconds(value)? {
        Duration::ZERO => Err("is 0, which would allow no login: the minimum is one second".into()),
        time => Ok(time),
    }
}

/// A number of seconds, or `unlimited`.
fn time_or_none(value: &DeValue<'_>) -> Result<Option<Duration>, String> {
    if value.as_str() == Some("unlimited") {
        return Ok(None);
    }
    some_time(value).map(Some).map_err(|error| format!("{error}; or \"unlimited\""))
}

fn count(value: &DeValue<'_>) -> Result<usize, String> {
    let want = format!("a number from 1 to {MAX_COUNT}");
    let number = integer(value).ok_or_else(|| is_not(value, &want))?;
    let fitting = u64::try_from(number).ok().filter(|number| (1..=MAX_COUNT).contains(number));
    let fitting = fitting.and_then(|number| usize::try_from(number).ok());
    fitting.ok_or_else(|| format!("{number} is not {want}"))
}

fn startups(value: &DeValue<'_>) -> Result<MaxStartups, String> {
    let text = string(value)?;
    text.parse().map_err(|want| format!("\"{text}\" is not {want}"))
}

/// A network, or an address, which is a network of one.
fn network(value: &DeValue<'_>) -> Result<IpNet, String> {
    let text = string(value)?;
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let network = address.or_else(|_| text.parse::<IpNet>());
    network.map_err(|_| format!("\"{text}\" is not an address (192.0.2.1) or network (192.0.2.0/24)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigLocation, parse};
    use crate::limits::PenaltySettings;

    fn limits(text: &str) -> (ConnectionLimits, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.toml");
        let text = format!("[server.limits]\n{text}");
        std::fs::write(&file, &text).unwrap();
        let location = ConfigLocation::new(dir.path(), Some(&file)).unwrap();
        let (config, mistakes) = parse(&location, &text, &[]);
        let told = mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.key, mistake.message));
        (config.limits, told.collect())
    }

    #[test]
    fn every_limit_is_parsed() {
        let second = Duration::from_secs(1);
        let (found, mistakes) = limits(
            "login-grace = 1\nmax-startups = \"2:40:5\"\nconnections-per-address = 3\nlogin-attempts = 4\n\
             sessions-per-user = 5\nidle-timeout = \"6 s\"\nkeepalive-interval = 7\nkeepalive-count = 8\n\
             penalty-failed-login = 9\npenalty-no-login = 0\npenalty-too-long = 11\npenalty-threshold = 12\n\
             penalty-max = 13\nexempt = [\"192.0.2.0/24\", \"2001:db8::1\"]\n",
        );
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let want = ConnectionLimits {
            login_grace: second,
            max_startups: MaxStartups { start: 2, rate: 40, full: 5 },
            connections_per_address: 3,
            login_attempts: 4,
            sessions_per_user: 5,
            idle_timeout: Some(6 * second),
            keepalive_interval: 7 * second,
            keepalive_count: 8,
            penalties: PenaltySettings {
                failed_login: 9 * second,
                no_login: Duration::ZERO,
                too_long: 11 * second,
                threshold: 12 * second,
                most: 13 * second,
            },
            exempt: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()],
        };
        assert_eq!(found, want);
        assert_eq!(limits("").0, ConnectionLimits::default());
        assert_eq!(limits("exempt = []\nidle-timeout = \"unlimited\"\n").0.exempt, []);
    }

    #[test]
    fn errors_name_the_valid_values() {
        for (text, want) in [
            (
                "login-grace = 0",
                "server.limits.login-grace: is 0, which would allow no login: the minimum is one second",
            ),
            ("login-attempts = 0", "server.limits.login-attempts: 0 is not a number from 1 to 1000000"),
            (
                "max-startups = \"9\"",
                "server.limits.max-startups: \"9\" is not start:rate:full, as \"50:30:150\": from 50 on 30 % are dropped, from 150 on all",
            ),
            (
                "exempt = [\"here\"]",
                "server.limits.exempt: \"here\" is not an address (192.0.2.1) or network (192.0.2.0/24)",
            ),
            ("login-grase = 5", "server.limits.login-grase: unknown key: did you mean login-grace?"),
        ] {
            assert_eq!(limits(text).1, [want], "{text}");
        }
    }
}
