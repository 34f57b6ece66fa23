//! What is logged and counted of connections without a login, and of refused logins.

use crate::with_algorithms;
use rand::rng;
use russh::client;
use russh::keys::ssh_key::public::{KeyData, OpaquePublicKey};
use russh::keys::{Algorithm, PrivateKey};
use serde_json::Value;
use sshome_e2e::foreign::program;
use sshome_e2e::{Client, Host, HostBuilder, Program, Trusting, until};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

/// A server as a program, whose log is in a file.
fn logging() -> (Host, Program) {
    let builder = HostBuilder::new().unwrap().setting("metrics = \"127.0.0.1:0\"");
    let builder = builder.log("file = \"log/audit\"");
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    (host, program)
}

fn lines(host: &Host) -> Vec<Value> {
    let text = fs::read_to_string(host.dir().join("log/audit")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for a line of this message in which a field holds a text.
fn expect(host: &Host, message: &str, field: &str, text: &str) -> Value {
    let mut found = None;
    until(&format!("{message} is logged, and {text} in {field}"), || {
        found = lines(host).into_iter().find(|line| {
            line["message"] == message && line[field].as_str().is_some_and(|value| value.contains(text))
        });
        found.is_some()
    });
    found.unwrap()
}

/// Sends bytes in place of a login, and reads until the server hangs up.
fn send(host: &Host, bytes: &[u8]) {
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.write_all(bytes).unwrap();
    // The server may have hung up by now.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_login_is_logged_with_the_reason() {
    let test = "a_connection_without_a_login_is_logged_with_the_reason";
    let (host, _program) = logging();
    send(&host, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nSSH-2.0-x\r\n");
    assert!(
        expect(&host, "no SSH client", "why", "PROXY header")["peer"].as_str().unwrap().contains("127.0.0.1")
    );
    send(&host, b"GET / HTTP/1.1\r\n\x1b[2J\r\n\r\n");
    assert_eq!(
        expect(&host, "no SSH client", "sent", "GET / HTTP/1.1")["sent"],
        "GET / HTTP/1.1\\x0d\\x0a\\x1b[2J\\x0d\\x0a\\x0d\\x0a"
    );
    send(&host, b"");
    expect(&host, "disconnected before a login", "peer", "127.0.0.1");
    let Some(ssh) = program("ssh", test) else { return };
    let client = Client::new(&host, "ann").unwrap();
    assert_eq!(with_algorithms(&client, &ssh, &["MACs=hmac-sha1", "Ciphers=aes128-ctr"]).code, Some(255));
    let line = expect(&host, "no algorithm in common", "theirs", "hmac-sha1");
    assert!(line["ours"].as_str().unwrap().contains("hmac-sha2-256-etm@openssh.com"), "{line}");
    assert_eq!(line["kind"], "Mac");
}

/// Signs with what is no signature.
struct Forger;

impl russh::Signer for Forger {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &russh::keys::agent::AgentIdentity,
        _: Option<russh::keys::HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, russh::AgentAuthError> {
        use russh::keys::ssh_encoding::Encode;
        let mut signature = Vec::new();
        "ssh-ed25519".encode(&mut signature).unwrap();
        vec![7u8; 64].encode(&mut signature).unwrap();
        signature.encode(&mut data).unwrap();
        Ok(data)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_and_key_that_is_refused_is_logged() {
    let (host, _program) = logging();
    let connect = || client::connect(Arc::new(client::Config::default()), host.address(), Trusting);
    let fingerprint = |key: &PrivateKey| key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    let stranger = PrivateKey::random(&mut rng(), Algorithm::Ed25519).unwrap();
    let offer = |key: &PrivateKey| russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
    let mut connection = connect().await.unwrap();
    for user in ["bob", "eve"] {
        assert!(!connection.authenticate_publickey(user, offer(&stranger)).await.unwrap().success());
    }
    assert!(!connection.authenticate_none("mallory").await.unwrap().success());
    drop(connection);
    for user in ["bob", "eve"] {
        assert_eq!(expect(&host, "login refused", "user", user)["keys"], fingerprint(&stranger).as_str());
    }
    assert_eq!(expect(&host, "login refused", "user", "mallory")["method"], "none");

    let mut connection = connect().await.unwrap();
    let key = host.key().public_key().clone();
    assert!(!connection.authenticate_publickey_with("ann", key, None, &mut Forger).await.unwrap().success());
    drop(connection);
    let line = expect(&host, "login refused", "why", "no valid signature followed");
    assert_eq!((&line["user"], &line["keys"]), (&"ann".into(), &fingerprint(host.key()).into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_key_is_one_line_with_user_and_reason() {
    let (host, _program) = logging();
    let connect = client::connect(Arc::new(client::Config::default()), host.address(), Trusting);
    let mut connection = connect.await.unwrap();
    assert!(!connection.authenticate_none("bob").await.unwrap().success());
    let short = KeyData::Other(OpaquePublicKey::new(vec![7; 7], Algorithm::Ed25519));
    // What the server logs is tested, not how the client learns of the refusal.
    let _ = connection.authenticate_publickey_with("bob", short.into(), None, &mut Forger).await;
    let line = expect(&host, "connection failed during a login", "why", "a length in it is wrong");
    assert_eq!(line["user"], "bob");
    // By then another line of that connection would be there.
    send(&host, b"");
    expect(&host, "disconnected before a login", "peer", "127.0.0.1");
    assert!(!lines(&host).iter().any(|line| line["message"] == "login refused"), "{:?}", lines(&host));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_signature_is_penalised_as_a_login() {
    let limits = "exempt = []\npenalty-no-login = 0\npenalty-failed-login = 600\npenalty-threshold = 1";
    let builder = HostBuilder::new().unwrap().limits(limits);
    let host = builder.user("ann", "").unwrap().start().await.unwrap();
    let connect = || client::connect(Arc::new(client::Config::default()), host.address(), Trusting);
    // Only to look costs nothing here.
    let mut connection = connect().await.unwrap();
    assert!(!connection.authenticate_none("ann").await.unwrap().success());
    drop(connection);
    let mut connection = connect().await.unwrap();
    let key = host.key().public_key().clone();
    assert!(!connection.authenticate_publickey_with("ann", key, None, &mut Forger).await.unwrap().success());
    drop(connection);
    until("the address is refused", || {
        let mut said = Vec::new();
        let mut stream = TcpStream::connect(host.address()).unwrap();
        // The server may have hung up by now.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut said);
        said.starts_with(b"Not now")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_refused_and_logged() {
    let test = "certificates_are_refused_and_logged";
    let (Some(ssh), Some(keygen)) = (program("ssh", test), program("ssh-keygen", test)) else { return };
    let (host, _program) = logging();
    let client = Client::new(&host, "ann").unwrap();
    let public = host.dir().join("id.pub");
    fs::write(&public, host.key().public_key().to_openssh().unwrap()).unwrap();
    let mut sign = Command::new(keygen);
    sign.args(["-q", "-s"]).arg(host.key_file()).args(["-I", "ann", "-n", "ann"]).arg(&public);
    assert!(sign.status().unwrap().success());
    let certificate = host.dir().join("id-cert.pub");
    let option = format!("CertificateFile={}", certificate.display());
    // ssh then tries the key itself, which logs in.
    let fine = with_algorithms(&client, &ssh, &[&option]);
    assert_eq!(fine.code, Some(0), "{fine}");
    assert_eq!(expect(&host, "login refused", "why", "certificates are not supported")["user"], "ann");
}
