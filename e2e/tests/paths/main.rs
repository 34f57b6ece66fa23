//! The meaning of paths: every protocol resolves them as the kernel does.

mod bounds;
mod reference;
mod table;

use sshome_e2e::{Client, Commands, Host, Peer};
use sshome_wire::{Payload, Request, Status};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A host with ann, and her home: a link `link` to `a/real`, a file `x` in both `a` and the top, and `f`.
async fn host() -> (Host, PathBuf) {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    fs::create_dir_all(home.join("a/real")).unwrap();
    symlink("a/real", home.join("link")).unwrap();
    for (name, content) in [("x", "top"), ("a/x", "a"), ("f", "f")] {
        fs::write(home.join(name), content).unwrap();
    }
    (host, home)
}

fn content(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dot_dot_after_a_link_is_the_parent_of_its_target() {
    let (host, home) = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.get("link/../x").await.unwrap().unwrap(), b"a");
    let commands = Commands::login(&host, "ann").await.unwrap();
    assert_eq!(commands.run("get link/../x", b"").await.unwrap().stdout, b"a");
    for (path, real) in [("link/../x", "/a/x"), ("link/new", "/a/real/new"), (".", "/"), ("link/..", "/a")] {
        let reply = peer.ask(Request::RealPath { path: path.into() }).await.unwrap();
        assert_eq!(reply.payload, Payload::Path(real.into()), "{path}");
    }
    // A missing directory has no parent.
    for recursive in [false, true] {
        let reply = peer.ask(Request::Rm { path: b"none/../x".to_vec(), recursive }).await.unwrap();
        assert_eq!(reply.status, Status::NoSuchFile, "{reply}");
    }
    for line in ["rm none/../x", "rm -r none/../x", "mv none/../x y", "rm f/../x"] {
        let outcome = commands.run(line, b"").await.unwrap();
        assert_eq!((outcome.code, home.join("x").exists()), (Some(1), true), "{line}");
    }
    assert_eq!(peer.put("link/../new", b"new").await.unwrap().status, Status::Done);
    assert_eq!(content(home.join("a/new")), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_cd_resolves_dot_dot_logically() {
    let (host, home) = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let said = client.script("cd link\npwd\nget ../x\ncd ..\npwd\nput x y\n").unwrap();
    assert_eq!(said.code, Some(0), "{}", said.err());
    let out = said.out();
    let paths: Vec<&str> = out.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(paths, ["/link", "/"]);
    assert_eq!(content(client.work().join("x")), "a");
    assert_eq!(content(home.join("y")), "a");
    let said = client
        .script("-cd none/..\n-cd f/..\n-cd link/../none/..\npwd\ncd link/../a/real/..\npwd\n")
        .unwrap();
    assert_eq!((said.out(), said.err().lines().count()), ("/\n/a\n".to_owned(), 3), "{}", said.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailing_slash_means_a_directory() {
    let (host, home) = host().await;
    symlink("a", home.join("l")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    fs::write(client.work().join("b"), "BB").unwrap();
    let refused = [
        ("put b archive/", "no such directory: /archive/"),
        ("put b archive/.", "no such directory: /archive"),
        ("put b f/", "f/: not a directory"),
        ("get f/", "f/: not a directory"),
        ("get x nodir/", "nodir/ does not exist"),
        ("mv f archive/", "no such directory: /archive/"),
        ("cp f archive/", "no such directory: /archive/"),
        ("cp f x/", "x/: not a directory"),
        ("mv f x/", "x/: not a directory"),
        ("rm f/", "f/: not a directory"),
        ("rm l/", "l/: not a directory"),
        ("rm -r l/", "l/: not a directory"),
        ("ls f/", "f/: not a directory"),
    ];
    let script: String = refused.iter().map(|(line, _)| format!("-{line}\n")).collect();
    let said = client.script(script).unwrap().err();
    for (line, why) in refused {
        assert!(said.contains(why), "{line}: {said}");
    }
    assert_eq!(said.lines().count(), refused.len(), "{said}");
    let commands = Commands::login(&host, "ann").await.unwrap();
    for line in ["put archive/", "put f/", "cp f archive/", "mv f archive/", "mv f x/", "rm f/", "cat f/"] {
        assert_eq!(commands.run(line, b"").await.unwrap().code, Some(1), "{line}");
    }
    assert!(!home.join("archive").exists() && !client.work().join("nodir").exists());
    assert_eq!((content(home.join("f")), content(home.join("x"))), ("f".to_owned(), "top".to_owned()));
    assert!(home.join("l").is_symlink() && home.join("a/x").exists());
    // A directory accepts the slash, even before it exists.
    fs::create_dir(client.work().join("t")).unwrap();
    fs::write(client.work().join("t/in"), "in").unwrap();
    let script = "put b a/\nmkdir d/\nmv f l/\ncp -r a copy/\nput -r t tree/\nmv copy/ moved/\nrm -r d/\nget -r tree new/\n";
    let said = client.script(script).unwrap();
    assert_eq!(said.code, Some(0), "{}", said.err());
    assert_eq!(content(home.join("a/b")) + &content(home.join("a/f")), "BBf");
    assert_eq!(content(home.join("moved/x")) + &content(home.join("tree/in")), "ain");
    assert_eq!(content(client.work().join("new/in")), "in");
    assert!(!home.join("d").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_into_a_missing_directory_makes_no_file() {
    let (host, home) = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let Some(scp) = sshome_e2e::foreign::program("scp", "scp_into_a_missing_directory_makes_no_file") else {
        return;
    };
    fs::write(client.work().join("b"), "BB").unwrap();
    fs::create_dir(client.work().join("t")).unwrap();
    let copy = |how: &[&str], what: &str, target: &str| {
        let mut command = Command::new(&scp);
        command.args(client.openssh_options()).arg("-q").args(how).arg("-P").arg(client.port()).arg(what);
        command.arg(format!("ann@127.0.0.1:{target}")).current_dir(client.work());
        command.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    for how in [&["-s"][..], &["-O"], &["-O", "-r"], &["-O", "-p"]] {
        assert!(!copy(how, "b", "backup/"), "{how:?}");
        assert!(!copy(how, "b", "f/"), "{how:?}");
        assert!(copy(how, "b", "a/"), "{how:?}");
        assert!(!home.join("backup").exists(), "{how:?}");
        assert_eq!((content(home.join("f")), content(home.join("a/b"))), ("f".to_owned(), "BB".to_owned()));
    }
    // The directory may be new, as for cp -r.
    assert!(copy(&["-O", "-r"], "t", "fresh/"));
    assert!(home.join("fresh").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_into_a_removed_working_directory_makes_no_file() {
    let (host, home) = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::write(client.work().join("b"), "BB").unwrap();
    fs::create_dir(home.join("gone")).unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.ask(Request::Cd { path: b"gone".to_vec() }).await.unwrap().status, Status::Done);
    fs::remove_dir(home.join("gone")).unwrap();
    for path in [&b""[..], b".", b"./"] {
        assert_eq!(peer.put(path, b"BB").await.unwrap().status, Status::NoSuchDirectory);
        assert!(!home.join("gone").exists());
    }
    // `cd ..` still works, as in a shell.
    assert_eq!(peer.ask(Request::Cd { path: b"..".to_vec() }).await.unwrap().status, Status::Done);
    for put in ["put b", "put b .", "put b ./"] {
        let said = client.script(format!("mkdir -p /gone\ncd /gone\nrmdir /gone\n{put}\n")).unwrap();
        assert!(said.err().contains("no such directory: /gone"), "{put}: {}", said.err());
        assert!(!home.join("gone").exists(), "{put}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_without_a_name_and_the_home_cannot_be_removed() {
    let (host, home) = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let commands = Commands::login(&host, "ann").await.unwrap();
    for path in [".", "..", "/", "a/.", "a/..", "a/real/..", "./", "../", "a/./", ""] {
        for request in [
            Request::Rm { path: path.into(), recursive: true },
            Request::Rm { path: path.into(), recursive: false },
            Request::Rmdir { path: path.into() },
            Request::Mv { from: path.into(), to: b"elsewhere".to_vec() },
        ] {
            let shown = format!("{request:?}");
            let reply = peer.ask(request).await.unwrap();
            assert!(reply.status.is_error(), "{shown}: {reply}");
        }
        for name in ["rm -r", "rm -rf", "rmdir", "cat"] {
            let outcome = commands.run(format!("{name} '{path}'"), b"").await.unwrap();
            assert_ne!(outcome.code, Some(0), "{name} {path}");
        }
    }
    assert!(home.join("a/real").exists() && home.join("x").exists() && !home.join("elsewhere").exists());
}
