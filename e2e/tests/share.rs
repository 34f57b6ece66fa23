//! `sshomed share` as a program: one folder, one user, with the clients that its output names.

use sshome_e2e::foreign::program;
use sshome_e2e::tree::set_mode;
use sshome_e2e::{Outcome, Terminal, binary};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A folder that is being shared.
struct Share {
    top: TempDir,
    child: Child,
    port: String,
    password: String,
    /// The line of known_hosts that it printed.
    known_host: String,
    announced: String,
}

impl Share {
    /// Shares a folder with a few files.
    fn start(arguments: &[&str]) -> Share {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("photos");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("a.jpg"), "a photo").unwrap();
        fs::write(folder.join("sub/b.jpg"), "another photo").unwrap();
        Share::of(top, arguments)
    }

    fn of(top: TempDir, arguments: &[&str]) -> Share {
        let mut command = Command::new(binary("sshomed").unwrap());
        command.arg("share").arg(top.path().join("photos")).args(arguments);
        // The folder for temporary files: nothing may appear in it.
        fs::create_dir_all(top.path().join("tmp")).unwrap();
        command.env("TMPDIR", top.path().join("tmp")).current_dir(top.path());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut announced = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !announced.contains("Only this machine can connect") {
            assert_ne!(out.read_line(&mut announced).unwrap(), 0, "it ended: {announced}");
        }
        let after = |start: &str| {
            let line = announced.lines().find_map(|line| line.trim().strip_prefix(start));
            line.unwrap_or_else(|| panic!("no {start}: {announced}")).trim().to_owned()
        };
        let port = after("address   127.0.0.1:");
        let password = after("password").split(' ').next().unwrap().to_owned();
        let known_host = after("echo '").split('\'').next().unwrap().to_owned();
        Share { child, port, password, known_host, announced, top }
    }

    fn folder(&self) -> PathBuf {
        self.top.path().join("photos")
    }

    /// A client's program, with the host key in known_hosts and the password as the answer to each question.
    fn client(&self, program: impl Into<PathBuf>) -> Command {
        let home = self.top.path().join("home");
        fs::create_dir_all(&home).unwrap();
        let askpass = home.join("askpass");
        if !askpass.exists() {
            fs::write(&askpass, format!("#!/bin/sh\necho {}\n", self.password)).unwrap();
            set_mode(&askpass, 0o700).unwrap();
            fs::write(home.join("known_hosts"), format!("{}\n", self.known_host)).unwrap();
        }
        let mut command = Command::new(program.into());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").env("HOME", &home);
        command.current_dir(home).stdin(Stdio::null());
        command
    }

    /// One of OpenSSH's programs.
    fn openssh(&self, program: PathBuf) -> Command {
        let mut command = self.client(program);
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "PubkeyAuthentication=no"]);
        command.args(["-o", "UserKnownHostsFile=known_hosts", "-P", &self.port]);
        command
    }

    /// `sshome`.
    fn sshome(&self) -> Command {
        let mut command = self.client(binary("sshome").unwrap());
        command.args(["--known-hosts", "known_hosts", "-P", &self.port, "guest@127.0.0.1"]);
        command
    }

    /// The file that a client has fetched.
    fn fetched(&self, path: &str) -> String {
        fs::read_to_string(self.top.path().join("home").join(path)).unwrap()
    }

    /// Ends it with a signal. Returns its exit code.
    fn end(&mut self, signal: rustix::process::Signal) -> Option<i32> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn outcome(command: &mut Command) -> Outcome {
    command.output().unwrap().into()
}

/// All entries below a folder, with what a change of any of them would change.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        // The ctime changes with extended attributes, too.
        found.insert(path.clone(), (stat.size(), stat.mode(), stat.ctime(), stat.ctime_nsec()));
        if stat.is_dir() {
            ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn sftp_scp_and_sshome_fetch_a_shared_folder_that_does_not_change() {
    let test = "sftp_scp_and_sshome_fetch_a_shared_folder_that_does_not_change";
    let mut share = Share::start(&[]);
    let before = snapshot(&share.folder());
    if let (Some(sftp), Some(scp)) = (program("sftp", test), program("scp", test)) {
        let done = outcome(share.openssh(sftp).args(["-r", "guest@127.0.0.1:/.", "by-sftp"]));
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(share.fetched("by-sftp/sub/b.jpg"), "another photo");
        let done = outcome(share.openssh(scp).args(["-r", "guest@127.0.0.1:/.", "by-scp"]));
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(share.fetched("by-scp/a.jpg"), "a photo");
    }
    let done = outcome(share.sshome().args(["get", "-r", "/.", "by-sshome"]));
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(share.fetched("by-sshome/sub/b.jpg"), "another photo");
    assert_eq!(share.end(rustix::process::Signal::TERM), Some(0));
    assert_eq!(snapshot(&share.folder()), before);
    assert_eq!(fs::read_dir(share.top.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn rclone_fetches_a_shared_folder_and_checks_its_host_key() {
    let Some(rclone) = program("rclone", "rclone_fetches_a_shared_folder_and_checks_its_host_key") else {
        return;
    };
    let share = Share::start(&[]);
    let line = share.announced.lines().find(|line| line.trim().starts_with("rclone copy")).unwrap();
    let line = line.replace("shared-host", "known_hosts").replacen("rclone", rclone.to_str().unwrap(), 1);
    let fetch = || {
        let mut command = share.client("sh");
        command.args(["-c", &line]);
        Terminal::start(&command).unwrap()
    };
    let mut terminal = fetch();
    terminal.expect("Enter SFTP password:").unwrap();
    terminal.send(&format!("{}\n", share.password)).unwrap();
    let ended = terminal.ended().unwrap();
    assert!(ended.status.success(), "{}", ended.said);
    assert_eq!(share.fetched("photos/sub/b.jpg"), "another photo");
    let other = Share::start(&[]);
    let key = other.known_host.split_once(' ').unwrap().1;
    let line = format!("[127.0.0.1]:{} {key}\n", share.port);
    fs::write(share.top.path().join("home/known_hosts"), line).unwrap();
    let ended = fetch().ended().unwrap();
    assert!(!ended.status.success() && ended.said.contains("key mismatch"), "{}", ended.said);
}

#[test]
fn a_shared_folder_is_read_only_and_no_link_leads_out_of_it() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("photos");
    fs::create_dir(&folder).unwrap();
    fs::write(top.path().join("secret"), "secret").unwrap();
    symlink(top.path().join("secret"), folder.join("absolute")).unwrap();
    symlink("../secret", folder.join("relative")).unwrap();
    symlink("/etc/passwd", folder.join("passwd")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    fs::write(folder.join("own"), "own").unwrap();
    let share = Share::of(top, &[]);
    for path in ["absolute", "relative", "passwd", "up/secret", "../secret"] {
        let done = outcome(share.sshome().args(["get", path, "-"]));
        assert_ne!(done.code, Some(0), "{path}: {done}");
        assert!(!done.out().contains("secret") && !done.out().contains("root:"), "{path}: {done}");
    }
    // The link to the parent leads to the folder itself.
    let done = outcome(share.sshome().args(["get", "up/own", "-"]));
    assert_eq!((done.code, done.out().as_str()), (Some(0), "own"), "{done}");
    for command in [&["rm", "own"][..], &["mkdir", "new"], &["put", "known_hosts"], &["chmod", "600", "own"]]
    {
        let done = outcome(share.sshome().args(command));
        assert_ne!(done.code, Some(0), "{command:?}: {done}");
    }
    assert_eq!(fs::read_to_string(share.folder().join("own")).unwrap(), "own");
    assert_eq!(fs::read_dir(share.folder()).unwrap().count(), 5);
}

#[test]
fn with_write_files_can_be_sent_and_nothing_else_remains() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP]
    {
        let mut share = Share::start(&["--write"]);
        // Before a client logs in, so that this is the share's own.
        assert!(share.folder().join(".sshome-staging").exists());
        share.client("x");
        fs::write(share.top.path().join("home/new.jpg"), "new").unwrap();
        let done = outcome(share.sshome().args(["put", "new.jpg"]));
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(share.end(signal), Some(0));
        let mut names: Vec<_> = snapshot(&share.folder()).into_keys().collect();
        names.retain(|path| path.parent() == Some(&share.folder()));
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.jpg", "new.jpg", "sub"]);
    }
}

#[test]
fn a_folder_that_is_shared_for_writing_is_shared_once() {
    let share = Share::start(&["--write"]);
    let again = |arguments: &[&str]| {
        let mut command = Command::new(binary("sshomed").unwrap());
        outcome(command.arg("share").arg(share.folder()).args(["--for", "1s"]).args(arguments))
    };
    let refused = again(&["--write"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.err().contains("is served by another sshomed"), "{refused}");
    // Reading takes nothing away from anybody.
    let fine = again(&[]);
    assert_eq!(fine.code, Some(0), "{fine}");
}

#[test]
fn a_share_ends_after_its_time() {
    let mut share = Share::start(&["--for", "1s"]);
    assert!(share.announced.contains("until Ctrl-C or 2"), "{}", share.announced);
    assert_eq!(share.child.wait().unwrap().code(), Some(0));
}

#[test]
fn each_share_has_its_own_password_and_host_key() {
    let (one, two) = (Share::start(&[]), Share::start(&[]));
    assert_ne!(one.password, two.password);
    let key = |share: &Share| share.known_host.split(' ').next_back().unwrap().to_owned();
    assert_ne!(key(&one), key(&two));
    assert!(one.announced.contains("100 random bits"), "{}", one.announced);
    // The password of one does not open the other.
    let mut command = one.sshome();
    fs::write(one.top.path().join("home/known_hosts"), format!("{}\n", two.known_host)).unwrap();
    let done = outcome(command.args(["-P", &two.port, "ls"]));
    assert_ne!(done.code, Some(0), "{done}");
}

#[test]
fn what_is_never_shared_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(binary("sshomed").unwrap());
        outcome(command.current_dir(dir.path()).arg("share").args(arguments))
    };
    fs::write(dir.path().join("file"), "").unwrap();
    for (arguments, code, says) in [
        (&["/etc"][..], 1, "is a system folder"),
        (&["/"], 1, "is a folder that many programs"),
        (&["missing"], 1, "No such file"),
        (&["file"], 1, "Not a directory"),
        (&[".", "--for", "soon"], 2, "is not a duration"),
        (&[".", "--dir", "/srv"], 2, "uses neither --dir nor --config"),
    ] {
        let done = refused(arguments);
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.err().contains(says), "{done}");
    }
}

#[test]
fn ctrl_c_in_a_terminal_ends_a_share() {
    let share = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary("sshomed").unwrap());
    command.arg("share").arg(share.path()).current_dir(share.path()).env("TERM", "xterm");
    let mut terminal = Terminal::start(&command).unwrap();
    terminal.expect("Only this machine can connect").unwrap();
    terminal.send("\x03").unwrap();
    let (code, said) = terminal.end().unwrap();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_process_is_confined_to_the_folder() {
    let share = Share::start(&[]);
    let mut status = String::new();
    let path = format!("/proc/{}/status", share.child.id());
    fs::File::open(path).unwrap().read_to_string(&mut status).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}
