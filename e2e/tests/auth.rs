//! Ways to log in, and what older clients need, with OpenSSH's programs and with servers that ask otherwise.

use rand::rng;
use russh::keys::ssh_key::public::{KeyData, OpaquePublicKey};
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, Handler, Response};
use russh::{MethodKind, MethodSet, client, server};
use serde_json::Value;
use sshome_e2e::foreign::program;
use sshome_e2e::tree::set_mode;
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Program, Trusting, until};
use std::borrow::Cow;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};

const PASSWORD: &str = "open sesame";

/// A host whose user ann has a password.
async fn host_with_password(settings: &str) -> Host {
    let builder = HostBuilder::new().unwrap().setting(settings);
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    host.set_password("ann", PASSWORD).unwrap();
    host.start().await.unwrap();
    host
}

/// `ssh` with these options, which has the answer to every question and no key.
fn asked(client: &Client, ssh: std::path::PathBuf, answer: &str, options: &[&str]) -> Outcome {
    let askpass = client.home().join("askpass");
    fs::write(&askpass, "#!/bin/sh\necho \"$1\" >>\"$HOME/asked\"\necho \"$ANSWER\"\n").unwrap();
    set_mode(&askpass, 0o700).unwrap();
    let mut command = client.foreign(ssh);
    command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").env("ANSWER", answer);
    command.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "PubkeyAuthentication=no"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", client.known_hosts().display()));
    command.args(options).args(["-p", &client.port(), &client.destination(), "pwd"]);
    command.output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asks_for_the_password_by_keyboard_interactive() {
    let Some(ssh) = program("ssh", "the_server_asks_for_the_password_by_keyboard_interactive") else {
        return;
    };
    let host = host_with_password("").await;
    let client = Client::new(&host, "ann").unwrap();
    let only = ["-o", "PreferredAuthentications=keyboard-interactive"];
    let fine = asked(&client, ssh.clone(), PASSWORD, &only);
    assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{fine}");
    assert!(client.asked().unwrap().contains("Password: "), "{}", client.asked().unwrap());
    let wrong = asked(&client, ssh, "barley", &only);
    assert_eq!(wrong.code, Some(255), "{wrong}");
    assert!(wrong.err().contains("Permission denied (publickey,password,keyboard-interactive)"), "{wrong}");
}

/// `sshome` with nothing but somebody who answers.
fn answering(client: &Client, answer: &str) -> Command {
    // It leaves the program that answers.
    client.answering(answer).unwrap();
    let mut command = client.bare().unwrap();
    command.env("SSH_ASKPASS", client.home().join("answer")).env("SSH_ASKPASS_REQUIRE", "force");
    command.env("ANSWER", answer);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_answers_keyboard_interactive_questions() {
    let host = host_with_password("").await;
    let client = Client::new(&host, "ann").unwrap();
    let config = client.home().join("config");
    fs::write(&config, "PasswordAuthentication no\n").unwrap();
    let pwd = |answer: &str| -> Outcome {
        let mut command = answering(&client, answer);
        command
            .arg("-F")
            .arg(&config)
            .args(["-P", &client.port(), "--known-hosts"])
            .arg(client.known_hosts());
        command.arg(client.destination()).arg("pwd").output().unwrap().into()
    };
    let fine = pwd(PASSWORD);
    assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{fine}");
    assert_eq!(client.asked().unwrap(), "(ann@127.0.0.1) Password: \n");
    let wrong = pwd("barley");
    assert_eq!(wrong.code, Some(5), "{wrong}");
    assert!(wrong.err().contains("login failed for") && !wrong.err().contains("barley"), "{wrong}");
    fs::write(&config, "PasswordAuthentication no\nKbdInteractiveAuthentication no\n").unwrap();
    let asked = client.asked().unwrap();
    assert_eq!((pwd(PASSWORD).code, client.asked().unwrap()), (Some(5), asked));
}

/// A server that has nothing but two questions, and no service.
#[derive(Clone, Default)]
struct Questions(Arc<Mutex<Vec<String>>>);

impl Handler for Questions {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        self.0.lock().unwrap().push(format!("password {password}"));
        Ok(Auth::reject())
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(response) = response else {
            let prompts = vec![(Cow::Borrowed("Code: "), true), (Cow::Borrowed("PIN: "), false)];
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "two factors".into(),
                prompts: prompts.into(),
            });
        };
        let answers = response.map(|answer| String::from_utf8(answer.to_vec()).unwrap());
        self.0.lock().unwrap().extend(answers);
        Ok(Auth::Accept)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_password_authentication_no_password_is_asked_for() {
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let questions = Questions::default();
    let config = server::Config {
        keys: vec![PrivateKey::random(&mut rng(), Algorithm::Ed25519).unwrap()],
        methods: MethodSet::from(&[MethodKind::KeyboardInteractive][..]),
        ..server::Config::default()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let handler = questions.clone();
    let serving = tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let session = server::run_stream(Arc::new(config), stream, handler).await.unwrap();
        drop(session.await);
    });
    let mut command = answering(&client, "7");
    command.args([
        "-F",
        "none",
        "-P",
        &port,
        "--accept-new",
        "--timeout",
        "10",
        "--retries",
        "0",
        "ann@127.0.0.1",
        "pwd",
    ]);
    let outcome: Outcome =
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap();
    // It is logged in, and there is nothing to talk to.
    assert_ne!(outcome.code, Some(5), "{outcome}");
    assert_eq!(*questions.0.lock().unwrap(), ["7", "7"], "{outcome}");
    assert_eq!(client.asked().unwrap(), "(ann@127.0.0.1) Code: \n(ann@127.0.0.1) PIN: \n");
    assert!(outcome.err().contains("two factors"), "{outcome}");
    serving.abort();
}

/// `ssh` with a key, and with these algorithms and no others.
fn with_algorithms(client: &Client, ssh: &std::path::Path, options: &[&str]) -> Outcome {
    let mut command = client.foreign(ssh);
    // The first value of an option holds.
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    options.iter().for_each(|option| {
        command.args(["-o", option]);
    });
    command.args(client.openssh_options());
    command.args(["-p", &client.port(), &client.destination(), "pwd"]).output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn older_clients_connect_with_compatible_algorithms() {
    let test = "older_clients_connect_with_compatible_algorithms";
    let (Some(ssh), Some(keygen)) = (program("ssh", test), program("ssh-keygen", test)) else { return };
    let builder = HostBuilder::new().unwrap().setting("algorithms = \"compatible\"");
    let mut host = builder.user("ann", "").unwrap().prepare().unwrap();
    fs::create_dir(host.dir().join("keys")).unwrap();
    let rsa = host.dir().join("keys/host_rsa");
    let made =
        Command::new(keygen).args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]).arg(&rsa).status();
    assert!(made.unwrap().success());
    host.start().await.unwrap();
    assert!(host.dir().join("keys/host_ecdsa").exists());
    let older = Client::new(&host, "ann").unwrap();
    let strict = Client::new(&Host::with_user("ann", "").await.unwrap(), "ann").unwrap();
    for options in [
        // libssh2 1.10, of Debian 12's curl and mc.
        &[
            "KexAlgorithms=curve25519-sha256",
            "HostKeyAlgorithms=ssh-ed25519",
            "MACs=hmac-sha2-256",
            "Ciphers=aes128-ctr",
        ][..],
        // JSch 0.1.54.
        &[
            "KexAlgorithms=ecdh-sha2-nistp256",
            "HostKeyAlgorithms=ecdsa-sha2-nistp256",
            "MACs=hmac-sha2-256",
            "Ciphers=aes128-ctr",
        ],
        // net-ssh, phpseclib.
        &[
            "KexAlgorithms=diffie-hellman-group14-sha256",
            "HostKeyAlgorithms=rsa-sha2-256",
            "MACs=hmac-sha2-512",
            "Ciphers=aes256-ctr",
        ],
        &["KexAlgorithms=diffie-hellman-group16-sha512", "HostKeyAlgorithms=rsa-sha2-512"],
    ] {
        let fine = with_algorithms(&older, &ssh, options);
        assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{options:?} {fine}");
        let refused = with_algorithms(&strict, &ssh, options);
        assert_eq!(refused.code, Some(255), "{options:?} {refused}");
    }
    for broken in [
        "HostKeyAlgorithms=ssh-rsa",
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "MACs=hmac-sha1",
        "Ciphers=aes128-cbc",
    ] {
        assert_eq!(
            with_algorithms(&older, &ssh, &[broken, "Ciphers=aes128-ctr"]).code,
            Some(255),
            "{broken}"
        );
    }
}

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
