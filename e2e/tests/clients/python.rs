//! Python's libraries: scripts that call their whole API, with sshomed and then with sshd.

use crate::libraries::runs_at_both;
use crate::site::python;

async fn runs(test: &str, script: &str) {
    let Some(python) = python(test) else { return };
    runs_at_both(test, "quota = \"100 MiB\"", ("script.py", script), |site| site.client().foreign(&python))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_paramiko_works() {
    runs("the_whole_api_of_paramiko_works", include_str!("paramiko_api.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_api_of_asyncssh_works() {
    runs("the_whole_api_of_asyncssh_works", include_str!("asyncssh_api.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn libcurl_works_over_scp_and_sftp() {
    runs("libcurl_works_over_scp_and_sftp", include_str!("libcurl_api.py")).await;
}
