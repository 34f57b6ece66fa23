//! Logins whose rights become narrower while they transfer: their sessions end like those of revoked logins.

use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Exec, Host, HostBuilder, Outcome, Peer, end_of, run, until};
use sshome_wire::{Frame, Request, Status};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

const MIB: usize = 1 << 20;

/// A host whose key has these limits for ann, and a folder in her home.
async fn host(settings: &str, limits: &str) -> Host {
    let mut host =
        HostBuilder::new().unwrap().restricted_user("ann", settings, limits).unwrap().prepare().unwrap();
    for folder in ["laptop", "laptop/d", "other"] {
        fs::create_dir_all(host.home("ann").join(folder)).unwrap();
    }
    host.start().await.unwrap();
    host
}

/// Replaces a text in the settings, and reloads them.
fn reload(host: &Host, from: &str, to: &str) -> Outcome {
    let file = host.dir().join("etc/users.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
    host.administrator().run(&["reload"])
}

/// The names of all files below a folder, except for those that are being received.
fn published(top: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(top).unwrap() {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        match path.is_dir() {
            true if name != ".sshome-staging" => names.extend(published(&path)),
            true => {}
            false => names.push(name.into_string().unwrap()),
        }
    }
    names
}

/// An upload in each protocol, of which half has been received.
struct Uploads {
    content: Vec<u8>,
    native: Peer,
    sftp: SftpPeer,
    handle: bytes::Bytes,
    scp: Exec,
    exec: Exec,
}

impl Uploads {
    async fn begin(host: &Host) -> Uploads {
        let content = noise(2 * MIB, "content");
        let mut native = Peer::login(host, "ann").await.unwrap();
        native.begin_put("native", Some(content.len() as u64)).await.unwrap();
        native.send_data(&content[..MIB]).await.unwrap();
        let mut sftp = SftpPeer::login(host, "ann").await.unwrap();
        let handle = sftp.open("sftp", ANEW).await.unwrap().unwrap();
        assert_eq!(sftp.write(&handle, 0, &content[..1000]).await.unwrap(), None);
        let mut scp = Exec::start(host, "ann", "scp -t scp").await.unwrap();
        scp.send(format!("C0644 {} scp\n", content.len()).as_bytes()).await.unwrap();
        assert_eq!(scp.read(2).await.unwrap(), [0, 0]);
        scp.send(&content[..MIB]).await.unwrap();
        let exec = Exec::start(host, "ann", "put exec").await.unwrap();
        exec.send(&content[..MIB]).await.unwrap();
        until("all uploads have begun", || {
            let status = host.administrator().json(&["status"]);
            let sessions = status["sessions"].as_array().unwrap();
            sessions.iter().filter(|session| !session["ways"].as_array().unwrap().is_empty()).count() == 4
        });
        Uploads { content, native, sftp, handle, scp, exec }
    }

    /// Sends the rest. Nothing is accepted: all sessions have ended.
    async fn assert_ended(mut self, case: &str) {
        // The server may be gone before all is sent.
        let _ = self.native.send_data(&self.content[MIB..]).await;
        let _ = self.native.send(&Frame::End(end_of(&self.content))).await;
        assert!(self.native.reply().await.is_err(), "{case}");
        assert!(self.sftp.write(&self.handle, 1000, &self.content[1000..2000]).await.is_err(), "{case}");
        let _ = self.scp.send(&self.content[MIB..]).await;
        let _ = self.scp.send(&[0]).await;
        let _ = self.scp.end().await;
        assert_ne!(self.scp.finish().await.unwrap().code, Some(0), "{case}");
        let _ = self.exec.send(&self.content[MIB..]).await;
        let _ = self.exec.end().await;
        assert_ne!(self.exec.finish().await.unwrap().code, Some(0), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_end_when_the_access_or_the_folder_becomes_narrower() {
    for (settings, limits, from, to, sftp_in_place) in [
        ("access = \"read-write\"", "", "access = \"read-write\"", "access = \"read-only\"", true),
        ("", "access = \"read-write\"", "access = \"read-write\"", "access = \"append-only\"", true),
        ("", "access = \"append-only\"", "access = \"append-only\"", "access = \"read-only\"", false),
        ("", "access = \"append-only\"", "access = \"append-only\"", "access = \"upload-only\"", false),
        ("", "comment = \"one\"", "comment = \"one\"", "folder = \"/laptop\"", true),
        ("", "folder = \"/laptop\"", "folder = \"/laptop\"", "folder = \"/other\"", true),
    ] {
        let host = host(settings, limits).await;
        let uploads = Uploads::begin(&host).await;
        let done = reload(&host, from, to);
        let case = format!("{from} becomes {to}: {done}");
        assert_eq!(done.code, Some(0), "{case}");
        assert!(done.out().contains("4 sessions were ended"), "{case}");
        uploads.assert_ended(&case).await;
        // What SFTP writes in place is visible from the start.
        let left = if sftp_in_place { vec!["sftp".to_owned()] } else { Vec::new() };
        until("the uploads have ended", || {
            host.administrator().json(&["status"])["sessions"].as_array().unwrap().is_empty()
        });
        assert_eq!(published(&host.home("ann")), left, "{case}");
        if let [name] = &left[..] {
            let find = |folder: &str| fs::metadata(host.home("ann").join(folder).join(name));
            let found = find("").or_else(|_| find("laptop")).unwrap();
            assert_eq!(found.len(), 1000, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_narrows_the_access_ends_uploads_and_the_client_says_why() {
    let host = host("", "access = \"read-write\"").await;
    let client = Client::new(&host, "ann").unwrap();
    let mut command = client.command().unwrap();
    command.arg(client.destination()).args(["put", "-", "f"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let content = noise(9 * MIB, "stream");
    stdin.write_all(&content[..8 * MIB]).unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    until("a part has arrived", || {
        let staged = fs::read_dir(&staging).into_iter().flatten().flatten();
        staged.filter_map(|entry| entry.metadata().ok()).any(|found| found.len() >= MIB as u64)
    });
    let set = host.administrator().run(&["user", "set", "ann", "--access", "read-only"]);
    assert_eq!(set.code, Some(0), "{set}");
    assert!(set.out().contains("applied to the running server; 1 session was ended"), "{set}");
    // The client may have ended.
    let _ = stdin.write_all(&content[8 * MIB..]);
    drop(stdin);
    let outcome: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("this account is read-only"), "{outcome}");
    assert!(
        outcome.err().contains("the access of the account or key was restricted to read-only"),
        "{outcome}"
    );
    assert_eq!(published(&host.home("ann")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_continue_when_the_access_becomes_wider_or_stays() {
    for (from, to) in [
        ("access = \"append-only\"", "access = \"read-write\""),
        ("access = \"append-only\"", "access = \"append-only\"\ncomment = \"another\""),
    ] {
        let host = host("", "access = \"append-only\"").await;
        let content = noise(2 * MIB, "content");
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.begin_put("f", Some(content.len() as u64)).await.unwrap();
        peer.send_data(&content[..MIB]).await.unwrap();
        let done = reload(&host, from, to);
        assert!(done.code == Some(0) && !done.out().contains("ended"), "{done}");
        peer.send_data(&content[MIB..]).await.unwrap();
        peer.send(&Frame::End(end_of(&content))).await.unwrap();
        assert_eq!(peer.reply().await.unwrap().status, Status::Done);
        assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_in_a_rejected_file_ends_uploads_too() {
    for (limits, to) in [
        ("access = \"append-only\"", "access = \"read-only\""),
        ("comment = \"one\"", "folder = \"/laptop\""),
    ] {
        let host = host("", limits).await;
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.begin_put("f", Some(MIB as u64)).await.unwrap();
        let done = reload(&host, limits, &format!("{to}\n[users.ben]\nquota = \"much\""));
        assert!(done.code == Some(1) && done.err().contains("ann: keys restricted"), "{done}");
        assert!(done.err().contains("1 session was ended"), "{done}");
        assert!(peer.reply().await.is_err(), "{to}");
        let seen = run(&host, "ann", "ls", b"").await.unwrap();
        assert_eq!(seen.out().contains("laptop"), to.contains("access"), "{to}: {seen}");
    }
}
