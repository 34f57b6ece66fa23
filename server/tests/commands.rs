//! The administrator's commands, run as the installed program.
#![allow(clippy::unwrap_used, reason = "in tests an unwrap that fails is the test failing")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn folder(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/users.toml"), text).unwrap();
    dir
}

/// Runs `sshomed` in a folder, with something on its standard input.
fn sshomed(dir: &Path, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sshomed"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may close the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_user_is_added_and_removed() {
    let dir = folder("# ours\n");
    let (code, out, err) = sshomed(dir.path(), &["user", "add", "sam", "--password-stdin"], "long enough\n");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("added sam\n"), "{out}");
    let (code, out, _) = sshomed(dir.path(), &["user", "list"], "");
    assert_eq!(code, Some(0));
    let row: Vec<_> = out.lines().nth(1).unwrap().split_whitespace().collect();
    let (code, json, _) = sshomed(dir.path(), &["user", "list", "--json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let sam = &json["users"][0];
    assert_eq!((code, &sam["name"], &sam["password"]), (Some(0), &"sam".into(), &true.into()), "{json}");
    assert_eq!((&sam["quota"], &sam["access"]), (&serde_json::Value::Null, &"read-write".into()), "{json}");
    assert_eq!(row[..1], ["sam"], "{out}");
    assert_eq!(row[1..5], ["unlimited", "1000000", "unlimited", "unlimited"], "{out}");
    assert_eq!(row[5..8], ["read-write", "yes", "password"], "{out}");
    assert_eq!(sshomed(dir.path(), &["user", "quota", "sam", "2 GiB"], "").0, Some(0));
    assert_eq!(sshomed(dir.path(), &["user", "remove", "sam"], "").0, Some(0));
    assert_eq!(fs::read_to_string(dir.path().join("etc/users.toml")).unwrap().trim(), "# ours");
}

#[test]
fn a_refused_password_changes_nothing_and_is_not_repeated() {
    let dir = folder("[users.sam]\n");
    let (code, out, err) = sshomed(dir.path(), &["user", "passwd", "sam", "--password-stdin"], "Zq7\n");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "the password is too short: use at least 8 characters\n");
    assert_eq!(fs::read_to_string(dir.path().join("etc/users.toml")).unwrap(), "[users.sam]\n");
}

#[test]
fn check_reports_errors_with_their_lines() {
    let dir = folder("[users.sam]\nqouta = 1\nmax-file = 1\n");
    let (code, out, err) = sshomed(dir.path(), &["check"], "");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let lines: Vec<_> = err.lines().collect();
    assert!(lines[0].starts_with("etc/users.toml:2: users.sam.qouta: unknown key"), "{err}");
    assert_eq!(lines[1], "etc/users.toml:3: users.sam.max-file: unknown key: did you mean max-files?");

    let dir = folder("[users.sam]\n");
    let (code, out, _) = sshomed(dir.path(), &["check", "--listen", "127.0.0.1:0"], "");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("listens on     127.0.0.1:0\n"), "{out}");
    assert!(out.contains("warning: sam cannot log in: no password and no key.\n"), "{out}");
}

#[test]
fn an_error_in_the_settings_prevents_the_start() {
    let dir = folder("[server]\nlisten = [\"127.0.0.1:0\"]\nkex = \"any\"\n");
    for args in [&[][..], &["serve"]] {
        let (code, out, err) = sshomed(dir.path(), args, "");
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.starts_with("etc/users.toml:3: server.kex: "), "{err}");
    }
}

#[test]
fn a_wrong_command_line_has_its_own_exit_code() {
    let dir = folder("");
    for args in [
        &["user", "add"][..],
        &["user", "list", "--listen", "127.0.0.1:9"],
        &["--listen", "127.0.0.1:9", "user", "list"],
    ] {
        assert_eq!(sshomed(dir.path(), args, "").0, Some(2), "{args:?}");
    }
}
