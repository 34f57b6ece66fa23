//! Ways to log in, and what older clients need, with OpenSSH's programs and with servers that ask otherwise.

mod refused;

use rand::rng;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, Handler, Response};
use russh::{MethodKind, MethodSet, server};
use sshome_e2e::foreign::program;
use sshome_e2e::tree::set_mode;
use sshome_e2e::{Client, Host, HostBuilder, Outcome};
use std::borrow::Cow;
use std::fs;
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
