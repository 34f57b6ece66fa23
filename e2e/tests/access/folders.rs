//! Keys that see a folder as their home: nothing outside of it is reached, shown or changed.

use sshome_e2e::{Client, Commands, Host, HostBuilder, Peer};
use sshome_wire::{Frame, Put, Request, Status, Time};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A host with these settings of ann, and of her key.
async fn host(settings: &str, limits: &str) -> Host {
    let mut host =
        HostBuilder::new().unwrap().restricted_user("ann", settings, limits).unwrap().prepare().unwrap();
    let home = host.home("ann");
    fs::create_dir_all(home.join("laptop/d")).unwrap();
    fs::write(home.join("secret"), "secret").unwrap();
    fs::write(home.join("laptop/f"), "inside").unwrap();
    host.start().await.unwrap();
    host
}

fn laptop(host: &Host) -> PathBuf {
    host.home("ann").join("laptop")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_is_the_home_in_every_protocol() {
    let host = host("quota = 1000", "folder = \"/laptop\"").await;
    symlink("/f", laptop(&host).join("absolute")).unwrap();
    symlink("../secret", laptop(&host).join("relative")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let run = |arguments: &[&str]| client.run(arguments).unwrap();
    assert_eq!(
        run(&["ls", "/"]).out().split_whitespace().collect::<Vec<_>>(),
        ["absolute", "d", "f", "relative"]
    );
    assert_eq!(run(&["get", "absolute", "x"]).code, Some(0));
    for path in ["/secret", "../secret", "relative", "d/../../secret", "/laptop/f"] {
        let refused = run(&["get", path, "x"]);
        assert!(refused.code == Some(1) && refused.err().contains("(402)"), "{path}: {refused}");
    }
    fs::write(client.work().join("new"), "new").unwrap();
    assert_eq!(run(&["put", "new", "/../../new"]).code, Some(0));
    assert_eq!(fs::read(laptop(&host).join("new")).unwrap(), b"new");
    // The quota is the user's.
    assert!(run(&["df"]).out().contains(" 1000\n"), "{}", run(&["df"]));
    fs::write(client.work().join("large"), [1; 995]).unwrap();
    assert!(run(&["put", "large"]).err().contains("quota exceeded"));
    let commands = Commands::login(&host, "ann").await.unwrap();
    let listed = commands.run("ls /", b"").await.unwrap();
    assert!(listed.out().contains('f') && !listed.out().contains("secret"), "{listed}");
    assert!(commands.run("cat ../secret", b"").await.unwrap().code != Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_reported_at_the_login_and_by_check() {
    let host = host("", "folder = \"/desktop\"").await;
    let refused = Client::new(&host, "ann").unwrap().run(["ls"]).unwrap();
    assert!(refused.err().contains("the folder /desktop of your key does not exist"), "{refused}");
    let checked = host.administrator().run(&["check"]);
    let text = format!("{}{}", checked.out(), checked.err());
    assert!(text.contains("its folder /desktop cannot be opened"), "{checked}");
    assert!(text.contains("read-write in /desktop"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_uploads_outside_are_not_shown_and_those_inside_survive_a_restart() {
    let mut host = host("", "folder = \"/laptop\"").await;
    let content = sshome_e2e::tree::noise(9 << 20, "part");
    let source = Time { seconds: 7, nanoseconds: 0 };
    let put = |path: &str| Put {
        path: path.into(),
        size: Some(content.len() as u64),
        mtime: None,
        source: Some(source),
        mode: None,
        resume: 0,
    };
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.send(&Frame::Request(Request::Put(put("d/part")))).await.unwrap();
    peer.send_data(&content[..5 << 20]).await.unwrap();
    // A cancelled upload is kept.
    peer.send(&Frame::Cancel).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Cancelled);
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    drop(peer);
    host.stop().await.unwrap();
    host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let parts = client.run(["df", "-v"]).unwrap();
    assert!(parts.out().contains("/d/part") && !parts.out().contains("laptop"), "{parts}");
    assert_eq!(client.run(["rm", "--partial", "d/part"]).unwrap().code, Some(0));
    assert!(!client.run(["df", "-v"]).unwrap().out().contains("part"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deletable_patterns_match_inside_the_folder() {
    let host = host("deletable = [\"locks/*\"]", "folder = \"/laptop\"\naccess = \"append-only\"").await;
    for name in ["locks/a", "d/b"] {
        let path = laptop(&host).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let client = Client::new(&host, "ann").unwrap();
    assert_eq!(client.run(["rm", "locks/a"]).unwrap().code, Some(0));
    assert!(client.run(["rm", "d/b"]).unwrap().err().contains("(413)"));
}
