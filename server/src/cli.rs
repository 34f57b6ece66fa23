//! The command line of `sshomed`.

use crate::admin::{KeySettings, UserSettings};
use crate::setup::SetupOptions;
use crate::share::parse_duration;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The sshome server: a home and a quota for every user, over SSH.
///
/// Works in one folder, which holds etc/users.toml, keys/ and home/.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct ServerCli {
    /// The folder to work in [default: the current one]
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The configuration, if it is not DIR/etc/users.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The addresses for the default command
    #[command(flatten)]
    pub listen: Listen,
    /// The command
    #[command(subcommand)]
    pub command: Option<AdminCommand>,
}

/// A command; without one, the server serves.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Serve until Ctrl-C or SIGTERM; the default command
    Serve(Listen),
    /// Add, change and remove users
    #[command(subcommand)]
    User(UserCommand),
    /// Check the configuration and show the effective settings
    Check(Listen),
    /// Show the running server's sessions, transfers, homes and penalties
    Status {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// End a session of the running server, or all sessions of a user
    Kick {
        /// A session number, as `sshomed status` shows it, or a user name
        #[arg(value_name = "SESSION|USER")]
        who: String,
        /// Disable the user first, so that they cannot log in again
        #[arg(long)]
        lock: bool,
    },
    /// Manage the quotas of the running server
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Manage the homes of the running server
    #[command(subcommand)]
    Home(HomeCommand),
    /// List addresses with failed logins to the running server
    Penalties {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Lift the penalty of an address
    Forgive {
        /// An address or network, as `sshomed penalties` lists it, or "all"
        #[arg(value_parser = penalty_source)]
        address: String,
    },
    /// Make the running server reload the configuration now, and show the result
    Reload,
    /// Set up a server on a new host: asks what the options do not answer
    Setup {
        /// The answers.
        #[command(flatten)]
        options: Box<SetupOptions>,
        /// The addresses.
        #[command(flatten)]
        listen: Listen,
    },
    /// Share one folder, read-only, until Ctrl-C: with a user and a password for this run only
    Share(ShareArgs),
}

/// The options of `share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The folder. Nothing in it is changed, unless --write is given
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Let the user change the folder
    #[arg(long)]
    pub write: bool,
    /// End after this time: 30m, 2h, 1d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub time_limit: Option<Duration>,
    /// The addresses.
    #[command(flatten)]
    pub listen: Listen,
}

/// A command of `quota`.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Scan homes, compare the usage with the accounting, and correct the accounting
    Scan {
        /// The user; all users by default
        user: Option<String>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// A command of `home`.
#[derive(Debug, Subcommand)]
pub enum HomeCommand {
    /// Reopen a home that is unavailable or was replaced while the server runs; ends its sessions
    Reopen {
        /// The user
        user: String,
    },
}

/// The addresses to listen on.
#[derive(Debug, Args)]
pub struct Listen {
    /// Listen on this address instead of the configured ones; may be given several times
    #[arg(id = "listen", long = "listen", value_name = "ADDR", value_parser = crate::config::parse_address)]
    pub addresses: Vec<SocketAddr>,
}

/// A command of `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user
    Add {
        /// The user's name: 1 to 32 of a-z, 0-9, ".", "_" and "-"
        name: String,
        /// Read a password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// A public key that may log in; may be given several times
        #[arg(long = "key", value_name = "FILE")]
        keys: Vec<PathBuf>,
        /// How much the home may hold: "100 MiB", "700 MB", "unlimited"
        #[arg(long, value_name = "SIZE")]
        quota: Option<String>,
    },
    /// Remove a user; the home is kept
    Remove {
        /// The user
        name: String,
    },
    /// List all users
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Change a user's settings; the value "default" removes a setting, so that the general defaults apply
    Set {
        /// The user
        name: String,
        /// The settings
        #[command(flatten)]
        settings: Box<UserSettings>,
    },
    /// Disable a user and end their sessions; the home is not changed
    Disable {
        /// The user
        name: String,
    },
    /// Enable a disabled user
    Enable {
        /// The user
        name: String,
    },
    /// Set a user's password
    Passwd {
        /// The user
        name: String,
        /// Read the password from standard input instead of prompting
        #[arg(long)]
        password_stdin: bool,
    },
    /// Add, list and remove a user's keys
    Key {
        /// The user
        name: String,
        /// What to do
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Set a user's quota
    Quota {
        /// The user
        name: String,
        /// How much the home may hold: "100 MiB", "700 MB", a number of bytes, "unlimited"
        size: String,
    },
}

/// A command of `user key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Add the keys of a public key file
    Add {
        /// The file, usually ending in .pub
        file: PathBuf,
        /// The permissions of the keys
        #[command(flatten)]
        settings: KeySettings,
    },
    /// List the keys
    List,
    /// Remove a key
    Remove {
        /// The key's fingerprint ("SHA256:…") or its comment, or its public key file
        #[arg(value_name = "FINGERPRINT|COMMENT|FILE")]
        key: String,
    },
}

/// Parses the source of a penalty: an address, an IPv6 network of 64 bits, or "all".
fn penalty_source(text: &str) -> Result<String, String> {
    let address = text.strip_suffix("/64").filter(|network| network.contains(':')).unwrap_or(text);
    match text == "all" || address.parse::<IpAddr>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("not an address: `sshomed penalties` lists addresses with a penalty".to_owned()),
    }
}

impl ServerCli {
    /// The folder that was given.
    pub fn given_dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The folder to work in.
    pub fn dir(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new("."))
    }

    /// Exits with a usage error if an option would be ignored silently.
    pub fn checked(self) -> ServerCli {
        let command = self.command.as_ref();
        let shares = matches!(command, Some(AdminCommand::Share(_)));
        let sets_up = matches!(command, Some(AdminCommand::Setup { .. }));
        let serves = matches!(command, None | Some(AdminCommand::Serve(_) | AdminCommand::Check(_)));
        let conflict = if shares && (self.dir.is_some() || self.config.is_some()) {
            Some("`share` has no settings: it uses neither --dir nor --config")
        } else if sets_up && self.config.is_some() {
            Some("`setup` writes etc/users.toml in the folder: it does not use --config")
        } else if !serves && !self.listen.addresses.is_empty() {
            Some(match shares || sets_up {
                true => "give --listen after the command",
                false => "--listen is for `serve`, `check`, `share` and `setup`",
            })
        } else {
            None
        };
        if let Some(message) = conflict {
            ServerCli::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_defined_consistently() {
        ServerCli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        for args in
            [&["sshomed", "--listen", "127.0.0.1:0"][..], &["sshomed", "serve", "--listen", "127.0.0.1:0"]]
        {
            let cli = ServerCli::try_parse_from(args).unwrap();
            let given = match cli.command {
                None => cli.listen.addresses,
                Some(AdminCommand::Serve(listen)) => listen.addresses,
                _ => Vec::new(),
            };
            assert_eq!(given, ["127.0.0.1:0".parse().unwrap()], "{args:?}");
        }
    }

    #[test]
    fn folder_and_file_may_precede_or_follow_the_command() {
        for args in [
            &["sshomed", "--dir", "d", "--config", "f", "user", "list"][..],
            &["sshomed", "user", "list", "--config", "f", "--dir", "d"],
        ] {
            let cli = ServerCli::try_parse_from(args).unwrap();
            assert_eq!(
                (cli.dir(), cli.config.as_deref()),
                (Path::new("d"), Some(Path::new("f"))),
                "{args:?}"
            );
        }
    }

    #[test]
    fn forgive_requires_an_address() {
        let parse = |source: &str| ServerCli::try_parse_from(["sshomed", "forgive", source]);
        for source in ["all", "192.0.2.1", "2001:db8::1", "2001:db8::/64"] {
            assert!(parse(source).is_ok(), "{source}");
        }
        for source in ["bogus", "ALL", "192.0.2.1/64", "192.0.2.0/24", "2001:db8::/48", ""] {
            assert!(parse(source).is_err(), "{source}");
        }
    }

    #[test]
    fn a_password_is_not_an_argument() {
        for args in [
            &["sshomed", "user", "passwd", "alex", "secret"][..],
            &["sshomed", "user", "add", "alex", "secret"],
        ] {
            assert!(ServerCli::try_parse_from(args).is_err(), "{args:?}");
        }
    }
}
