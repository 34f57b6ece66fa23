//! Reports about homes that disappear, or become inaccessible while the server serves them.

use super::{builder, why, works};
use rustix::process::geteuid;
use sshome_e2e::tree::set_mode;
use sshome_e2e::{Host, HostBuilder, Peer, has_root, until};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tempfile::TempDir;

/// The message of a scan about a home that it cannot count.
fn refused_scan(host: &Host, user: &str) -> String {
    let scanned = host.administrator().run(&["quota", "scan", user]);
    assert_eq!(scanned.code, Some(1), "{scanned}");
    let all = host.administrator().run(&["quota", "scan"]);
    let other = all.out().lines().any(|line| line.starts_with("zcl: ") && line.ends_with("as recorded"));
    assert!(all.code == Some(1) && other && all.out().contains(scanned.out().trim_end()), "{all}");
    scanned.out()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_a_missing_home_prints_its_path_and_the_remedy() {
    let outside = TempDir::new().unwrap();
    let (root, away) = (outside.path().join("ann"), outside.path().join("away"));
    fs::create_dir(&root).unwrap();
    let host = builder(&root).start().await.unwrap();
    fs::rename(&root, &away).unwrap();
    let gone = "it was removed or renamed while the server runs";
    let wanted = format!("ann: the home {} is unavailable: {gone}", root.display());
    let said = refused_scan(&host, "ann");
    assert!(said.starts_with(&wanted) && said.contains("`sshomed home reopen ann`"), "{said}");
    let answer = ask_socket(&host, r#"{"request":"quota-scan","user":"ann"}"#);
    let error = answer["homes"][0]["error"].as_str().unwrap();
    assert!(said.contains(error) && answer["homes"][0]["compared"].is_null(), "{answer}");
    // Neither a new server nor the running one can use it: that is reported once.
    let check = host.administrator().run(&["check"]);
    let problems = check.err();
    let lines: Vec<_> = problems.lines().filter(|line| line.contains("the home of ann")).collect();
    assert!(check.code == Some(1) && lines.len() == 1 && lines[0].contains(gone), "{check}");
    // A new server could use this one, but the running one does not.
    fs::create_dir(&root).unwrap();
    assert!(refused_scan(&host, "ann").contains("another directory has taken its place"));
    let check = host.administrator().run(&["check"]);
    assert!(
        check.code == Some(1) && check.err().contains("another directory has taken its place"),
        "{check}"
    );
    assert!(host.administrator().json(&["status"])["homes"][0]["disk_free"].is_null());
}

/// Sends a line to the control socket, and reads the answer.
fn ask_socket(host: &Host, line: &str) -> serde_json::Value {
    let mut socket = UnixStream::connect(host.dir().join("run/control")).unwrap();
    writeln!(socket, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// Checks the report about ann's home, which `harm` makes inaccessible and `mend` restores: it has `remedy` and the
/// path.
async fn assert_closed_home_is_reported(
    host: &Host,
    root: &Path,
    remedy: &str,
    harm: impl Fn(),
    mend: impl Fn(),
) {
    assert!(works(host, "ann").await);
    harm();
    let path = root.display().to_string();
    let (said, scanned) = (why(host, "ann"), refused_scan(host, "ann"));
    assert!(said.contains(remedy) && said.contains(&path), "{said}");
    assert!(scanned.starts_with(&format!("ann: the home {path} is unavailable: ")), "{scanned}");
    assert!(scanned.contains(remedy), "{scanned}");
    let administrator = host.administrator();
    let check = administrator.run(&["check"]);
    assert!(check.code == Some(1) && check.err().contains(remedy), "{check}");
    let status = administrator.json(&["status"]);
    assert!(status["homes"][0]["user"] == "ann" && status["homes"][0]["disk_free"].is_null(), "{status}");
    let refused = Peer::login(host, "ann").await.map(drop).unwrap_err().to_string();
    assert!(refused.contains("your home is unavailable"), "{refused}");
    assert!(works(host, "zcl").await);
    mend();
    assert_eq!(why(host, "ann"), "");
    assert!(works(host, "ann").await);
}

/// Checks the report about the directory `d/sub` in ann's home, which `harm` makes inaccessible and `mend` restores.
async fn assert_closed_directory_is_reported(host: &Host, remedy: &str, harm: impl Fn(), mend: impl Fn()) {
    let administrator = host.administrator();
    let closed = || {
        // A reload checks the homes, as the server does every minute.
        assert_eq!(administrator.run(&["reload"]).code, Some(0));
        administrator.json(&["status"])["homes"][0]["closed"].clone()
    };
    assert!(closed().is_null());
    harm();
    let found = closed();
    assert_eq!((&found["count"], &found["first"][0]["path"]), (&1.into(), &"/d/sub".into()), "{found}");
    assert!(found["first"][0]["why"].as_str().unwrap().contains(remedy), "{found}");
    let status = administrator.run(&["status"]);
    assert!(status.out().contains("in the home of ann can no longer be read\n  /d/sub: "), "{status}");
    let check = administrator.run(&["check"]);
    assert!(check.code == Some(1) && check.err().contains(remedy), "{check}");
    // It was counted while it was readable, so uploads still work.
    assert!(works(host, "ann").await);
    let scanned = administrator.run(&["quota", "scan", "ann"]);
    assert!(scanned.code == Some(1) && scanned.out().contains("  /d/sub: Permission denied"), "{scanned}");
    assert!(scanned.out().contains(remedy), "{scanned}");
    mend();
    assert!(closed().is_null());
    assert_eq!(administrator.run(&["quota", "scan", "ann"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_became_inaccessible_are_reported_with_the_remedy() {
    if geteuid().is_root() {
        eprintln!("skipped: files_that_became_inaccessible_are_reported_with_the_remedy: root may use all");
        return;
    }
    let outside = TempDir::new().unwrap();
    let root = outside.path().join("ann");
    let sub = root.join("d/sub");
    fs::create_dir_all(&sub).unwrap();
    let host = builder(&root).start().await.unwrap();
    for mode in [0, 0o500] {
        let set = |mode| {
            let root = root.clone();
            move || set_mode(&root, mode).unwrap()
        };
        assert_closed_home_is_reported(&host, &root, "chmod -R u+rwX", set(mode), set(0o700)).await;
    }
    let set = |mode| {
        let sub = sub.clone();
        move || set_mode(&sub, mode).unwrap()
    };
    assert_closed_directory_is_reported(&host, "chmod -R u+rwX", set(0), set(0o700)).await;
}

/// A server with its own account, whose administrator is root.
#[tokio::test(flavor = "multi_thread")]
async fn files_given_to_root_are_reported_with_the_remedy_as_root() {
    if !has_root("files_given_to_root_are_reported_with_the_remedy_as_root") {
        return;
    }
    let builder = HostBuilder::new().unwrap().setting("account = \"daemon\"").log("file = \"log/audit\"");
    let mut host = builder.user("ann", "").unwrap().user("zcl", "").unwrap().prepare().unwrap();
    set_mode(host.dir(), 0o755).unwrap();
    let _program = host.start_apart().unwrap();
    let root = host.home("ann");
    let (sub, owner) = (root.join("d/sub"), fs::metadata(&root).unwrap().uid());
    for directory in [&root.join("d"), &sub] {
        fs::create_dir(directory).unwrap();
        chown(directory, Some(owner), None).unwrap();
    }
    let give = |path: &Path, owner| {
        chown(path, Some(owner), None).unwrap();
        set_mode(path, 0o700).unwrap();
    };
    let remedy = format!("belongs to root: chown -R daemon: {}", root.display());
    assert_closed_home_is_reported(&host, &root, &remedy, || give(&root, 0), || give(&root, owner)).await;
    let set = |mode| {
        let root = root.clone();
        move || set_mode(&root, mode).unwrap()
    };
    let remedy = format!("its mode denies its owner, daemon, access: chmod -R u+rwX {}", root.display());
    assert_closed_home_is_reported(&host, &root, &remedy, set(0), set(0o700)).await;
    let remedy = format!("belongs to root: chown -R daemon: {}", sub.display());
    assert_closed_directory_is_reported(&host, &remedy, || give(&sub, 0), || give(&sub, owner)).await;
    let log = || fs::read_to_string(host.dir().join("log/audit")).unwrap();
    until("all of it is logged", || log().contains("all directories of the home can be read again"));
    for (message, path) in [
        ("the server cannot use the home any more", &root),
        ("a directory of a home cannot be read any more", &sub),
    ] {
        let log = log();
        let line =
            log.lines().find(|line| line.contains(message)).unwrap_or_else(|| panic!("{message}: {log}"));
        assert!(line.contains("\"user\":\"ann\"") && line.contains(path.to_str().unwrap()), "{line}");
        assert!(line.contains("chown -R daemon:"), "{line}");
    }
}
