//! Keys that users manage themselves, with the real `sshome`.

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use sshome_e2e::foreign::program;
use sshome_e2e::tree::mode;
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Peer};
use sshome_wire::{Payload, Request, Status};
use std::fs;
use std::path::Path;

/// Makes a key pair as ssh-keygen leaves it, and returns the public key's fingerprint.
fn make_key(file: &Path, comment: &str) -> String {
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    key.set_comment(comment);
    key.write_openssh_file(file, LineEnding::LF).unwrap();
    fs::write(file.with_extension("pub"), key.public_key().to_openssh().unwrap() + "\n").unwrap();
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Runs `pwd` with this key and no other.
fn pwd(client: &Client, key: &Path) -> Outcome {
    let mut command = client.keyless().unwrap();
    command.arg("-i").arg(key).arg(client.destination()).arg("pwd").output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_key_logs_in_at_once_and_a_removed_key_no_longer() {
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let key = client.work().join("new");
    let print = make_key(&key, "ann's\x1b[2J laptop");
    assert_eq!(pwd(&client, &key).code, Some(5));

    let said = client.succeed(["key", "install", "new.pub"]).unwrap();
    assert_eq!(said, format!("installed: {print} ann's\\x1b[2J laptop\n"));
    assert_eq!(pwd(&client, &key).code, Some(0));
    let said = client.succeed(["key", "install", "new"]).unwrap();
    assert!(said.starts_with("is there already: SHA256:"), "{said}");
    let file = host.dir().join("keys/authorized/ann");
    assert_eq!((mode(&file).unwrap(), mode(file.parent().unwrap()).unwrap()), (0o600, 0o700));

    let list = client.succeed(["key", "list"]).unwrap();
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], [&print, "ssh-ed25519", "own", "ann's\\x1b[2J", "laptop"]);
    assert_eq!(rows[1][1..], ["ssh-ed25519", "administrator"]);
    let stays = client.run(["key", "remove", rows[1][0]]).unwrap();
    assert_eq!(stays.code, Some(1), "{stays}");
    assert!(stays.err().contains("406") && stays.err().contains("administrator"), "{stays}");

    let said = client.succeed(["key", "remove", &print]).unwrap();
    assert!(said.starts_with(&format!("removed: {print}")), "{said}");
    assert_eq!(pwd(&client, &key).code, Some(5));
    let gone = client.run(["key", "remove", "new.pub"]).unwrap();
    assert!(gone.code == Some(1) && gone.err().contains("404"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_key_is_installed_as_ssh_copy_id_does() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    host.set_password("ann", "open sesame").unwrap();
    host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let none: Outcome = client
        .answering("open sesame")
        .unwrap()
        .arg(client.destination())
        .args(["key", "install"])
        .output()
        .unwrap()
        .into();
    assert!(none.code == Some(1) && none.err().contains("there is no key to install"), "{none}");

    fs::create_dir(client.home().join(".ssh")).unwrap();
    let print = make_key(&client.home().join(".ssh/id_ed25519"), "usual");
    let install: Outcome = client
        .answering("open sesame")
        .unwrap()
        .arg("--json")
        .arg(client.destination())
        .args(["key", "install"])
        .output()
        .unwrap()
        .into();
    assert_eq!(install.code, Some(0), "{install}");
    let want = format!(
        r#"{{"event":"key","action":"installed","fingerprint":"{print}","type":"ssh-ed25519","comment":"usual","own":true}}"#
    );
    assert!(install.out().lines().any(|line| line == want), "{install}");
    let asked = client.asked().unwrap();
    let quiet: Outcome =
        client.answering("wrong").unwrap().arg(client.destination()).arg("pwd").output().unwrap().into();
    assert_eq!((quiet.code, client.asked().unwrap()), (Some(0), asked), "a password was asked for: {quiet}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_own_keys_installation_and_installed_keys_are_refused() {
    for settings in ["access = \"read-only\"", "own-keys = false"] {
        let host = Host::with_user("ann", settings).await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        make_key(&client.work().join("new"), "");
        let refused = client.run(["key", "install", "new.pub"]).unwrap();
        assert!(refused.code == Some(1) && refused.err().contains("permission denied: "), "{refused}");
        assert!(!host.dir().join("keys/authorized").exists());
        // A key that was installed before the administrator changed the setting.
        fs::create_dir_all(host.dir().join("keys/authorized")).unwrap();
        fs::copy(client.work().join("new.pub"), host.dir().join("keys/authorized/ann")).unwrap();
        assert_eq!(pwd(&client, &client.work().join("new")).code, Some(5));
        assert_eq!(client.succeed(["key", "list"]).unwrap().lines().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_credential_cannot_be_removed() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let mut program = host.start_apart().unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let (first, second) = (client.work().join("first"), client.work().join("second"));
    let prints = [make_key(&first, ""), make_key(&second, "")];
    client.succeed(["key", "install", "first", "second"]).unwrap();
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    // The administrator removes their own key.
    fs::write(host.dir().join("etc/users.toml"), "[server]\nlisten = [\"127.0.0.1:0\"]\n[users.ann]\n")
        .unwrap();
    host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let remove = |which: &str| -> Outcome {
        let mut command = client.keyless().unwrap();
        command.arg("-i").arg(&first).arg(client.destination()).args(["key", "remove", which]);
        command.output().unwrap().into()
    };
    assert_eq!(remove(&prints[1]).code, Some(0));
    let stays = remove(&prints[0]);
    assert!(stays.code == Some(1) && stays.err().contains("is the only way to log in"), "{stays}");
    assert_eq!(pwd(&client, &first).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_key_is_refused_and_the_session_continues() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let key = host.key().public_key().to_openssh().unwrap();
    for line in
        ["", "junk", &format!("command=\"sh\" {key}"), &format!("from=\"*\" {key}"), &"x".repeat(200_000)]
    {
        let reply = peer.ask(Request::InstallKey { line: line.to_owned() }).await.unwrap();
        assert_eq!(reply.status, Status::Failed, "{reply}");
    }
    assert!(!host.dir().join("keys/authorized/ann").exists());
    let reply = peer.ask(Request::RemoveKey { fingerprint: "../ann".into() }).await.unwrap();
    assert_eq!(reply.status, Status::Failed, "{reply}");
    let reply = peer.ask(Request::InstallKey { line: key }).await.unwrap();
    assert_eq!(reply.status, Status::Done, "the administrator's may be one's own as well: {reply}");
    let Payload::Keys(keys) = peer.ask(Request::Keys).await.unwrap().payload else { panic!("no keys") };
    assert_eq!(keys.iter().map(|key| key.own).collect::<Vec<_>>(), [true, false]);
}

/// A connection that logged in with this key.
async fn log_in_with(host: &Host, key: &Path) -> russh::client::Handle<sshome_e2e::Trusting> {
    let key = russh::keys::load_secret_key(key, None).unwrap();
    let config = std::sync::Arc::new(russh::client::Config::default());
    let mut connection = russh::client::connect(config, host.address(), sshome_e2e::Trusting).await.unwrap();
    let key = russh::keys::PrivateKeyWithHashAlg::new(std::sync::Arc::new(key), None);
    assert!(connection.authenticate_publickey("ann", key).await.unwrap().success());
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_a_removed_key_end_at_once() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let _program = host.start_apart().unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let (by_user, by_administrator, stays) =
        (client.work().join("a"), client.work().join("b"), client.work().join("c"));
    let prints = [&by_user, &by_administrator, &stays].map(|file| make_key(file, ""));
    client.succeed(["key", "install", "a", "b", "c"]).unwrap();
    let first = log_in_with(&host, &by_user).await;
    let second = log_in_with(&host, &by_administrator).await;
    let third = log_in_with(&host, &stays).await;

    // From another session of the user.
    client.succeed(["key", "remove", &prints[0]]).unwrap();
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(60), first).await.is_ok(),
        "the session continues"
    );
    let removed = host.administrator().run(&["user", "key", "ann", "remove", &prints[1]]);
    assert_eq!(removed.code, Some(0), "{removed}");
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(60), second).await.is_ok(),
        "the session continues"
    );
    assert!(third.channel_open_session().await.is_ok(), "another key's session ended, too");
    // The administrator no longer accepts installed keys.
    let file = host.dir().join("etc/users.toml");
    let settings = fs::read_to_string(&file).unwrap() + "own-keys = false\n";
    fs::write(&file, settings).unwrap();
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(60), third).await.is_ok(),
        "the session continues"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_copy_id_installs_a_key() {
    let test = "ssh_copy_id_installs_a_key";
    let (Some(copy_id), Some(_)) = (program("ssh-copy-id", test), program("ssh", test)) else { return };
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let key = client.work().join("new");
    let print = make_key(&key, "ann's new key");
    fs::create_dir(client.home().join(".ssh")).unwrap();
    let copy = |options: &[&str]| -> Outcome {
        let mut command = client.foreign(copy_id.clone());
        let known = format!("UserKnownHostsFile={}", client.known_hosts().display());
        let identity = format!("IdentityFile={}", client.key().display());
        command.args(options).arg("-i").arg(key.with_extension("pub")).args(["-p", &client.port()]);
        for option in ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentityAgent=none", &known, &identity]
        {
            command.args(["-o", option]);
        }
        command.arg(client.destination()).output().unwrap().into()
    };
    let refused = copy(&["-f", "-s"]);
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(!refused.out().contains("key(s) added"), "{refused}");
    assert!(refused.err().contains("run ssh-copy-id without -s, or sshome key install"), "{refused}");
    assert_eq!(pwd(&client, &key).code, Some(5));
    // Keeping a copy of such a file is allowed.
    fs::write(client.work().join("authorized_keys"), "a copy\n").unwrap();
    client.succeed(["put", "authorized_keys", ".ssh/authorized_keys"]).unwrap();

    let fine = copy(&["-f"]);
    assert_eq!(fine.code, Some(0), "{fine}");
    assert!(fine.out().contains("Number of key(s) added: 1"), "{fine}");
    assert_eq!(pwd(&client, &key).code, Some(0));
    assert!(client.succeed(["key", "list"]).unwrap().contains(&print));
    assert_eq!(fs::read_to_string(host.home("ann").join(".ssh/authorized_keys")).unwrap(), "a copy\n");
}
