//! Digests, as `md5sum` and similar programs print them.

use crate::{done, ended};
use sshome_e2e::foreign::program;
use sshome_e2e::tree::{ODD_NAMES, noise};
use sshome_e2e::{Client, Host, command, run};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

#[tokio::test(flavor = "multi_thread")]
async fn checksums_match_coreutils() {
    let name = "checksums_match_coreutils";
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    for name in ODD_NAMES {
        fs::write(host.home("ann").join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(host.home("ann").join("empty"), b"").unwrap();
    fs::write(host.home("ann").join("large"), noise(40_000_000, "large")).unwrap();
    let names: Vec<&[u8]> = ODD_NAMES.into_iter().chain([&b"empty"[..], b"large"]).collect();
    for tool in ["md5sum", "sha1sum", "sha256sum", "sha512sum", "b3sum"] {
        let Some(theirs) = program(tool, name) else { continue };
        let mut there = client.foreign(theirs);
        there.current_dir(host.home("ann")).arg("--").args(names.iter().map(|name| OsStr::from_bytes(name)));
        let wanted = there.output().unwrap();
        assert!(wanted.status.success(), "{tool}");
        let here = run(&host, "ann", command(&format!("{tool} --"), &names), b"").await.unwrap();
        assert_eq!(here.code, Some(0), "{here}");
        assert!(here.stdout == wanted.stdout, "{tool}: {here}");
    }
}

/// The commands of rclone to find the supported digests, and then for each file.
#[tokio::test(flavor = "multi_thread")]
async fn rclone_finds_the_checksum_commands() {
    let host = Host::with_user("ann", "").await.unwrap();
    for (tool, digest) in [
        ("md5sum", "d41d8cd98f00b204e9800998ecf8427e"),
        ("sha1sum", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("sha256sum", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("b3sum", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    ] {
        assert_eq!(done(&host, tool).await, format!("{digest}  -\n"));
    }
    assert_ne!(run(&host, "ann", "echo ${ShellId}%ComSpec%", b"").await.unwrap().code, Some(0));
    assert_eq!(run(&host, "ann", "md5 -r", b"").await.unwrap().code, Some(127));
    fs::write(host.home("ann").join("it's a $name"), b"").unwrap();
    let sum = done(&host, "md5sum /it\\'s\\ a\\ \\$name").await;
    assert_eq!(sum, "d41d8cd98f00b204e9800998ecf8427e  /it's a $name\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_digested_up_to_its_end() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(3_000_000, "input");
    fs::write(host.home("ann").join("f"), &content).unwrap();
    let digest = blake3::hash(&content);
    let both = run(&host, "ann", "b3sum - f nothing", &content).await.unwrap();
    let wanted = format!("{digest}  -\n{digest}  f\n");
    assert_eq!(ended(&both), (Some(1), wanted, "b3sum: no such file: /nothing\n".to_owned()));
}
