//! The old protocol of scp: malicious clients by hand, and real ones.

use sshome_e2e::foreign::program;
use sshome_e2e::tree::{contents, mode, noise, plant, set_mode};
use sshome_e2e::{Client, Exec, Host, Outcome, run, until};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::timeout;

fn staged(home: &Path) -> usize {
    fs::read_dir(home.join(".sshome-staging")).map_or(0, |staged| staged.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_source_writes_nothing_outside_the_target() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let home = host.home("ann");
    fs::create_dir(home.join("target")).unwrap();
    fs::write(home.join("above"), b"old").unwrap();
    symlink("..", home.join("target/up")).unwrap();
    for (records, why) in [
        (&b"C0644 3 ../above\nnew\0"[..], "a name that is a path"),
        (b"C0644 3 /above\nnew\0", "a name that is a path"),
        (b"C0644 3 ..\nnew\0", "a name that is a path"),
        (b"C0644 3 .\nnew\0", "a name that is a path"),
        (b"D0755 0 ..\nC0644 3 above\nnew\0", "a name that is a path"),
        (b"D0755 0 up/\nC0644 3 above\nnew\0", "a name that is a path"),
        (b"E\nC0644 3 above\nnew\0", "an end of no directory"),
        (b"D0755 0 d\nE\nE\nC0644 3 above\nnew\0", "an end of no directory"),
        (b"C0644 99999999999999999999 f\n", "an invalid size"),
        (b"C0644 -3 f\n", "an invalid size"),
        (b"rm -rf /\n", "an unknown kind of record"),
    ] {
        let outcome = run(&host, "ann", "scp -r -t target", records).await.unwrap();
        assert_eq!(outcome.code, Some(1), "{}", records.escape_ascii());
        assert!(outcome.out().ends_with(&format!("{why}\n")), "{}: {outcome}", records.escape_ascii());
        assert_eq!(fs::read(home.join("above")).unwrap(), b"old");
    }
    // A link in the target is followed inside the home. A directory needs -r.
    let outcome = run(&host, "ann", "scp -t target", b"D0755 0 d2\nC0644 3 f\nnew\0").await.unwrap();
    assert_eq!(outcome.code, Some(1));
    assert!(!home.join("target/d2").exists() && !home.join("target/f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_its_source_does_not_finish_is_not_published() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let home = host.home("ann");
    fs::write(home.join("f"), b"old").unwrap();
    for records in [
        &b"C0644 3 f\n"[..],
        b"C0644 3 f\nne",
        b"C0644 3 f\nnew\x01the source failed\n",
        b"C0644 3 f\nnew\x02the source failed\n",
        b"C0644 9223372036854775807 f\nnew\0",
        b"C0644 1048577 f\n",
        b"C0644 3",
        b"\x01nothing to send\n",
        b"\x02nothing to send\n",
        b"T1 0 1 0\n\x01x\n",
    ] {
        let outcome = run(&host, "ann", "scp -p -t .", records).await.unwrap();
        assert_eq!(outcome.code, Some(1), "{}: {outcome}", records.escape_ascii());
        assert_eq!(fs::read(home.join("f")).unwrap(), b"old", "{}", records.escape_ascii());
        until("nothing is staged", || staged(&home) == 0);
    }
    // The connection is lost between the data and their confirmation.
    let mut scp = Exec::start(&host, "ann", "scp -t f").await.unwrap();
    scp.send(b"C0644 3 f\nnew").await.unwrap();
    assert_eq!(scp.read(2).await.unwrap(), [0, 0]);
    scp.vanish().await.unwrap();
    until("nothing is staged", || staged(&home) == 0);
    assert_eq!(fs::read(home.join("f")).unwrap(), b"old");
}

/// As libssh2 and curl do: no confirmation after the data, and the input ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_may_end_after_its_last_announced_byte() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    for (records, content) in [(&b"C0644 3 f\nnew"[..], &b"new"[..]), (b"C0644 0 f\n", b"")] {
        let outcome = run(&host, "ann", "scp -t f", records).await.unwrap();
        assert_eq!((outcome.code, &*outcome.stdout), (Some(0), &b"\0\0\0"[..]), "{}", records.escape_ascii());
        assert_eq!(fs::read(home.join("f")).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_lines_and_folders_end() {
    let host = Host::with_user("ann", "").await.unwrap();
    for (line, input) in [
        ("scp -t .", vec![b'C'; 8 << 20]),
        ("scp -f .", vec![1; 8 << 20]),
        ("scp -t .", vec![b'\n'; 1 << 20]),
    ] {
        let outcome = run(&host, "ann", line, &input).await.unwrap();
        assert_eq!(outcome.code, Some(1), "{line}");
        assert!(outcome.stdout.len() + outcome.stderr.len() < 1000, "{line}");
    }
    let outcome = run(&host, "ann", "scp -r -t .", &b"D0755 0 d\n".repeat(3000)).await.unwrap();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.out().contains("directories are nested too deeply"));
    assert_eq!(run(&host, "ann", "rm -r d", b"").await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_offered_and_sent_when_it_is_accepted() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    fs::write(home.join("f"), b"content").unwrap();
    symlink("/", home.join("slash")).unwrap();
    set_mode(home.join("f"), 0o640).unwrap();
    let mut scp = Exec::start(&host, "ann", "scp -f f").await.unwrap();
    scp.send(b"\0").await.unwrap();
    assert_eq!(scp.line().await.unwrap(), b"C0640 7 f");
    scp.send(b"\0").await.unwrap();
    assert_eq!(scp.read(8).await.unwrap(), b"content\0");
    scp.send(b"\0").await.unwrap();
    let end = scp.finish().await.unwrap();
    assert_eq!((end.code, end.stdout), (Some(0), Vec::new()));
    // A refused file is not sent, and the next one is offered.
    let mut scp = Exec::start(&host, "ann", "scp -f f nothing f").await.unwrap();
    scp.send(b"\0").await.unwrap();
    assert_eq!(scp.line().await.unwrap(), b"C0640 7 f");
    scp.send(b"\x01no room\n").await.unwrap();
    assert_eq!(scp.line().await.unwrap(), b"\x01scp: no such file: /nothing");
    assert_eq!(scp.line().await.unwrap(), b"C0640 7 f");
    scp.send(b"\x02no more\n").await.unwrap();
    assert_eq!(scp.finish().await.unwrap().code, Some(1));
    // A link to the top of the home is a cycle, and is skipped.
    let sent = run(&host, "ann", "scp -r -f /", &[0; 100]).await.unwrap();
    assert_eq!(sent.code, Some(1));
    assert!(sent.out().contains("/slash links to a directory that contains it; skipped"), "{sent}");
    assert!(sent.out().contains("C0640 7 f\ncontent\0"));
}

/// The time in which a closed channel is noticed.
const STAYS_OPEN: Duration = Duration::from_millis(500);

/// Most clients handle only messages of the protocol, not standard error.
#[tokio::test(flavor = "multi_thread")]
async fn a_usage_error_is_reported_in_the_scp_protocol() {
    let host = Host::with_user("ann", "").await.unwrap();
    let reader = Host::with_user("ann", "access = \"read-only\"").await.unwrap();
    for (host, line, why) in [
        (&host, "scp -f *.txt", "nothing is expanded: quote the *"),
        (&host, "scp -t a;b", "quote the ;"),
        (&host, "scp -r -t 'x", "a ' is never closed"),
        (&host, "scp -x -f f", "usage: "),
        (&host, "scp -t", "usage: "),
        (&host, "scp -t a b", "scp needs -f, or -t and one name"),
        (&host, "scp -pf", "usage: "),
        (&host, "scp -f none", "no such file: /none"),
        (&reader, "scp -t f", "this account is read-only"),
    ] {
        let outcome = run(host, "ann", line, b"\0").await.unwrap();
        assert_eq!(outcome.code, Some(1), "{line}: {outcome}");
        let said = outcome.out();
        assert!(said.starts_with("\u{1}scp: ") && said.ends_with('\n'), "{line}: {outcome}");
        assert!(said.contains(why), "{line}: {outcome}");
        assert_eq!(said.lines().count(), 1, "{line}: {outcome}");
    }
    // A client that sends a byte before it reads finds the channel open, as with sshd.
    let mut scp = Exec::start(&host, "ann", "scp -f *.txt").await.unwrap();
    assert!(scp.line().await.unwrap().starts_with(b"\x01scp: "));
    assert!(
        timeout(STAYS_OPEN, scp.read(1)).await.is_err(),
        "the channel is closed before the client's byte"
    );
    scp.send(b"\0").await.unwrap();
    assert_eq!(scp.finish().await.unwrap().code, Some(1));
    // The server does not wait forever.
    assert_eq!(
        Exec::start(&host, "ann", "scp -f *.txt").await.unwrap().finish().await.unwrap().code,
        Some(1)
    );
    // Any other command has its errors only on standard error.
    let outcome = run(&host, "ann", "get *.txt", b"").await.unwrap();
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(2), ""), "{outcome}");
}

/// The names that an scp client can transfer: all except those with a line break.
fn plant_for_scp(top: &Path) {
    plant(top).unwrap();
    let folders = [top.to_owned(), top.join("odd")];
    for folder in folders {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().as_bytes().contains(&b'\n') {
                fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
            }
        }
    }
}

/// Copies a tree to the server and back with an scp client, and single files in the usual ways.
fn there_and_back(host: &Host, client: &Client, scp: impl Fn() -> Command) {
    let (work, home) = (client.work(), host.home("ann"));
    let remote = |path: &str| format!("{}:{path}", client.destination());
    let copy = |from: &[&str], to: &str| -> Outcome { scp().args(from).arg(to).output().unwrap().into() };
    let succeed = |from: &[&str], to: &str| {
        let outcome = copy(from, to);
        assert_eq!(outcome.code, Some(0), "{from:?} to {to}: {outcome}");
    };
    plant_for_scp(&work.join("tree"));
    succeed(&["-r", "tree"], &remote("there"));
    assert_eq!(contents(&work.join("tree")).unwrap(), contents(&home.join("there")).unwrap());
    succeed(&["-r", &remote("there")], "back");
    assert_eq!(contents(&work.join("tree")).unwrap(), contents(&work.join("back")).unwrap());
    // Into an existing folder, under a new name, and over a file.
    fs::create_dir(home.join("folder")).unwrap();
    fs::write(work.join("one"), b"one").unwrap();
    fs::write(work.join("two"), noise(300_000, "two")).unwrap();
    set_mode(work.join("one"), 0o600).unwrap();
    succeed(&["one", "two"], &remote("folder"));
    assert_eq!(fs::read(home.join("folder/one")).unwrap(), b"one");
    assert_eq!(fs::read(home.join("folder/two")).unwrap(), noise(300_000, "two"));
    succeed(&["two"], &remote("folder/one"));
    assert_eq!(fs::read(home.join("folder/one")).unwrap(), noise(300_000, "two"));
    // -p keeps mode and time.
    let old =
        fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
    fs::File::options().write(true).open(work.join("one")).unwrap().set_times(old).unwrap();
    succeed(&["-p", "one"], &remote("kept"));
    let kept = fs::metadata(home.join("kept")).unwrap();
    assert_eq!(
        (mode(home.join("kept")).unwrap(), kept.modified().unwrap()),
        (0o600, fs::metadata(work.join("one")).unwrap().modified().unwrap())
    );
    succeed(&["-p", &remote("kept")], "kept");
    assert_eq!(fs::metadata(work.join("kept")).unwrap().modified().unwrap(), kept.modified().unwrap());
    set_mode(work.join("tree/folder 3"), 0o750).unwrap();
    succeed(&["-r", "-p", "tree"], &remote("."));
    assert_eq!(mode(home.join("tree/folder 3")).unwrap(), 0o750);
    // OpenSSH sends whole seconds.
    let modified = |path: PathBuf| fs::metadata(path).unwrap().mtime();
    assert_eq!(modified(home.join("tree/folder 3")), modified(work.join("tree/folder 3")));
    // A failure has a message and an exit status.
    let missing = copy(&[&remote("nothing")], "nothing");
    assert!(missing.code == Some(1) && missing.err().contains("no such file: /nothing"), "{missing}");
    let many = copy(&["one", "two"], &remote("kept"));
    assert_eq!(many.code, Some(1), "{many}");
    fs::write(work.join("huge"), vec![0; 21 << 20]).unwrap();
    let full = copy(&["huge"], &remote("huge"));
    assert!(full.code == Some(1) && full.err().contains("quota exceeded: huge needs 21.0 MiB"), "{full}");
    assert!(!home.join("huge").exists());
    let folder = copy(&[&remote("folder")], "nothing");
    assert!(folder.code == Some(1) && folder.err().contains("scp -r copies it"), "{folder}");
    // A name with a line break is skipped, and the others are copied.
    fs::write(home.join(std::ffi::OsStr::from_bytes(b"folder/new\nline")), b"x").unwrap();
    let partly = copy(&["-r", &remote("folder")], "partly");
    assert!(partly.code == Some(1) && partly.err().contains("scp cannot transfer this name"), "{partly}");
    assert_eq!(fs::read(work.join("partly/two")).unwrap(), noise(300_000, "two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_scp_works_in_its_old_protocol() {
    let Some(scp) = program("scp", "openssh_scp_works_in_its_old_protocol") else { return };
    let host = Host::with_user("ann", "quota = \"20 MiB\"").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    there_and_back(&host, &client, || client.old_scp(scp.clone()));
}

/// scp over Dropbear's client, as on small systems.
#[tokio::test(flavor = "multi_thread")]
async fn scp_works_over_dropbear() {
    let name = "scp_works_over_dropbear";
    let (Some(scp), Some(_), Some(convert)) =
        (program("scp", name), program("dbclient", name), program("dropbearconvert", name))
    else {
        return;
    };
    let host = Host::with_user("ann", "quota = \"20 MiB\"").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let key = client.home().join("dropbear-key");
    let mut command = client.foreign(convert);
    command.args(["openssh", "dropbear"]).args([client.key(), &key]);
    assert!(command.output().unwrap().status.success(), "dropbearconvert");
    // scp does not know Dropbear's options, so a wrapper passes them.
    let wrapper: PathBuf = client.home().join("dbclient");
    let text = format!("#!/bin/sh\nexec dbclient -y -y -i {} -p {} \"$@\"\n", key.display(), client.port());
    fs::write(&wrapper, text).unwrap();
    set_mode(&wrapper, 0o700).unwrap();
    there_and_back(&host, &client, || {
        let mut command = client.foreign(scp.clone());
        command.args(["-O", "-S"]).arg(&wrapper);
        command
    });
}
