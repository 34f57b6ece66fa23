//! Other people's clients, unchanged, against the real server: each copies a tree there and back, and the
//! trees are compared by digest.

use anyhow::Result;
use russh::keys::{HashAlg, load_secret_key};
use sshome_e2e::foreign::program;
use sshome_e2e::tree::{contents, noise};
use sshome_e2e::{Client, Host, Outcome};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A host with one user, and a client of it with a tree to copy: names that all of them can carry.
async fn prepared() -> Result<(Host, Client)> {
    let host = Host::with_user("ann", "quota = \"64 MiB\"").await?;
    let client = Client::new(&host, "ann")?;
    let tree = client.work().join("tree");
    for folder in ["", "folder", "folder/deep", "with space"] {
        fs::create_dir_all(tree.join(folder))?;
        for name in ["empty", "small", "it's a $name", "gr\u{fc}n", "large"] {
            let length = match name {
                "empty" => 0,
                "large" => 3_000_001,
                name => name.len() * 1000 + folder.len(),
            };
            fs::write(tree.join(folder).join(name), noise(length, name))?;
        }
    }
    Ok((host, client))
}

fn same(a: &Path, b: &Path) {
    assert_eq!(contents(a).unwrap(), contents(b).unwrap(), "{} and {}", a.display(), b.display());
}

fn succeed(command: &mut Command) -> Outcome {
    let outcome = Outcome::from(command.output().unwrap());
    assert_eq!(outcome.code, Some(0), "{command:?}: {outcome}");
    outcome
}

/// Copying, comparing by digests that the server makes, syncing, and the quota.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants the subsystem sftp"]
async fn rclone() {
    let Some(rclone) = program("rclone", "rclone") else { return };
    let (host, client) = prepared().await.unwrap();
    let (tree, there) = (client.work().join("tree"), host.home("ann").join("there"));
    let run = |arguments: &[&str]| {
        let mut command = client.foreign(rclone.clone());
        command.args(arguments).args(["--config", "", "--sftp-host", "127.0.0.1", "--sftp-user", "ann"]);
        command.args(["--sftp-port", &client.port(), "--sftp-key-file"]).arg(client.key());
        command.arg("--sftp-known-hosts-file").arg(client.known_hosts());
        command
    };
    succeed(&mut run(&["copy", "tree", ":sftp:there"]));
    same(&tree, &there);
    succeed(&mut run(&["copy", ":sftp:there", "back"]));
    same(&tree, &client.work().join("back"));
    let checked = succeed(&mut run(&["check", "tree", ":sftp:there"]));
    assert!(checked.err().contains(" 0 differences found"), "{checked}");
    assert!(!checked.err().contains("hash"), "it compared no digests: {checked}");
    // Other bytes of the same length and time: only a digest tells.
    let file = there.join("folder/it's a $name");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let mut content = fs::read(&file).unwrap();
    content[0] ^= 1;
    fs::write(&file, content).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let checked = Outcome::from(run(&["check", "tree", ":sftp:there"]).output().unwrap());
    assert!(checked.code == Some(1) && checked.err().contains(" 1 differences found"), "{checked}");
    succeed(&mut run(&["sync", "--checksum", "tree", ":sftp:there"]));
    same(&tree, &there);
    fs::remove_dir_all(tree.join("folder")).unwrap();
    succeed(&mut run(&["sync", "tree", ":sftp:there"]));
    same(&tree, &there);
    let about = succeed(&mut run(&["about", ":sftp:", "--json"]));
    let about: serde_json::Value = serde_json::from_slice(&about.stdout).unwrap();
    assert_eq!(about["total"].as_u64().unwrap() >> 20, 64, "{about}");
}

/// `mirror` both ways, `pget` in pieces, and going on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants the subsystem sftp"]
async fn lftp() {
    let name = "lftp";
    let (Some(lftp), Some(ssh)) = (program("lftp", name), program("ssh", name)) else { return };
    let (host, client) = prepared().await.unwrap();
    let (work, home) = (client.work(), host.home("ann"));
    let connect = format!("{} -a -x {}", ssh.display(), client.openssh_options().join(" "));
    let run = |commands: &str| {
        let mut command = client.foreign(lftp.clone());
        let settings =
            format!("set cmd:fail-exit yes; set net:max-retries 1; set sftp:connect-program '{connect}'");
        command.args([
            "-c",
            &format!("{settings}; open -p {} sftp://ann:@127.0.0.1; {commands}", client.port()),
        ]);
        command
    };
    succeed(&mut run("mirror -R tree there"));
    same(&work.join("tree"), &home.join("there"));
    succeed(&mut run("mirror there back"));
    same(&work.join("tree"), &work.join("back"));
    let large = noise(3_000_001, "large");
    succeed(&mut run("pget -n 3 there/large -o pieces"));
    assert!(fs::read(work.join("pieces")).unwrap() == large);
    fs::write(work.join("part"), &large[..1_000_000]).unwrap();
    succeed(&mut run("get -c there/large -o part"));
    assert!(fs::read(work.join("part")).unwrap() == large);
    fs::write(home.join("part"), &large[..1_000_000]).unwrap();
    succeed(&mut run("put -c part"));
    assert!(fs::read(home.join("part")).unwrap() == large);
}

/// PuTTY's `psftp` and `pscp`, the latter in both of its protocols.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants the subsystem sftp"]
async fn putty() {
    let name = "putty";
    let (Some(psftp), Some(pscp), Some(puttygen)) =
        (program("psftp", name), program("pscp", name), program("puttygen", name))
    else {
        return;
    };
    let (host, client) = prepared().await.unwrap();
    let (work, home) = (client.work(), host.home("ann"));
    let key = client.home().join("id.ppk");
    succeed(client.foreign(puttygen).arg(client.key()).arg("-o").arg(&key));
    let host_key = load_secret_key(host.dir().join("keys/host_ed25519"), None).unwrap();
    let fingerprint = host_key.public_key().fingerprint(HashAlg::Sha256).to_string();
    let run = |program: &Path| {
        let mut command = client.foreign(program);
        command.args(["-batch", "-P", &client.port(), "-hostkey", &fingerprint, "-i"]).arg(&key);
        command
    };
    let remote = |path: &str| format!("{}:{path}", client.destination());
    fs::write(work.join("script"), "put -r tree there\nget -r there back\n").unwrap();
    succeed(run(&psftp).args(["-b", "script"]).arg(client.destination()));
    same(&work.join("tree"), &home.join("there"));
    same(&work.join("tree"), &work.join("back"));
    for (protocol, folder) in [("-sftp", "new"), ("-scp", "old")] {
        fs::create_dir(home.join(folder)).unwrap();
        fs::create_dir(work.join(folder)).unwrap();
        succeed(run(&pscp).args([protocol, "-r", "tree", &remote(folder)]));
        same(&work.join("tree"), &home.join(folder).join("tree"));
        succeed(run(&pscp).args([protocol, "-r", &remote(&format!("{folder}/tree")), folder]));
        same(&work.join("tree"), &work.join(folder).join("tree"));
    }
}

/// curl, where it was built with SFTP.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants the subsystem sftp"]
async fn curl() {
    let Some(curl) = program("curl", "curl") else { return };
    let (host, client) = prepared().await.unwrap();
    let version = succeed(client.foreign(curl.clone()).arg("--version")).out();
    let old = (0..11).any(|minor| version.contains(&format!(" libssh2/1.{minor}.")));
    if old || !version.contains(" sftp ") {
        return eprintln!(
            "skipped: curl: it has no SFTP here, or a libssh2 before 1.11, which has no MAC of ours"
        );
    }
    let public = client.home().join("id.pub");
    fs::write(&public, host.key().public_key().to_openssh().unwrap()).unwrap();
    let host_key = load_secret_key(host.dir().join("keys/host_ed25519"), None).unwrap();
    let fingerprint = host_key.public_key().fingerprint(HashAlg::Sha256).to_string();
    let run = || {
        let mut command = client.foreign(curl.clone());
        command.args(["-sS", "--user", "ann:", "--key"]).arg(client.key()).arg("--pubkey").arg(&public);
        command.args(["--hostpubsha256", fingerprint.trim_start_matches("SHA256:")]);
        command
    };
    let url = |path: &str| format!("sftp://127.0.0.1:{}/{path}", client.port());
    let large = noise(3_000_001, "large");
    succeed(run().args(["-T", "tree/large", "--ftp-create-dirs", &url("a/b/large")]));
    assert!(fs::read(host.home("ann").join("a/b/large")).unwrap() == large);
    assert!(succeed(run().arg(url("a/b/large"))).stdout == large);
    assert!(succeed(run().args(["-r", "1000-1999", &url("a/b/large")])).stdout == large[1000..2000]);
    assert!(succeed(run().arg(url("a/"))).out().contains(" b\n"));
    succeed(run().args(["-I", "-Q", "rename /a/b/large /moved", &url("")]));
    assert!(host.home("ann").join("moved").exists());
}
