//! Other people's libraries, through scripts that go through all that they have.

use crate::site::{Site, python, succeed};
use std::fs;

/// Runs a script with where the server is, who logs in how, and what the home is called.
async fn runs(test: &str, script: &str) {
    let Some(python) = python(test) else { return };
    let Some(site) = Site::open(test, "quota = \"100 MiB\"").await else { return };
    let file = site.client().home().join("script.py");
    fs::write(&file, script).unwrap();
    let (user, host, port) = site.login();
    let mut command = site.client().foreign(python);
    command.arg(file).args([host, port, user]);
    command.arg(site.client().key()).arg(site.client().known_hosts()).arg(site.path(""));
    succeed(&mut command);
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko_has_its_whole_api() {
    runs("paramiko_has_its_whole_api", include_str!("paramiko_api.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncssh_has_its_whole_api() {
    runs("asyncssh_has_its_whole_api", include_str!("asyncssh_api.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn libcurl_has_scp_and_sftp() {
    runs("libcurl_has_scp_and_sftp", include_str!("libcurl_api.py")).await;
}
