//! The command line.

use crate::ssh::AddressFamily;
use crate::transfer::{DEFAULT_RETRIES, Jobs};
use clap::Parser;
use sshome_ssh::CompressionMode;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

const DESTINATION_HELP: &str = "The server: [USER@]NAME (a host name or an entry of ~/.ssh/config), [USER@][ADDRESS]:PORT, or ssh://[USER@]HOST[:PORT]";

/// File transfer client for sshomed: an interactive prompt, or one command per run.
///
/// Without COMMAND it shows a prompt; type "help" there to list the commands. If standard input is not a
/// terminal, it reads commands from it, one per line, and stops at the first that fails. A line that begins
/// with "-" may fail; one that begins with "#" is a comment.
#[derive(Debug, Parser)]
#[command(name = "sshome", version, after_help = crate::exit::EXIT_CODES_HELP)]
#[command(override_usage = "sshome [OPTIONS] [USER@]HOST [COMMAND [ARGS…]]")]
pub struct ClientCli {
    /// Private key file for the login; may be repeated
    #[arg(short = 'i', value_name = "KEY")]
    pub identities: Vec<PathBuf>,
    /// Port of the server (default 2222)
    #[arg(short = 'P', value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Run the commands of a file ("-" for standard input) as sftp does: print each before it runs,
    /// unless its line begins with "@"; get replaces existing files; never ask
    #[arg(short = 'b', value_name = "FILE", conflicts_with = "command")]
    pub batch: Option<PathBuf>,
    /// Use this file instead of ~/.ssh/config and the system's; "none" for no file
    #[arg(short = 'F', value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// Option of ssh_config, as KEYWORD=VALUE; may be repeated
    #[arg(short = 'o', value_name = "OPTION")]
    pub options: Vec<String>,
    /// Connect through these hosts, as USER@HOST:PORT, separated by commas; user and port may be missing; "none" for a direct connection
    #[arg(short = 'J', value_name = "HOSTS")]
    pub jump: Option<String>,
    /// Use IPv4 addresses only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 addresses only
    #[arg(short = '6')]
    pub ipv6: bool,
    /// Use this file instead of ~/.ssh/known_hosts
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// Accept and store the key of an unknown host; a changed key is still refused
    #[arg(long)]
    pub accept_new: bool,
    /// Give up after this many seconds without any traffic, while connecting or waiting for an answer; a
    /// running transfer is not affected
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Limit on consecutive reconnects after the connection is lost during a transfer; 0 = off. The delay
    /// grows from half a second to 15 s, so 24 retries take at least five minutes. Progress resets the counter
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RETRIES)]
    pub retries: u32,
    /// Number of parallel connections for a transfer of several files, or of a file of 128 MiB or more; auto decides by
    /// number and size
    #[arg(short, long, value_name = "N|auto", default_value_t = Jobs::Auto)]
    pub jobs: Jobs,
    /// Limit the rate in each direction to this many Kbit/s (minimum 64)
    #[arg(short = 'l', value_name = "KBITS", value_parser = clap::value_parser!(u64).range(64..))]
    pub limit: Option<u64>,
    /// Compress file data in both directions: auto does so while the link is slower than compressing and the data
    /// shrinks; zstd always tries
    #[arg(long, value_name = "auto|never|zstd", default_value_t = CompressionMode::Auto)]
    pub compress: CompressionMode,
    /// Print results and errors only: no progress, no greeting, no summary
    #[arg(short, long)]
    pub quiet: bool,
    /// Write results to standard output as events, one line of JSON each; see docs/automation.md
    #[arg(long)]
    pub json: bool,
    /// Log each step of connecting and logging in
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// The destination. The help has brackets, which would be links in a comment
    #[arg(value_name = "HOST", help = DESTINATION_HELP, value_parser = DestinationParser)]
    pub destination: Destination,
    /// A command as at the prompt, with its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

impl ClientCli {
    /// The address family that was given.
    #[must_use]
    pub fn address_family(&self) -> Option<AddressFamily> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(AddressFamily::V4),
            (_, true) => Some(AddressFamily::V6),
            _ => None,
        }
    }
}

/// A destination as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The user name.
    pub user: Option<String>,
    /// A name, perhaps one that only ~/.ssh/config knows, or an address.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
}

/// The schemes of a URL. Case does not matter.
const URL_SCHEMES: [&str; 3] = ["ssh", "sftp", "scp"];

/// Without the text, which would stay on the screen and in logs.
const PASSWORD_IN_ADDRESS: &str =
    "the address must not contain a password: omit it and its colon, and sshome asks for it";

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Destination, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let is_known = |scheme: &str| URL_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
        if scheme.is_some_and(|scheme| !is_known(scheme)) {
            return Err("unsupported URL: use ssh://[USER@]HOST[:PORT], sftp://… or scp://…".to_owned());
        }
        let is_url = scheme.is_some();
        // In a URL a path follows. Otherwise a user's name may contain an @, a host's may not.
        let (authority, path) = if is_url { rest.split_once('/').unwrap_or((rest, "")) } else { (rest, "") };
        let (user, place) = match authority.rsplit_once('@') {
            Some(("", _)) => return Err("the user's name is missing before the @".to_owned()),
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(PASSWORD_IN_ADDRESS.to_owned());
        }
        let user = match user {
            Some(user) if is_url => Some(user_of_url(user)?),
            user => user.map(str::to_owned),
        };
        let (host, port) = host_and_port(place)?;
        let host = if is_url { decoded(host)? } else { host.to_owned() };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if path.contains('@') && user.is_none() && port.is_some_and(|port| !is_port(port)) {
            return Err(PASSWORD_IN_ADDRESS.to_owned());
        }
        if let Some(path) = Some(path).filter(|path| !path.is_empty()).or(path_after_colon(place)) {
            // An @ after the / may be the end of a password that contains a /.
            let path = if path.contains('@') { "FOLDER" } else { path };
            return Err(format!(
                "the address must not contain a folder: omit it, and name it in the command, as in ls {path}"
            ));
        }
        // Without the text: if @HOST was forgotten, a password follows the colon.
        let wrong_port = "the port after the : is not a number from 1 to 65535";
        let port =
            port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or(wrong_port)).transpose()?;
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '/';
        if host.is_empty() || host.starts_with('-') || host.contains(strange) {
            return Err(
                "invalid host: use [USER@]HOST, [ADDRESS]:PORT or ssh://[USER@]HOST[:PORT]".to_owned()
            );
        }
        Ok(Destination { user, host, port })
    }
}

/// Reads a destination for clap, whose own errors show the text: it may hold a password.
#[derive(Clone)]
struct DestinationParser;

impl clap::builder::TypedValueParser for DestinationParser {
    type Value = Destination;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Destination, clap::Error> {
        let parsed = value.to_str().ok_or("it is not UTF-8".to_owned()).and_then(str::parse);
        parsed.map_err(|why| {
            let error = clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("HOST: {why}\n"));
            error.with_cmd(command)
        })
    }
}

/// The host and the port, if there is one.
fn host_and_port(place: &str) -> Result<(&str, Option<&str>), String> {
    match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or("the ] is missing")?;
            let port = after.strip_prefix(':');
            if port.is_none() && !after.is_empty() {
                return Err(format!("unexpected {after}: use [ADDRESS]:PORT"));
            }
            Ok((host, port))
        }
        // An address of IPv6 has several colons and no port.
        None => match place.split_once(':') {
            Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
            _ => Ok((place, None)),
        },
    }
}

/// A path in scp's syntax: `HOST:/DIR`.
fn path_after_colon(place: &str) -> Option<&str> {
    let after = place.rsplit_once(']').map_or(place, |(_, after)| after);
    let (_, path) = after.split_once(':')?;
    path.starts_with(['/', '~', '.']).then_some(path)
}

/// The user's name in a URL. Parameters after a semicolon (draft-ietf-secsh-scp-sftp-ssh-uri) are not supported.
fn user_of_url(user: &str) -> Result<String, String> {
    match user.split_once(';') {
        Some(_) => {
            Err("parameters after the user's name, such as ;fingerprint=…, are not supported".to_owned())
        }
        None => decoded(user),
    }
}

/// Replaces `%` and two hexadecimal digits by their byte (RFC 3986; for the zone of an address RFC 6874).
fn decoded(text: &str) -> Result<String, String> {
    let wrong =
        || "a % in a URL must be followed by two hexadecimal digits: write %25 for a % itself".to_owned();
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or_else(wrong)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        bytes.push(byte.ok_or_else(wrong)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| "the decoded URL is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_parsed() {
        for (text, user, host, port) in [
            ("host", None, "host", None),
            ("alex@host", Some("alex"), "host", None),
            ("a@b@host", Some("a@b"), "host", None),
            ("host:22", None, "host", Some(22)),
            ("::1", None, "::1", None),
            ("alex@[::1]:2222", Some("alex"), "::1", Some(2222)),
            ("[fe80::1%eth0]", None, "fe80::1%eth0", None),
            ("ssh://alex@host:2200/", Some("alex"), "host", Some(2200)),
            ("ssh://[::1]", None, "::1", None),
            ("SFTP://ann@host:2222/", Some("ann"), "host", Some(2222)),
            ("ssh://ann%40x@host", Some("ann@x"), "host", None),
            ("ann%40x@host", Some("ann%40x"), "host", None),
            ("ssh://[fe80::1%25eth0]:22", None, "fe80::1%eth0", Some(22)),
        ] {
            let want = Destination { user: user.map(str::to_owned), host: host.to_owned(), port };
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in
            ["", "@host", "alex@", "[::1", "[::1]x", "host:0", "host:port", "-oProxyCommand=x", "a b", "a/b"]
        {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
        for text in ["ssh://a%@h", "ssh://a%4@h", "ssh://a%+1@h", "ssh://a%FF@h", "ssh://a;fingerprint=x@h"] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_is_refused_and_named() {
        for (text, path) in [
            ("sftp://ann@host:2222/dir/sub", "dir/sub"),
            ("ann@host:/dir", "/dir"),
            ("host:~/x", "~/x"),
            ("[::1]:/dir", "/dir"),
        ] {
            let error = text.parse::<Destination>().unwrap_err();
            assert!(error.contains(&format!("as in ls {path}")), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["ssh://ann:hunter2@host", "sftp://ann:hunter2@host:22/x", "ann:hunter2@host"] {
            let error = ClientCli::try_parse_from(["sshome", text]).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("the address must not contain a password") && !text.contains("hunter2"),
                "{text}"
            );
        }
        for text in
            ["ssh://ann:hunter/2@host", "ssh://ann:12/hunter2@host", "ssh://ann@host/hunter@2", "ann:hunter2"]
        {
            let error = ClientCli::try_parse_from(["sshome", text]).unwrap_err().to_string();
            assert!(!error.contains("hunter") && !error.contains("2@"), "{text}: {error}");
        }
        let error = ClientCli::try_parse_from(["sshome", "ssh://ann:hunter/2@host"]).unwrap_err().to_string();
        assert!(error.contains("the address must not contain a password"), "{error}");
    }

    #[test]
    fn an_unknown_scheme_is_reported() {
        for text in ["http://ann@host", "https://ann:hunter2@host/x", "ftp://host"] {
            let error = text.parse::<Destination>().unwrap_err();
            assert!(error.contains("unsupported URL") && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn options_end_at_the_command() {
        let cli =
            ClientCli::try_parse_from(["sshome", "-i", "a", "host", "-P", "22", "-i", "b", "ls", "-q", "-l"])
                .unwrap();
        assert_eq!((cli.port, cli.identities.len(), cli.quiet), (Some(22), 2, false));
        assert_eq!(cli.command, ["ls", "-q", "-l"]);
        let cli = ClientCli::try_parse_from(["sshome", "host", "get", "--force", "-P", "--", "x"]).unwrap();
        assert_eq!(cli.command, ["get", "--force", "-P", "--", "x"]);
        let cli = ClientCli::try_parse_from(["sshome", "-q", "host"]).unwrap();
        assert!(cli.quiet && cli.command.is_empty());
    }

    #[test]
    fn invalid_command_lines_are_refused() {
        for arguments in [
            &["sshome"][..],
            &["sshome", "-P", "0", "host"],
            &["sshome", "--what", "host"],
            &["sshome", "-b", "file", "host", "pwd"],
            &["sshome", "--timeout", "0", "host"],
            &["sshome", "-l", "8", "host"],
            &["sshome", "-j", "0", "host"],
            &["sshome", "--compress", "zlib", "host"],
        ] {
            assert!(ClientCli::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
