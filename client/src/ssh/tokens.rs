//! Tokens in values of ssh_config: `%h`, `~` and `${NAME}`.

use super::settings::SettingsError;
use std::path::{Path, PathBuf};

/// The values of the tokens.
pub(super) struct Tokens<'a> {
    /// The home directory.
    pub home: Option<&'a Path>,
    /// The host, as it was given.
    pub name: &'a str,
    /// The real name of the host.
    pub host: String,
    /// The name under which its key is known, if that is set.
    pub alias: Option<String>,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The local user.
    pub local_user: &'a str,
}

/// Replaces each `%` and the letter after it by a value.
///
/// # Errors
/// The letter that has no value.
pub(super) fn replace(value: &str, token: impl Fn(char) -> Option<String>) -> Result<String, char> {
    let mut out = String::new();
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match if c == '%' { rest.next() } else { None } {
            None => out.push(c),
            Some('%') => out.push('%'),
            Some(letter) => out.push_str(&token(letter).ok_or(letter)?),
        }
    }
    Ok(out)
}

impl Tokens<'_> {
    /// Replaces the `%` tokens.
    ///
    /// # Errors
    /// If one is unknown, or there is no home directory to replace it by.
    pub(super) fn replace(&self, value: &str) -> Result<String, SettingsError> {
        if value.contains("%d") {
            self.home()?;
        }
        let token = |letter| {
            Some(match letter {
                'd' => self.home?.to_string_lossy().into_owned(),
                'h' => self.host.clone(),
                'i' => local_user_id()?,
                'k' => self.alias.clone().unwrap_or_else(|| self.name.to_owned()),
                'L' => local_host()?.split('.').next()?.to_owned(),
                'l' => local_host()?,
                'n' => self.name.to_owned(),
                'p' => self.port.to_string(),
                'r' => self.user.clone(),
                'u' => self.local_user.to_owned(),
                _ => return None,
            })
        };
        replace(value, token).map_err(|letter| SettingsError::Token(value.to_owned(), letter))
    }

    /// A command for a shell. Names must not have characters that are special to it: a link may have named the host.
    ///
    /// # Errors
    /// As [`replace`](Self::replace); if a name has such characters.
    pub(super) fn command(&self, value: &str) -> Result<String, SettingsError> {
        let is_special =
            |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}!*?[]#~".contains(c);
        for name in [self.name, &self.host, &self.user] {
            if name.starts_with('-') || name.contains(is_special) {
                return Err(SettingsError::Unsafe(name.to_owned()));
            }
        }
        self.replace(value)
    }

    /// The path that a value names.
    ///
    /// # Errors
    /// As [`replace`](Self::replace); if an environment variable is missing.
    pub(super) fn path(&self, value: &str) -> Result<PathBuf, SettingsError> {
        let replaced = variables(&self.replace(value)?)?;
        match replaced.strip_prefix("~/") {
            Some(rest) => Ok(self.home()?.join(rest)),
            None => Ok(PathBuf::from(replaced)),
        }
    }

    /// Files in ~/.ssh; empty without a home directory.
    pub(super) fn usual(&self, names: &[&str]) -> Vec<PathBuf> {
        self.home
            .map_or_else(Vec::new, |home| names.iter().map(|name| home.join(".ssh").join(name)).collect())
    }

    fn home(&self) -> Result<&Path, SettingsError> {
        self.home.ok_or(SettingsError::Missing("there is no home directory: set HOME"))
    }
}

/// Replaces `${NAME}` by the environment variable.
fn variables(value: &str) -> Result<String, SettingsError> {
    let mut pieces = value.split("${");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let missing = || SettingsError::Variable(value.to_owned());
        let (name, rest) = piece.split_once('}').ok_or_else(missing)?;
        out.push_str(&std::env::var(name).map_err(|_| missing())?);
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(unix)]
fn local_user_id() -> Option<String> {
    Some(rustix::process::getuid().as_raw().to_string())
}

#[cfg(unix)]
fn local_host() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn local_user_id() -> Option<String> {
    None
}

#[cfg(not(unix))]
fn local_host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens<'static> {
        Tokens {
            home: Some(Path::new("/home/me")),
            name: "nas",
            host: "nas.example.org".to_owned(),
            alias: None,
            port: 22,
            user: "alex".to_owned(),
            local_user: "me",
        }
    }

    #[test]
    fn tokens_are_replaced() {
        let tokens = tokens();
        let replaced = tokens.replace("%d %h %k %n %p %r %u %% 5%").unwrap();
        assert_eq!(replaced, "/home/me nas.example.org nas nas 22 alex me % 5%");
        let error = tokens.replace("~/%z").unwrap_err().to_string();
        assert!(error.starts_with("~/%z: unknown %z"), "{error}");
        assert!(Tokens { home: None, ..tokens }.replace("%d").is_err());
    }

    #[test]
    fn a_command_takes_no_name_that_is_special_to_a_shell() {
        let command = |host: &str| Tokens { host: host.to_owned(), ..tokens() }.command("nc %h %p");
        assert_eq!(command("nas.example.org").unwrap(), "nc nas.example.org 22");
        assert_eq!(command("fe80::1%eth0").unwrap(), "nc fe80::1%eth0 22");
        for host in ["$(id)", "a;b", "a b", "-oProxyCommand", "a`b`", "a\nb"] {
            assert!(matches!(command(host), Err(SettingsError::Unsafe(_))), "{host}");
        }
    }

    #[test]
    fn paths_may_begin_at_home_and_have_variables() {
        let tokens = tokens();
        assert_eq!(tokens.path("~/.ssh/%r").unwrap(), Path::new("/home/me/.ssh/alex"));
        assert_eq!(tokens.path("a/~/b").unwrap(), Path::new("a/~/b"));
        let path = std::env::var("PATH").unwrap();
        assert_eq!(tokens.path("${PATH}/x").unwrap(), Path::new(&format!("{path}/x")));
        for wrong in ["${SSHOME_NO_SUCH_VARIABLE}", "${open"] {
            assert!(tokens.path(wrong).unwrap_err().to_string().contains(wrong));
        }
    }
}
