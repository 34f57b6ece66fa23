//! The configuration of a host as OpenSSH resolves it: `ssh -G -F FILE HOST`.
//!
//! FILE includes the user's and the system's configuration, and ends with our own defaults: otherwise `ssh -G` would
//! report its own, and `port 22` looks the same whether somebody chose it or not. Like every use of ssh, this may run
//! the commands of `Match exec`.

use super::{ConfigFile, HostConfig, HostQuery, SshConfigError};
use crate::names::{bytes, shown};
use sshome_wire::display::Escaped;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The time limit for ssh, which may run commands of `Match exec` and look up names.
const OPENSSH_LIMIT: Duration = Duration::from_secs(20);

/// The longest output that is read, in bytes.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;

/// The interval at which the end of ssh is awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The largest number of its messages that are shown.
const MAX_MESSAGES: usize = 5;

/// A value that means that nothing was configured.
const UNSET: &str = "sshome-default";

/// A question to ssh.
pub(in crate::ssh) struct OpensshQuery<'a> {
    /// The program.
    pub program: &'a Path,
    /// The files, in order.
    pub files: &'a [ConfigFile],
    /// The host, the user and the options.
    pub query: HostQuery<'a>,
    /// The port that was given.
    pub port: Option<u16>,
    /// Whether the jump hosts are given, so that the configuration's do not matter.
    pub has_jumps: bool,
    /// What applies where nothing is configured.
    pub defaults: OpensshDefaults<'a>,
}

/// Our own defaults.
pub(in crate::ssh) struct OpensshDefaults<'a> {
    /// The port.
    pub port: u16,
    /// The user; `None` for that of the account.
    pub user: Option<&'a str>,
    /// The seconds between keepalives.
    pub keepalive_interval: u64,
    /// Whether questions are forbidden.
    pub batch: bool,
}

/// Why ssh did not resolve the configuration.
#[derive(Debug)]
pub(in crate::ssh) enum OpensshFailure {
    /// It is not installed.
    Missing,
    /// It failed.
    Failed(String),
    /// What it resolved is not supported.
    Unsupported(SshConfigError),
}

impl From<io::Error> for OpensshFailure {
    fn from(error: io::Error) -> OpensshFailure {
        OpensshFailure::Failed(error.to_string())
    }
}

impl OpensshQuery<'_> {
    /// Asks ssh. Returns notes about unknown keywords, too.
    ///
    /// # Errors
    /// If it is missing, fails or takes too long, or if the configuration needs something that is not supported.
    pub(in crate::ssh) fn resolve(&self) -> Result<(HostConfig, Vec<String>), OpensshFailure> {
        let mut file = tempfile::Builder::new().prefix("sshome-config-").tempfile()?;
        file.write_all(&self.text()?)?;
        file.flush()?;
        let first = self.run(file.path(), false)?;
        let messages = |output: &OpensshOutput| output.messages(file.path(), self.files);
        let (output, notes) = match first.status.success() {
            true => (first, Vec::new()),
            // An unknown keyword ends ssh. It does not end this client.
            false => (self.run(file.path(), true)?, messages(&first)),
        };
        if !output.status.success() {
            return Err(OpensshFailure::Failed(messages(&output).join("; ")));
        }
        let config = parse(&String::from_utf8_lossy(&output.stdout));
        config.map(|config| (config, notes)).map_err(OpensshFailure::Unsupported)
    }

    /// The content of FILE.
    fn text(&self) -> Result<Vec<u8>, OpensshFailure> {
        let mut text = Vec::new();
        for file in self.files {
            if file.is_named {
                // Not an Include: ssh reads a file that is named whoever may change it.
                let read = std::fs::read(&file.path);
                text.extend(read.map_err(|error| {
                    OpensshFailure::Unsupported(SshConfigError::Read { file: file.path.clone(), error })
                })?);
                text.push(b'\n');
            } else if file.path.exists() {
                text.extend(include(&file.path)?);
            }
        }
        let OpensshDefaults { port, user, keepalive_interval, batch } = self.defaults;
        let batch = if batch { "yes" } else { "no" };
        write!(
            text,
            "Host *\nPort {port}\nServerAliveInterval {keepalive_interval}\nBatchMode {batch}\n\
             UserKnownHostsFile {UNSET}\nIdentityFile {UNSET}\n"
        )?;
        let is_plain = |user: &&str| user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if let Some(user) = user.filter(is_plain) {
            writeln!(text, "User {user}")?;
        }
        Ok(text)
    }

    fn run(&self, file: &Path, ignores_unknown: bool) -> Result<OpensshOutput, OpensshFailure> {
        let mut command = Command::new(self.program);
        command.arg("-G").arg("-F").arg(file);
        if ignores_unknown {
            command.args(["-o", "IgnoreUnknown=*"]);
        }
        if self.has_jumps {
            command.args(["-o", "ProxyJump=none"]);
        }
        for option in self.query.options {
            command.arg("-o").arg(option);
        }
        if let Some(user) = self.query.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.arg("--").arg(self.query.host);
        output(command)
    }
}

/// A line that includes a file. Its name must have no characters that are special in an Include.
fn include(path: &Path) -> Result<Vec<u8>, OpensshFailure> {
    let name = bytes(path.as_os_str());
    if name.iter().any(|byte| b"\"'\\*?[$%\n".contains(byte)) {
        return Err(OpensshFailure::Failed("its path has special characters".to_owned()));
    }
    Ok([b"Include \"", name.as_slice(), b"\"\n"].concat())
}

/// What ssh printed.
struct OpensshOutput {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl OpensshOutput {
    /// Its messages, safe to show. A named file is the beginning of FILE, so its lines have the same numbers there.
    fn messages(&self, file: &Path, files: &[ConfigFile]) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines = text.lines().filter(|line| {
            !line.is_empty() && !line.contains("terminating, ") && !line.starts_with("Pseudo-terminal")
        });
        let named = files.iter().find(|file| file.is_named).map_or(file, |file| &file.path);
        let messages =
            lines.map(|line| Escaped(line.as_bytes()).to_string().replace(&shown(file), &shown(named)));
        let messages: Vec<_> = messages.take(MAX_MESSAGES).collect();
        match messages.is_empty() {
            true => vec![format!("it ended with {}", self.status)],
            false => messages,
        }
    }
}

/// Runs a command with limits on its time and its output.
fn output(mut command: Command) -> Result<OpensshOutput, OpensshFailure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OpensshFailure::Missing,
        _ => error.into(),
    })?;
    // A command of `Match exec` may keep the pipe open after ssh has ended, so nobody waits for these threads.
    let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let late = || OpensshFailure::Failed(format!("it did not end within {} s", OPENSSH_LIMIT.as_secs()));
    let result = stdout.recv_timeout(OPENSSH_LIMIT).map_err(|error| match error {
        RecvTimeoutError::Timeout => late(),
        RecvTimeoutError::Disconnected => OpensshFailure::Failed("its output could not be read".to_owned()),
    });
    let result = result.and_then(|stdout| {
        // It has closed its output, so it is about to end.
        let polls = OPENSSH_LIMIT.as_millis() / POLL_INTERVAL.as_millis();
        for _ in 0..polls {
            if let Some(status) = child.try_wait()? {
                let stderr = stderr.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
                return Ok(OpensshOutput { status, stdout, stderr });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(late())
    });
    if result.is_err() {
        // If it cannot be ended, it has ended.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

fn read_all(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What was read before an error is enough for a message.
            let _ = stream.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
        }
        // Nobody waits any more after the time limit.
        let _ = sender.send(bytes);
    });
    receiver
}

/// Parses the output of `ssh -G`: a keyword and its value on each line, without quotes.
fn parse(text: &str) -> Result<HostConfig, SshConfigError> {
    let mut config = HostConfig { is_expanded: true, ..HostConfig::default() };
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let values = match keyword {
            "userknownhostsfile" | "globalknownhostsfile" => files(value),
            // Nothing was configured.
            "connecttimeout" if value == "none" => continue,
            _ => vec![value.to_owned()],
        };
        let problem = |problem| SshConfigError::Option(format!("{keyword} {value}: {problem}"));
        config.set(keyword, &values).map_err(problem)?;
    }
    config.identity_files.retain(|file| file != UNSET);
    config.known_hosts = config.known_hosts.filter(|files| !files.iter().any(|file| file == UNSET));
    Ok(config)
}

/// The files of a list. Their names may have spaces, and begin at a root or at home.
fn files(list: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for word in list.split(' ') {
        match files.last_mut() {
            Some(last) if !word.starts_with(['/', '~', '%']) => *last = format!("{last} {word}"),
            _ => files.push(word.to_owned()),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_ssh_is_parsed() {
        let config = parse(
            "host nas\nuser alex b\nhostname fe80::1%eth0\nport 2200\nconnecttimeout none\n\
             identityfile ~/.ssh/work key\nidentityfile sshome-default\nstricthostkeychecking false\n\
             userknownhostsfile /home/me/a /home/me/b c\nproxycommand nc -x \"a b\" %h %p\nstrange\n",
        )
        .unwrap();
        assert_eq!(config.host_name.as_deref(), Some("fe80::1%eth0"));
        assert_eq!((config.port, config.user.as_deref()), (Some(2200), Some("alex b")));
        assert_eq!(
            (config.identity_files.as_slice(), config.connect_timeout),
            (&["~/.ssh/work key".to_owned()][..], None)
        );
        assert_eq!(config.known_hosts.unwrap(), ["/home/me/a", "/home/me/b c"]);
        assert_eq!(config.proxy, Some(super::super::ProxyConfig::Command("nc -x \"a b\" %h %p".to_owned())));
        let unset = parse("userknownhostsfile sshome-default\nidentityfile sshome-default\n").unwrap();
        assert_eq!((unset.known_hosts, unset.identity_files.len()), (None, 0));
    }

    #[test]
    fn a_command_is_bounded() {
        assert!(matches!(output(Command::new("/nonexistent/ssh")), Err(OpensshFailure::Missing)));
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo wrong >&2; exit 255"]);
        let ended = output(failing).unwrap();
        assert_eq!(
            (ended.status.success(), ended.messages(Path::new("x"), &[])),
            (false, vec!["wrong".to_owned()])
        );
        let mut endless = Command::new("sh");
        endless.args(["-c", "exec yes"]);
        let ended = output(endless).unwrap();
        assert!(!ended.status.success() && ended.stdout.len() as u64 == MAX_OUTPUT_BYTES);
    }
}
