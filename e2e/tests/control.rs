//! The administrator's requests to the running server.

use sshome_e2e::tree::{mode, noise};
use sshome_e2e::{Host, HostBuilder, Peer, Program, until};
use sshome_wire::{Request, Status};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

async fn host() -> Host {
    let builder = HostBuilder::new().unwrap().user("ann", "quota = 5000000").unwrap();
    builder.user("zcl", "").unwrap().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_sessions_transfers_and_homes() {
    let host = host().await;
    let administrator = host.administrator();
    let empty = administrator.run(&["status"]);
    assert!(empty.code == Some(0) && empty.out().contains("nobody is logged in"), "{empty}");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.begin_put("d\x1b[2Jig", Some(4 << 20)).await.unwrap();
    peer.send_data(&noise(1 << 20, "1")).await.unwrap();
    until("the transfer is seen", || {
        administrator.json(&["status"])["sessions"][0]["transfers"][0]["done"] == 1 << 20
    });
    let status = administrator.json(&["status"]);
    let session = &status["sessions"][0];
    assert_eq!((&session["user"], &session["ways"][0]), (&"ann".into(), &"sshome".into()), "{status}");
    let transfer = &session["transfers"][0];
    assert_eq!(
        (&transfer["direction"], &transfer["total"]),
        (&"upload".into(), &(4 << 20).into()),
        "{status}"
    );
    assert_eq!(transfer["path"], "/d\\x1b[2Jig", "{status}");
    assert_eq!(status["homes"][0]["reserved"], 4 << 20, "{status}");
    let text = administrator.run(&["status"]);
    for want in ["ann", "1.0 MiB of 4.0 MiB", "upload", "/d\\x1b[2Jig", "unlimited"] {
        assert!(text.out().contains(want), "{want}: {text}");
    }
}

#[test]
fn status_shows_how_many_lines_of_the_log_were_lost() {
    let builder = HostBuilder::new().unwrap().setting("confine = \"off\"").log("file = \"log/audit\"");
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    fs::create_dir(host.dir().join("log")).unwrap();
    // A disk that is always full. A confined server could not open it.
    symlink("/dev/full", host.dir().join("log/audit")).unwrap();
    let _program = host.start_apart().unwrap();
    let lost = || host.administrator().json(&["status"])["lost_log_lines"].as_u64().unwrap();
    until("lines are lost", || lost() > 0);
    let text = host.administrator().run(&["status"]);
    assert!(text.out().contains(" lines of the log were lost: its disk is full or failed"), "{text}");
}

#[test]
fn a_reload_warns_about_keys_that_others_can_use() {
    let builder = HostBuilder::new().unwrap().log("file = \"log/audit\"");
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    let _program = host.start_apart().unwrap();
    let keys = host.dir().join("keys");
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(&keys, 0o777);
    let reload = || host.administrator().run(&["reload"]);
    assert_eq!(reload().code, Some(0));
    let warning = format!("chmod o-w {}.", keys.display());
    let log = || fs::read_to_string(host.dir().join("log/audit")).unwrap();
    until("it is logged", || log().contains(&warning));
    set_mode(&keys, 0o700);
    set_mode(&keys.join("host_ed25519"), 0o644);
    let refused = reload();
    let remedy = format!("chmod 600 {}", keys.join("host_ed25519").display());
    assert!(refused.code == Some(1) && refused.err().contains(&remedy), "{refused}");
    set_mode(&keys.join("host_ed25519"), 0o600);
    set_mode(host.dir(), 0o777);
    let refused = reload();
    let remedy = format!("chmod o-w {}", host.dir().display());
    assert!(refused.code == Some(1) && refused.err().contains(&remedy), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kick_ends_a_session_or_all_of_a_user() {
    let host = host().await;
    let administrator = host.administrator();
    let mut first = Peer::login(&host, "ann").await.unwrap();
    let number = administrator.json(&["status"])["sessions"][0]["session"].to_string();
    let mut second = Peer::login(&host, "ann").await.unwrap();
    let mut zcl = Peer::login(&host, "zcl").await.unwrap();
    let kicked = administrator.run(&["kick", &number]);
    assert_eq!(kicked.out(), format!("ended: session {number}\n"), "{kicked}");
    assert!(first.ask(Request::Pwd).await.is_err());
    assert_eq!(second.ask(Request::Pwd).await.unwrap().status, Status::Done);
    assert_eq!(administrator.run(&["kick", "ann"]).code, Some(0));
    assert!(second.ask(Request::Pwd).await.is_err());
    assert_eq!(zcl.ask(Request::Pwd).await.unwrap().status, Status::Done);
    until("they are gone", || administrator.json(&["status"])["sessions"].as_array().unwrap().len() == 1);
    for who in ["ann", "999", "\x1b[2J"] {
        let refused = administrator.run(&["kick", who]);
        assert!(refused.code == Some(1) && refused.err().contains("no such session"), "{refused}");
        assert!(!refused.err().contains('\x1b'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_and_corrects_outside_changes() {
    let host = host().await;
    let administrator = host.administrator();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.put("a", &[1; 1000]).await.unwrap();
    let same = administrator.run(&["quota", "scan", "ann"]);
    let (counted, recorded) = ("ann: 1000 B in 1 file", ", as recorded\n");
    assert!(same.out().starts_with(counted) && same.out().ends_with(recorded), "{same}");
    fs::write(host.home("ann").join("more"), [1; 300]).unwrap();
    let few = administrator.run(&["quota", "scan", "ann"]);
    assert!(few.out().contains("300 bytes too few and 1 "), "{few}");
    fs::remove_file(host.home("ann").join("more")).unwrap();
    let many = administrator.run(&["quota", "scan", "ann"]);
    assert!(many.out().contains("300 bytes too many and 1 "), "{many}");
    fs::write(host.home("ann").join("outside"), [1; 500]).unwrap();
    let scanned = administrator.json(&["quota", "scan"]);
    let off = &scanned["homes"][0]["compared"];
    assert_eq!((&off["bytes_off"], &off["entries_off"]), (&(-500).into(), &(-1).into()), "{scanned}");
    let again = administrator.json(&["quota", "scan", "ann"]);
    assert_eq!(again["homes"][0]["compared"]["bytes_off"], 0, "{again}");
    assert_eq!(administrator.json(&["status"])["homes"][0]["used"], 1500);
    let nobody = administrator.run(&["quota", "scan", "nobody"]);
    assert!(nobody.code == Some(1) && nobody.err().contains("there is no user nobody"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_an_unreadable_home_lists_the_entries_and_corrects_nothing() {
    if rustix::process::geteuid().is_root() {
        eprintln!(
            "skipped: a_scan_of_an_unreadable_home_lists_the_entries_and_corrects_nothing: root reads everything"
        );
        return;
    }
    let host = host().await;
    let administrator = host.administrator();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.put("a", &[1; 1000]).await.unwrap();
    let locked = host.home("ann").join("locked");
    fs::create_dir(&locked).unwrap();
    fs::write(host.home("ann").join("outside"), [1; 500]).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let scanned = administrator.run(&["quota", "scan", "ann"]);
    assert_eq!(scanned.code, Some(1), "{scanned}");
    assert!(scanned.out().contains("  /locked: Permission denied"), "{scanned}");
    assert!(!scanned.out().contains("was corrected"), "{scanned}");
    let status = administrator.json(&["status"]);
    assert_eq!(status["homes"][0]["unreadable"]["first"][0]["path"], "/locked", "{status}");
    assert_eq!(status["homes"][0]["used"], 1000, "{status}");
    assert!(administrator.run(&["status"]).out().contains("/locked: Permission denied"));
    assert_eq!(peer.put("b", b"1").await.unwrap().status, Status::QuotaExceeded);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    let scanned = administrator.json(&["quota", "scan", "ann"]);
    assert_eq!(scanned["homes"][0]["compared"]["bytes_off"], -500, "{scanned}");
    assert_eq!(peer.put("b", b"1").await.unwrap().status, Status::Done);
    assert!(administrator.json(&["status"])["homes"][0]["unreadable"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_upload_over_a_file_is_counted_and_shown() {
    const MIB: usize = 1 << 20;
    let builder = HostBuilder::new().unwrap().user("ann", "quota = \"20 MiB\"").unwrap();
    let host = builder.start().await.unwrap();
    let administrator = host.administrator();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.put("f", &vec![1; 16 * MIB]).await.unwrap();
    let put = sshome_wire::Put {
        path: b"f".to_vec(),
        size: Some(16 << 20),
        mtime: None,
        source: Some(sshome_wire::Time { seconds: 1, nanoseconds: 0 }),
        mode: None,
        resume: 0,
    };
    let mut cut = Peer::login(&host, "ann").await.unwrap();
    cut.send(&sshome_wire::Frame::Request(Request::Put(put))).await.unwrap();
    cut.send_data(&vec![2; 9 * MIB]).await.unwrap();
    let home = || administrator.json(&["status"])["homes"][0].clone();
    let transfer = || administrator.json(&["status"])["sessions"][1]["transfers"][0]["done"].clone();
    until("it has arrived", || transfer() == 9 << 20);
    cut.vanish().await.unwrap();
    until("it is partial", || home()["reserved"] == 8 << 20);
    assert_eq!((&home()["used"], &home()["credited"]), (&(16 << 20).into(), &(8 << 20).into()));
    let scanned = administrator.json(&["quota", "scan", "ann"]);
    let compared = &scanned["homes"][0]["compared"];
    assert_eq!((&compared["staged"], &compared["staged_off"]), (&(8 << 20).into(), &0.into()), "{scanned}");
    // The file is deleted. The bytes that it lent now belong to the partial upload; only the rest is free.
    let rm = Request::Rm { path: b"f".to_vec(), recursive: false };
    assert_eq!(peer.ask(rm).await.unwrap().status, Status::Done);
    assert_eq!((&home()["used"], &home()["credited"]), (&0.into(), &0.into()));
    assert_eq!(peer.put("g", &vec![3; 12 * MIB + 1]).await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.put("g", &vec![3; 12 * MIB]).await.unwrap().status, Status::Done);
    // Staged bytes that are not accounted for are found.
    fs::write(host.home("ann").join(".sshome-staging/stray"), [1; 77]).unwrap();
    let scanned = administrator.run(&["quota", "scan", "ann"]);
    assert!(scanned.out().contains("the accounting of staged bytes is off by -77"), "{scanned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn penalties_are_shown() {
    let builder = HostBuilder::new().unwrap().limits("exempt = []\npenalty-no-login = 600");
    let host = builder.user("ann", "").unwrap().start().await.unwrap();
    drop(TcpStream::connect(host.address()).unwrap());
    let administrator = host.administrator();
    until("there is a penalty", || administrator.json(&["status"])["penalties"][0]["source"] == "127.0.0.1");
    for command in ["status", "penalties"] {
        let text = administrator.run(&[command]);
        assert!(text.out().contains("REFUSED FOR") && text.out().contains("127.0.0.1"), "{text}");
    }
    assert_eq!(administrator.json(&["penalties"])["penalties"][0]["source"], "127.0.0.1");
    let mut told = String::new();
    TcpStream::connect(host.address()).unwrap().read_to_string(&mut told).unwrap();
    assert!(told.starts_with("Not now: logins from your address failed: it is refused for "), "{told}");
    let refused = administrator.run(&["forgive", "192.0.2.1"]);
    assert!(refused.code == Some(1) && refused.err().contains("192.0.2.1 has no penalty"), "{refused}");
    let misspelt = administrator.run(&["forgive", "bogus"]);
    assert!(misspelt.code == Some(2) && misspelt.err().contains("not an address"), "{misspelt}");
    let forgiven = administrator.run(&["forgive", "127.0.0.1"]);
    assert_eq!(forgiven.out(), "penalty removed: 127.0.0.1\n", "{forgiven}");
    for command in [&["penalties"][..], &["forgive", "all"]] {
        let none = administrator.run(command);
        assert_eq!((none.code, none.out()), (Some(0), "no address has a penalty\n".to_owned()), "{none}");
    }
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn kick_can_lock_the_user_out() {
    let host = host().await;
    let administrator = host.administrator();
    let mut ann = Peer::login(&host, "ann").await.unwrap();
    let mut zcl = Peer::login(&host, "zcl").await.unwrap();
    let sessions = administrator.json(&["status"]);
    let sessions = sessions["sessions"].as_array().unwrap().iter();
    let number = sessions.clone().find(|session| session["user"] == "ann").unwrap()["session"].to_string();
    let locked = administrator.run(&["kick", "--lock", &number]);
    assert!(locked.code == Some(0) && locked.out().contains("1 session was ended"), "{locked}");
    assert!(ann.ask(Request::Pwd).await.is_err() && Peer::login(&host, "ann").await.is_err());
    assert_eq!(zcl.ask(Request::Pwd).await.unwrap().status, Status::Done);
    assert_eq!(administrator.run(&["user", "enable", "ann"]).code, Some(0));
    assert!(Peer::login(&host, "ann").await.is_ok());
    assert!(administrator.run(&["user", "list"]).out().contains("ann"));
}

#[test]
fn the_socket_is_accessible_to_its_owner_only_and_is_removed_at_the_end() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let (socket, administrator) = (host.dir().join("run/control"), host.administrator());
    let none = administrator.run(&["status"]);
    assert!(none.code == Some(1) && none.err().contains("no server is running"), "{none}");
    let mut program = host.start_apart().unwrap();
    assert_eq!((mode(&socket).unwrap(), mode(host.dir().join("run")).unwrap()), (0o600, 0o700));
    // An invalid request gets an error, and the next line is answered.
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"nonsense\n{\"request\":\"status\"}\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("invalid request"));
    assert!(lines.next().unwrap().unwrap().contains("\"answer\":\"status\""));
    program.kill().unwrap();
    assert!(socket.exists());
    let stale = administrator.run(&["status"]);
    assert!(stale.err().contains("no server is running"), "{stale}");
    let mut program = host.start_apart().unwrap();
    assert_eq!(administrator.run(&["status"]).code, Some(0));
    program.ask_to_end().unwrap();
    program.end().unwrap();
    assert!(!socket.exists());
}

#[test]
fn a_foreign_file_at_the_sockets_path_is_kept_and_reported() {
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let run = host.dir().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("control"), "mine").unwrap();
    let administrator = host.administrator();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    sshome_e2e::tree::set_mode(&run, 0o755).unwrap();
    let refused = administrator.run(&serve);
    assert!(refused.code == Some(1) && refused.err().contains("is not a socket"), "{refused}");
    assert_eq!(fs::read(run.join("control")).unwrap(), b"mine");
    fs::remove_file(run.join("control")).unwrap();
    sshome_e2e::tree::set_mode(&run, 0o777).unwrap();
    let refused = administrator.run(&serve);
    assert!(refused.code == Some(1) && refused.err().contains("nobody else may write to it"), "{refused}");
    // A leftover socket does no harm.
    sshome_e2e::tree::set_mode(&run, 0o700).unwrap();
    drop(UnixListener::bind(run.join("control")).unwrap());
    drop(Program::serve(host.dir()).unwrap());
}

#[test]
fn metrics_are_served_on_loopback_only() {
    let builder = HostBuilder::new().unwrap().setting("metrics = \"127.0.0.1:0\"");
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    let url = program.announced().iter().find_map(|line| line.strip_prefix("metrics at http://")).unwrap();
    let address = url.strip_suffix("/metrics").unwrap();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.put("f", &[1; 100]).await.unwrap();
        let text = ask("GET /metrics");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("# EOF\n"), "{text}");
        for line in [
            "sshomed_logins_total{method=\"publickey\",result=\"accepted\"} 1",
            "sshomed_transferred_bytes_total{direction=\"upload\"} 100",
            "sshomed_files_total{direction=\"upload\",result=\"done\"} 1",
            "sshomed_request_duration_seconds_count{way=\"sshome\",request=\"put\"} 1",
            "sshomed_sessions{user=\"ann\"} 1",
            "sshomed_used_bytes{user=\"ann\"} 100",
            "sshomed_settings_stale 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        // Even if the kernel denies the server access to /proc.
        for positive in [
            "sshomed_disk_free_bytes{user=\"ann\"} ",
            "sshomed_open_descriptors ",
            "sshomed_max_descriptors ",
            "sshomed_build_info{version=",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(positive));
            assert!(value.is_some_and(|value| !value.is_empty() && value != "0"), "{positive} in\n{text}");
        }
        let file = host.dir().join("etc/users.toml");
        let settings = fs::read_to_string(&file).unwrap();
        fs::write(&file, settings + "[users.zcl]\nquota = \"much\"\n").unwrap();
        assert_eq!(host.administrator().run(&["reload"]).code, Some(1));
        assert!(ask("GET /metrics").lines().any(|line| line == "sshomed_settings_stale 1"));
    });
    assert!(ask("GET /").starts_with("HTTP/1.1 404 "));
    assert!(ask("POST /metrics").starts_with("HTTP/1.1 405 "));
    let host = HostBuilder::new().unwrap().setting("metrics = \"0.0.0.0:9000\"").prepare().unwrap();
    let refused = host.administrator().run(&["check"]);
    assert!(
        refused.code == Some(1) && refused.err().contains("can be reached from other machines"),
        "{refused}"
    );
}
