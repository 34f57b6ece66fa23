//! Landlock: the files that a confined server can reach.

use super::*;

/// Whether the kernel can confine a server.
fn confines(host: &Host, test: &str) -> bool {
    let confines = log(host).contains("Landlock ABI");
    if !confines {
        eprintln!("skipped: {test}: this kernel has no Landlock, or it is switched off");
    }
    confines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_outside_the_homes_needs_a_restart_and_one_inside_does_not() {
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().display();
    let mut host = telling("").user("ann", "").unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    if !confines(&host, "a_new_root_outside_the_homes_needs_a_restart_and_one_inside_does_not") {
        return;
    }
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let before = fs::read_to_string(host.dir().join("etc/users.toml")).unwrap();
    edit(&host, |text| text.replace("shutdown-grace = 1", "shutdown-grace = 7"));
    edit(&host, |text| {
        text + &user(&host, "new", "") + &user(&host, "bob", &format!("root = \"{outside}\""))
    });
    let refused = reload(&host);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(
        refused.err().contains(&format!("restart needed: users.bob.root ({outside} is outside")),
        "{refused}"
    );
    assert!(Peer::login(&host, "bob").await.is_err() && Peer::login(&host, "new").await.is_err());
    assert!(!host.home("new").exists());
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
    edit(&host, |_| before + &user(&host, "new", ""));
    let done = reload(&host);
    assert_eq!(done.code, Some(0), "{done}");
    let mut new = Peer::login(&host, "new").await.unwrap();
    assert_eq!(new.put("f", b"1").await.unwrap().status, Status::Done);
    drop(program);

    edit(&host, |text| text + &user(&host, "bob", &format!("root = \"{outside}\"")));
    let _program = host.start_apart().unwrap();
    let mut bob = Peer::login(&host, "bob").await.unwrap();
    assert_eq!(bob.put("f", b"1").await.unwrap().status, Status::Done);
}

/// The server's own checks pass, because the names are those of its start; only their folders were replaced. So it is
/// the kernel that refuses, even to root.
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_confines_the_server_to_its_folders() {
    for confine in ["best-effort", "off"] {
        let elsewhere = tempfile::tempdir().unwrap();
        let root = elsewhere.path().join("root");
        fs::create_dir(&root).unwrap();
        let builder = telling(&format!("confine = \"{confine}\"")).user("ann", "").unwrap();
        let settings = format!("root = \"{}\"", root.display());
        let mut host = builder.user("bob", &settings).unwrap().prepare().unwrap();
        let program = host.start_apart().unwrap();
        let confined = confine != "off";
        if confined && !confines(&host, "the_kernel_confines_the_server_to_its_folders") {
            return;
        }
        assert_eq!(status(&program, "NoNewPrivs").contains(&"0".to_owned()), !confined);
        let text = fs::read_to_string(host.dir().join("etc/users.toml")).unwrap();
        edit(&host, |text| text + "enabled = false\n");
        assert_eq!(reload(&host).code, Some(0));
        fs::rename(&root, elsewhere.path().join("before")).unwrap();
        fs::create_dir(&root).unwrap();
        edit(&host, |_| text.clone());
        let done = reload(&host);
        // The home affects only its user: the settings are applied.
        assert_eq!(done.code, Some(0), "{confine}: {done}");
        assert_eq!(done.out().contains("bob is locked out"), confined, "{confine}: {done}");
        assert_eq!(done.out().contains("restart needed"), confined, "{confine}: {done}");
        assert_eq!(Peer::login(&host, "bob").await.is_err(), confined, "{confine}");

        // Nor can it read a key through a link in keys/.
        let key = host.key().public_key().to_openssh().unwrap();
        fs::write(elsewhere.path().join("eve.pub"), key).unwrap();
        symlink(elsewhere.path().join("eve.pub"), host.dir().join("keys/eve.pub")).unwrap();
        edit(&host, |_| {
            let settings = text.split("\n[users.bob]").next().unwrap().to_owned();
            settings + "\n[users.eve]\nauthorized-keys = [\"keys/eve.pub\"]\n"
        });
        let done = reload(&host);
        assert_eq!(done.code == Some(0), !confined, "{confine}: {done}");
        assert_eq!(done.err().contains("keys/eve.pub cannot be read"), confined, "{confine}: {done}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confinement_can_be_required() {
    let mut host = telling("confine = \"required\"").user("ann", "").unwrap().prepare().unwrap();
    match host.start_apart() {
        Ok(_program) => {
            assert!(
                log(&host).contains("Landlock ABI") && !log(&host).contains("not confined"),
                "{}",
                log(&host)
            );
            let mut peer = Peer::login(&host, "ann").await.unwrap();
            assert_eq!(peer.put("f", b"1").await.unwrap().status, Status::Done);
        }
        Err(_) => assert!(refusal(&host).contains("Linux 6.12"), "{}", refusal(&host)),
    }
}
