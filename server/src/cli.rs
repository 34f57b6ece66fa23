//! The command line of `sshomed`.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use sshomed::admin::UserSettings;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The sshome server: a home and a quota for every user, over SSH.
///
/// Works in one folder, which holds etc/users.toml, keys/ and home/.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The folder to work in
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// The configuration, if it is not DIR/etc/users.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) listen: Listen,
    #[command(subcommand)]
    pub(crate) command: Option<AdminCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Serve until Ctrl-C or SIGTERM; also what happens without a command
    Serve(Listen),
    /// Add, change and remove users
    #[command(subcommand)]
    User(UserCommand),
    /// Check the configuration, and tell what it says
    Check(Listen),
    /// Tell what the running server does: sessions, transfers, homes, penalties
    Status {
        /// Print it as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// End a session of the running server, or all of a user
    Kick {
        /// A number, as `sshomed status` shows it, or a name
        #[arg(value_name = "SESSION|USER")]
        who: String,
        /// Disable the user first, so that nobody logs in as them again
        #[arg(long)]
        lock: bool,
    },
    /// Look after the quotas of the running server
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Look after the homes of the running server
    #[command(subcommand)]
    Home(HomeCommand),
    /// List the addresses that failed to log in to the running server
    Penalties {
        /// Print it as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Lift the penalty of an address
    Forgive {
        /// An address or network, as `sshomed penalties` lists it, or "all"
        #[arg(value_parser = penalty_source)]
        address: String,
    },
    /// Have the running server take up the configuration now, and tell what came of it
    Reload,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Count what homes hold, compare it with what is booked, and correct that
    Scan {
        /// Whose home; all, where nobody is named
        user: Option<String>,
        /// Print it as JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum HomeCommand {
    /// Open a home anew that is unavailable, or was replaced while the server runs; ends its sessions
    Reopen {
        /// Whose
        user: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Listen here, not where the configuration says; may be given several times
    #[arg(id = "listen", long = "listen", value_name = "ADDR")]
    pub(crate) addresses: Vec<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user
    Add {
        /// 1 to 32 of a-z, 0-9, ".", "_" and "-"
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
    /// Remove a user; the home stays as it is
    Remove {
        /// Who
        name: String,
    },
    /// List all users
    List {
        /// Print it as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Set what a user may do; "default" as a value removes it, so that [defaults] applies
    Set {
        /// Whose
        name: String,
        #[command(flatten)]
        settings: Box<UserSettings>,
    },
    /// Let nobody log in as a user, and end the user's sessions; the home stays as it is
    Disable {
        /// Who
        name: String,
    },
    /// Let a user who was disabled log in again
    Enable {
        /// Who
        name: String,
    },
    /// Set a user's password
    Passwd {
        /// Whose
        name: String,
        /// Read the password from standard input, where there is no terminal to ask on
        #[arg(long)]
        password_stdin: bool,
    },
    /// Add, list and remove a user's keys
    Key {
        /// Whose
        name: String,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Set how much a user's home may hold
    Quota {
        /// Whose
        name: String,
        /// "100 MiB", "700 MB", a number of bytes, "unlimited"
        size: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Add the keys of a public key file
    Add {
        /// The file, which ends in .pub as a rule
        file: PathBuf,
    },
    /// List the keys
    List,
    /// Remove a key
    Remove {
        /// Its fingerprint ("SHA256:…") or its comment
        #[arg(value_name = "FINGERPRINT|COMMENT")]
        key: String,
    },
}

/// What can have a penalty: an address, an IPv6 network of 64 bits, or "all".
fn penalty_source(text: &str) -> Result<String, String> {
    let address = text.strip_suffix("/64").filter(|network| network.contains(':')).unwrap_or(text);
    match text == "all" || address.parse::<IpAddr>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("it is no address: `sshomed penalties` lists those that have a penalty".to_owned()),
    }
}

impl Cli {
    /// Ends the program where an option would be passed over in silence.
    pub(crate) fn checked(self) -> Cli {
        let serves = matches!(self.command, None | Some(AdminCommand::Serve(_) | AdminCommand::Check(_)));
        if !serves && !self.listen.addresses.is_empty() {
            let message = "--listen is for `serve` and `check`";
            Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_happens_without_a_command() {
        for args in
            [&["sshomed", "--listen", "127.0.0.1:0"][..], &["sshomed", "serve", "--listen", "127.0.0.1:0"]]
        {
            let cli = Cli::try_parse_from(args).unwrap();
            let given = match cli.command {
                None => cli.listen.addresses,
                Some(AdminCommand::Serve(listen)) => listen.addresses,
                _ => Vec::new(),
            };
            assert_eq!(given, ["127.0.0.1:0".parse().unwrap()], "{args:?}");
        }
    }

    #[test]
    fn folder_and_file_go_before_and_after_the_command() {
        for args in [
            &["sshomed", "--dir", "d", "--config", "f", "user", "list"][..],
            &["sshomed", "user", "list", "--config", "f", "--dir", "d"],
        ] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert_eq!((cli.dir, cli.config), ("d".into(), Some("f".into())), "{args:?}");
        }
    }

    #[test]
    fn what_is_no_address_cannot_be_forgiven() {
        let parse = |source: &str| Cli::try_parse_from(["sshomed", "forgive", source]);
        for source in ["all", "192.0.2.1", "2001:db8::1", "2001:db8::/64"] {
            assert!(parse(source).is_ok(), "{source}");
        }
        for source in ["bogus", "ALL", "192.0.2.1/64", "192.0.2.0/24", "2001:db8::/48", ""] {
            assert!(parse(source).is_err(), "{source}");
        }
    }

    #[test]
    fn a_password_is_no_argument() {
        for args in [
            &["sshomed", "user", "passwd", "alex", "secret"][..],
            &["sshomed", "user", "add", "alex", "secret"],
        ] {
            assert!(Cli::try_parse_from(args).is_err(), "{args:?}");
        }
    }
}
