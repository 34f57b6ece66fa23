//! `sshomed setup` as a program: its questions in a terminal, its options, and the servers that it leaves.

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use rustix::process::{Pid, Signal, kill_process};
use sshome_e2e::foreign::program;
use sshome_e2e::tree::{mode, set_mode};
use sshome_e2e::{Outcome, Terminal, binary, copy_program, has_root, until};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const PASSWORD: &str = "open sesame";

/// A service manager. It answers as its file `state` says, and starts the program of a unit in the unit's folder.
const SYSTEMCTL: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/calls"
case "$*" in
*is-system-running) cat "$here/state"; grep -q running "$here/state" ;;
*"enable --now sshomed.service")
    unit=$UNITS/sshomed.service
    cd "$(sed -n 's/^WorkingDirectory=//p' "$unit")" || exit 1
    $(sed -n 's/^ExecStart=//p' "$unit") >"$here/console" 2>&1 </dev/null &
    ;;
esac
"#;

/// A new machine: a home directory with a key, and a service manager in the path.
struct NewHost {
    top: TempDir,
    /// An address that no other test uses.
    address: String,
}

impl NewHost {
    /// A machine whose systemd is in this state.
    fn with_systemd(state: &str) -> NewHost {
        let top = tempfile::tempdir().unwrap();
        set_mode(top.path(), 0o755).unwrap();
        for folder in ["home/.ssh", "bin"] {
            fs::create_dir_all(top.path().join(folder)).unwrap();
        }
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let file = top.path().join("home/.ssh/id_ed25519");
        fs::write(&file, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        set_mode(&file, 0o600).unwrap();
        fs::write(file.with_extension("pub"), key.public_key().to_openssh().unwrap()).unwrap();
        fs::write(top.path().join("bin/state"), format!("{state}\n")).unwrap();
        fs::write(top.path().join("bin/systemctl"), SYSTEMCTL).unwrap();
        set_mode(top.path().join("bin/systemctl"), 0o755).unwrap();
        let [a, b, c] = rand::random::<[u8; 3]>();
        NewHost { top, address: format!("127.{a}.{b}.{}:2222", c.clamp(1, 254)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// The folder that is set up.
    fn folder(&self) -> PathBuf {
        self.path("home/sshome")
    }

    fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        let path = std::env::var("PATH").unwrap();
        command.env_clear().env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("HOME", self.path("home")).env("TERM", "xterm").current_dir(self.top.path());
        command.env("UNITS", self.path("home/.config/systemd/user"));
        command
    }

    fn setup(&self) -> Command {
        let mut command = self.command(binary("sshomed").unwrap());
        command.arg("setup").stdin(Stdio::null());
        command
    }

    /// The options that answer all questions but the last.
    fn options(&self) -> Vec<String> {
        let key = self.path("home/.ssh/id_ed25519.pub").display().to_string();
        let folder = self.folder().display().to_string();
        ["--dir", &folder, "--listen", &self.address, "--user", "sam", "--key", &key]
            .map(str::to_owned)
            .into()
    }

    /// The files in the server's folder, with what tells whether they were replaced.
    fn files(&self) -> Vec<(PathBuf, u64, u64)> {
        let mut found = Vec::new();
        let mut ahead = vec![self.folder()];
        while let Some(path) = ahead.pop() {
            let Ok(stat) = fs::symlink_metadata(&path) else { continue };
            found.push((path.clone(), stat.ino(), stat.size()));
            if stat.is_dir() {
                ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found.sort();
        found
    }

    /// Logs in with stock OpenSSH, with a key or else the password.
    fn log_in(&self, test: &str, with_key: bool) {
        let Some(ssh) = program("ssh", test) else { return };
        let askpass = self.path("bin/askpass");
        fs::write(&askpass, format!("#!/bin/sh\necho '{PASSWORD}'\n")).unwrap();
        set_mode(&askpass, 0o755).unwrap();
        let mut command = self.command(ssh);
        command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force");
        let (host, port) = self.address.split_once(':').unwrap();
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-p", port]);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.path("home/known").display()));
        command.arg("-o").arg(format!("PubkeyAuthentication={}", if with_key { "yes" } else { "no" }));
        command.arg("-i").arg(self.path("home/.ssh/id_ed25519")).args([&format!("sam@{host}"), "mkdir new"]);
        let done: Outcome = command.stdin(Stdio::null()).output().unwrap().into();
        assert_eq!(done.code, Some(0), "{done}");
        assert!(self.folder().join("home/sam/new").is_dir());
    }
}

/// A server that a setup has left. It is ended when it is dropped.
struct Left(Pid);

impl Left {
    /// The server that the output of a setup names.
    fn by(text: &str) -> Left {
        let (_, rest) = text.split_once("the server runs: process ").unwrap_or_else(|| panic!("{text}"));
        let number = rest.split(',').next().unwrap().trim().parse().unwrap();
        Left(Pid::from_raw(number).unwrap())
    }

    fn status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.0.as_raw_nonzero())).unwrap()
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

fn outcome(command: &mut Command) -> Outcome {
    command.output().unwrap().into()
}

#[test]
fn five_answers_in_a_terminal_leave_a_running_confined_server() {
    let test = "five_answers_in_a_terminal_leave_a_running_confined_server";
    let host = NewHost::with_systemd("offline");
    let mut terminal = Terminal::start(&host.setup()).unwrap();
    terminal.expect(&format!("homes [{}]: ", host.folder().display())).unwrap();
    terminal.send("\n").unwrap();
    terminal.expect("is this machine only [").unwrap();
    terminal.send("nowhere\n").unwrap();
    terminal.expect("is not an address with a port").unwrap();
    terminal.send(&format!("{}\n", host.address)).unwrap();
    terminal.expect("Name of the first user").unwrap();
    terminal.send("Sam!\n").unwrap();
    terminal.expect("is not a user name").unwrap();
    terminal.send("sam\n").unwrap();
    terminal.expect("Public key file of sam, or \"password\" [").unwrap();
    terminal.send("password\n").unwrap();
    terminal.expect("New password for sam: ").unwrap();
    until("what is typed is hidden", || !terminal.echoes().unwrap());
    terminal.send("short\n").unwrap();
    terminal.expect("too short").unwrap();
    terminal.expect("New password for sam: ").unwrap();
    until("what is typed is hidden", || !terminal.echoes().unwrap());
    terminal.send(&format!("{PASSWORD}\n")).unwrap();
    terminal.expect("Repeat the password: ").unwrap();
    until("what is typed is hidden", || !terminal.echoes().unwrap());
    terminal.send(&format!("{PASSWORD}\n")).unwrap();
    terminal.expect("systemd runs no").unwrap();
    terminal.expect("[no]: ").unwrap();
    terminal.send("yes\n").unwrap();
    let ended = terminal.ended().unwrap();
    assert!(ended.status.success(), "{}", ended.said);
    let left = Left::by(&ended.said);
    assert!(!String::from_utf8_lossy(&ended.shown).contains(PASSWORD));
    assert!(left.status().contains("NoNewPrivs:\t1"), "{}", left.status());
    let log = host.folder().join("log/console");
    until("it is confined", || fs::read_to_string(&log).unwrap().contains("confined: "));
    assert!(ended.said.contains("host key  SHA256:"), "{}", ended.said);
    assert_eq!(mode(host.folder().join("etc/users.toml")).unwrap(), 0o600);
    host.log_in(test, false);
}

#[test]
fn each_answer_is_an_option() {
    let host = NewHost::with_systemd("offline");
    let done =
        outcome(host.setup().args(host.options()).args(["--service", "background", "--quota", "5 GiB"]));
    assert_eq!(done.code, Some(0), "{done}");
    let _left = Left::by(&done.out());
    assert!(done.out().contains(&format!("address   {}", host.address)), "{done}");
    host.log_in("each_answer_is_an_option", true);
    let mut list = host.command(binary("sshomed").unwrap());
    let list = outcome(list.arg("--dir").arg(host.folder()).args(["user", "list", "--json"]));
    let users: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(users.to_string().matches("\"name\":").count(), 1, "{users}");
    assert!(users.to_string().contains(&(5_u64 << 30).to_string()), "{users}");
}

#[test]
fn a_password_comes_from_a_file_or_standard_input() {
    let test = "a_password_comes_from_a_file_or_standard_input";
    for from_file in [true, false] {
        let host = NewHost::with_systemd("offline");
        let mut options = host.options();
        options.truncate(6);
        let mut command = host.setup();
        command.args(options).args(["--service", "background"]);
        if from_file {
            fs::write(host.path("password"), format!("{PASSWORD}\n")).unwrap();
            command.args(["--password-file", "password"]);
        } else {
            command.arg("--password-stdin").stdin(Stdio::piped());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(mut input) = child.stdin.take() {
            writeln!(input, "{PASSWORD}").unwrap();
        }
        let done: Outcome = child.wait_with_output().unwrap().into();
        assert_eq!(done.code, Some(0), "{done}");
        let _left = Left::by(&done.out());
        host.log_in(test, false);
    }
}

#[test]
fn without_systemd_nothing_is_started_unless_told() {
    let host = NewHost::with_systemd("offline");
    let asked = outcome(host.setup().args(host.options()).args(["--service", "systemd"]));
    assert_eq!(asked.code, Some(1), "{asked}");
    assert!(
        asked.err().contains("systemd runs no units") || asked.err().contains("systemd does not run"),
        "{asked}"
    );
    assert!(!host.folder().exists());
    let done = outcome(host.setup().args(host.options()).arg("--yes"));
    assert_eq!(done.code, Some(0), "{done}");
    let command = format!("--dir {}", host.folder().display());
    assert!(
        done.out().contains("the server does not run. Start it with: ") && done.out().contains(&command),
        "{done}"
    );
    // Nothing was started: the folder has only the settings and the host key.
    let names: Vec<_> = host.files().into_iter().map(|(path, ..)| path).collect();
    let wanted = ["etc", "etc/users.toml", "keys", "keys/host_ed25519"].map(|name| host.folder().join(name));
    assert_eq!(names, [&[host.folder()][..], &wanted].concat());
}

#[test]
fn with_systemd_a_user_unit_is_enabled_and_started() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: with_systemd_a_user_unit_is_enabled_and_started: root has the system's units");
        return;
    }
    let host = NewHost::with_systemd("degraded");
    let done = outcome(host.setup().args(host.options()).arg("--yes"));
    assert_eq!(done.code, Some(0), "{done}");
    let _left = Left::by(&done.out());
    assert!(done.out().contains("loginctl enable-linger"), "{done}");
    let calls = fs::read_to_string(host.path("bin/calls")).unwrap();
    let calls: Vec<_> = calls.lines().collect();
    let wanted = ["--user is-system-running", "--user daemon-reload", "--user enable --now sshomed.service"];
    assert_eq!(calls, wanted);
    host.log_in("with_systemd_a_user_unit_is_enabled_and_started", true);
    // A second server does not take over the unit of the first.
    let second = NewHost::with_systemd("running");
    let mut options = host.options();
    options[1] = host.path("other").display().to_string();
    options[3] = second.address.clone();
    let second = outcome(host.setup().args(options).arg("--yes"));
    assert_eq!(second.code, Some(1), "{second}");
    assert!(second.err().contains("sshomed.service exists and is not replaced"), "{second}");
    assert!(!host.path("other").exists());
}

#[test]
fn existing_settings_keys_and_homes_are_kept() {
    let host = NewHost::with_systemd("offline");
    for folder in ["keys", "home/sam"] {
        fs::create_dir_all(host.folder().join(folder)).unwrap();
    }
    let key = host.folder().join("keys/host_ed25519");
    fs::copy(host.path("home/.ssh/id_ed25519"), &key).unwrap();
    fs::write(host.folder().join("home/sam/file"), "kept").unwrap();
    let before = host.files();
    let done = outcome(host.setup().args(host.options()).args(["--service", "background"]));
    assert_eq!(done.code, Some(0), "{done}");
    let left = Left::by(&done.out());
    let after = host.files();
    for (path, inode, size) in before.iter().filter(|(path, ..)| path.is_file()) {
        assert!(after.contains(&(path.clone(), *inode, *size)), "{path:?} was replaced");
    }
    drop(left);
    let settings = fs::read(host.folder().join("etc/users.toml")).unwrap();
    let again = outcome(host.setup().args(host.options()).args(["--service", "background"]));
    assert_eq!(again.code, Some(1), "{again}");
    assert!(again.err().contains("exists: the server is set up"), "{again}");
    assert_eq!(fs::read(host.folder().join("etc/users.toml")).unwrap(), settings);
}

#[test]
fn refused_answers_change_nothing() {
    let host = NewHost::with_systemd("offline");
    fs::write(host.path("short"), "short\n").unwrap();
    fs::create_dir(host.path("full")).unwrap();
    fs::write(host.path("full/file"), "").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    let with = |position: usize, value: &str| {
        let mut options = host.options();
        options[position] = value.to_owned();
        options
    };
    let full = host.path("full").display().to_string();
    let account = [host.options(), vec!["--account".to_owned(), "daemon".to_owned()]].concat();
    let mut cases = vec![
        (with(1, &full), "choose a new or empty folder"),
        (with(3, "127.0.0.1:0"), "has no port"),
        (with(3, &taken.1), "another program listens there"),
        (with(5, "Sam"), "is not a user name"),
        (with(7, "missing.pub"), "cannot be read"),
        (with(7, "short"), "short"),
        ([&host.options()[..6], &["--password-file".to_owned(), "short".to_owned()]].concat(), "too short"),
        ([host.options(), vec!["--quota".to_owned(), "much".to_owned()]].concat(), "--quota"),
        (host.options()[..4].to_vec(), "--user is missing: standard input is not a terminal"),
    ];
    if !rustix::process::geteuid().is_root() {
        cases.push((account, "only root"));
    }
    for (options, says) in cases {
        let ends = if says.starts_with("--user") { &[][..] } else { &["--service", "none"] };
        let done = outcome(host.setup().args(&options).args(ends));
        assert_eq!(done.code, Some(1), "{options:?}: {done}");
        assert!(done.err().contains(says), "{options:?}: {done}");
        assert!(!host.folder().exists(), "{options:?}");
    }
    let done = outcome(host.setup().args(["--password", "secret"]));
    assert_eq!(done.code, Some(2), "{done}");
}

#[test]
fn a_server_that_does_not_start_is_reported_with_its_reason() {
    let host = NewHost::with_systemd("offline");
    // A host key that others can read: found when the settings are checked, or when the server starts.
    fs::create_dir_all(host.folder().join("keys")).unwrap();
    let key = host.folder().join("keys/host_ed25519");
    fs::copy(host.path("home/.ssh/id_ed25519"), &key).unwrap();
    set_mode(&key, 0o644).unwrap();
    let done = outcome(host.setup().args(host.options()).args(["--service", "background"]));
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.err().contains("chmod 600"), "{done}");
}

#[test]
fn as_account_of_its_own_the_server_runs_in_the_background_as_root() {
    let test = "as_account_of_its_own_the_server_runs_in_the_background_as_root";
    if !has_root(test) {
        return;
    }
    let host = NewHost::with_systemd("offline");
    // Below the temporary folder everybody can run it.
    let copy = copy_program("sshomed", &host.path("bin")).unwrap();
    set_mode(host.path("home"), 0o755).unwrap();
    let mut command = host.command(copy);
    command.arg("setup").args(host.options()).args(["--service", "background", "--account", "daemon"]);
    let done = outcome(command.stdin(Stdio::null()));
    assert_eq!(done.code, Some(0), "{done}");
    let left = Left::by(&done.out());
    let daemon = fs::metadata(host.folder()).unwrap().uid();
    assert_ne!(daemon, 0);
    assert!(left.status().contains(&format!("Uid:\t{daemon}\t{daemon}\t{daemon}")), "{}", left.status());
    assert_eq!(fs::metadata(host.folder().join("etc/users.toml")).unwrap().uid(), daemon);
    host.log_in(test, true);
}

#[test]
fn with_systemd_the_sandboxed_unit_is_written_for_the_account_as_root() {
    if !has_root("with_systemd_the_sandboxed_unit_is_written_for_the_account_as_root") {
        return;
    }
    let host = NewHost::with_systemd("running");
    copy_program("sshomed", &host.path("bin")).unwrap();
    // In a mount namespace of its own, so that this machine's units and /srv stay as they are.
    let script = r#"
        mount -t tmpfs tmpfs /srv && mount -t tmpfs tmpfs /etc/systemd/system && cp "$1/bin/sshomed" /srv/
        shift
        UNITS=/etc/systemd/system /srv/sshomed setup --dir /srv/sshome "$@" && cat /etc/systemd/system/sshomed.service
    "#;
    let mut command = host.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command.arg(Path::new(host.top.path())).args(&host.options()[2..]).args(["--account", "daemon", "--yes"]);
    let done = outcome(command.stdin(Stdio::null()));
    assert_eq!(done.code, Some(0), "{done}");
    let _left = Left::by(&done.out());
    for line in
        ["User=daemon", "WorkingDirectory=/srv/sshome", "ExecStart=/srv/sshomed", "ProtectSystem=strict"]
    {
        assert!(done.out().lines().any(|found| found == line), "{line}: {done}");
    }
    let calls = fs::read_to_string(host.path("bin/calls")).unwrap();
    assert!(calls.contains("enable --now sshomed.service") && !calls.contains("--user"), "{calls}");
}
