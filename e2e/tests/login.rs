//! Hosts, keys, passwords, the agent and ~/.ssh/config, with the real `sshome`.

use rand::rng;
use russh::keys::ssh_key::LineEnding;
use sshome_e2e::tree::{mode, set_mode};
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Program, binary};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv6Addr;
use std::process::{Child, Command, Stdio};

async fn host() -> Host {
    Host::with_user("ann", "").await.unwrap()
}

/// Runs `pwd` with these arguments before the destination.
fn pwd(mut command: Command, client: &Client, options: &[&str]) -> Outcome {
    command.args(options).arg(client.destination()).arg("pwd").output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_is_refused_without_a_terminal() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let known = client.known_hosts();
    let line = fs::read_to_string(&known).unwrap();
    fs::remove_file(&known).unwrap();
    let refused = pwd(client.command().unwrap(), &client, &[]);
    assert_eq!((refused.code, refused.stdout.len()), (Some(4), 0), "{refused}");
    assert!(refused.err().contains("is not known (ED25519 key, SHA256:"), "{refused}");
    assert!(refused.err().contains("--accept-new"), "{refused}");
    assert!(!known.exists());

    let accepted = pwd(client.command().unwrap(), &client, &["--accept-new"]);
    assert_eq!((accepted.code, accepted.out()), (Some(0), "/\n".to_owned()), "{accepted}");
    assert_eq!(fs::read_to_string(&known).unwrap(), line);
    let silent = pwd(client.command().unwrap(), &client, &[]);
    assert_eq!((silent.code, silent.err()), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_key_has_changed_is_refused_loudly() {
    let (host, other) = (host().await, host().await);
    let client = Client::new(&host, "ann").unwrap();
    let key = fs::read_to_string(Client::new(&other, "ann").unwrap().known_hosts()).unwrap();
    let key = key.split_once(' ').unwrap().1;
    let line = format!("# mine\n[127.0.0.1]:{} {key}", client.port());
    fs::write(client.known_hosts(), &line).unwrap();
    for options in [&[][..], &["--accept-new"], &["-q"]] {
        let refused = pwd(client.command().unwrap(), &client, options);
        assert_eq!((refused.code, refused.stdout.len()), (Some(4), 0), "{refused}");
        assert!(refused.err().contains("THE KEY OF THE HOST HAS CHANGED"), "{refused}");
        assert!(refused.err().contains("known_hosts:2"), "{refused}");
        assert_eq!(fs::read_to_string(client.known_hosts()).unwrap(), line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_askpass_program_supplies_the_password() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let mut passwd = Command::new(binary("sshomed").unwrap());
    passwd.arg("--dir").arg(host.dir()).args(["user", "passwd", "ann", "--password-stdin"]);
    let mut passwd = passwd.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    passwd.stdin.take().unwrap().write_all(b"open sesame\n").unwrap();
    assert!(passwd.wait().unwrap().success());
    host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let right = pwd(client.answering("open sesame").unwrap(), &client, &[]);
    assert_eq!((right.code, right.out()), (Some(0), "/\n".to_owned()), "{right}");
    assert_eq!(client.asked().unwrap(), "Password of ann@127.0.0.1: \n");

    let wrong = pwd(client.answering("open barley").unwrap(), &client, &[]);
    assert_eq!((wrong.code, wrong.stdout.len()), (Some(5), 0), "{wrong}");
    assert!(wrong.err().contains("login failed for "), "{wrong}");
    assert!(!wrong.err().contains("barley"), "it says the password: {wrong}");
    assert_eq!(client.asked().unwrap().lines().count(), 1 + 3);

    let nobody = pwd(client.keyless().unwrap(), &client, &[]);
    assert_eq!(nobody.code, Some(5), "{nobody}");
    assert!(nobody.err().contains("there is no terminal to ask on"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_key_needs_its_passphrase() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let encrypted = host.key().encrypt(&mut rng(), "open sesame").unwrap();
    let file = client.home().join("encrypted");
    fs::write(&file, encrypted.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    set_mode(&file, 0o600).unwrap();
    let named = ["-i", file.to_str().unwrap()];
    let right = pwd(client.answering("open sesame").unwrap(), &client, &named);
    assert_eq!(right.code, Some(0), "{right}");
    assert_eq!(client.asked().unwrap(), format!("Passphrase of {}: \n", file.display()));
    let wrong = pwd(client.answering("open barley").unwrap(), &client, &named);
    assert_eq!(wrong.code, Some(5), "{wrong}");
    assert!(wrong.err().contains("none of the passphrases opens"), "{wrong}");
    let nobody = pwd(client.keyless().unwrap(), &client, &named);
    assert_eq!(nobody.code, Some(5), "{nobody}");
    assert!(nobody.err().contains("needs its passphrase"), "{nobody}");
}

/// An agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_the_agent_has_logs_in() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let socket = client.home().join("agent");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped());
    let mut agent = match agent.spawn() {
        Ok(agent) => Agent(agent),
        Err(error) => return eprintln!("skipped: a_key_that_only_the_agent_has_logs_in: ssh-agent: {error}"),
    };
    // It prints its socket once it listens.
    let mut line = String::new();
    BufReader::new(agent.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
    let command = || {
        let mut command = client.keyless().unwrap();
        command.env("SSH_AUTH_SOCK", &socket);
        command
    };
    let refused = pwd(command(), &client, &[]);
    assert_eq!(refused.code, Some(5), "the agent has no key yet: {refused}");
    let mut add = Command::new("ssh-add");
    add.env("SSH_AUTH_SOCK", &socket).arg("-q").arg(host.key_file());
    assert!(add.status().unwrap().success());
    let fine = pwd(command(), &client, &[]);
    assert_eq!((fine.code, fine.out()), (Some(0), "/\n".to_owned()), "{fine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_ssh_config_is_used() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let ssh = client.home().join(".ssh");
    fs::create_dir(&ssh).unwrap();
    fs::copy(host.key_file(), ssh.join("work key")).unwrap();
    let text = format!(
        "Host box\n  HostName 127.0.0.1\n  Port {}\n  User ann\n  IdentityFile \"~/.ssh/work key\"\n  \
         IdentitiesOnly yes\n  StrictHostKeyChecking accept-new\nHost *\n  User nobody\n",
        client.port()
    );
    let named = client.home().join("config");
    fs::write(&named, &text).unwrap();
    let mut command = client.bare().unwrap();
    let fine: Outcome = command.arg("-F").arg(&named).args(["box", "pwd"]).output().unwrap().into();
    assert_eq!((fine.code, fine.out()), (Some(0), "/\n".to_owned()), "{fine}");
    // The host was remembered in the usual place.
    assert!(fs::read_to_string(ssh.join("known_hosts")).unwrap().contains(&client.port()));
    assert_eq!(mode(ssh.join("known_hosts")).unwrap() & 0o022, 0);
    // The usual configuration, and a command line that overrides it.
    fs::write(ssh.join("config"), &text).unwrap();
    let fine: Outcome = client.bare().unwrap().args(["box", "pwd"]).output().unwrap().into();
    assert_eq!(fine.code, Some(0), "{fine}");
    let other: Outcome = client.bare().unwrap().args(["eve@box", "pwd"]).output().unwrap().into();
    assert_eq!(other.code, Some(5), "{other}");
    assert!(other.err().contains("login failed for eve@"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_ssh_config_are_applied_refused_or_ignored() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let config = client.home().join("config");
    for (line, says) in [
        ("Port many", "config:2: many is not a port"),
        ("BindInterface lo", "bindinterface is not supported"),
        ("ProxyCommand nc %z", "nc %z: unknown %z"),
    ] {
        fs::write(&config, format!("Host 127.0.0.1\n  {line}\n")).unwrap();
        let mut command = client.bare().unwrap();
        command.args(["-P", &client.port(), "--known-hosts"]).arg(client.known_hosts());
        command.arg("-i").arg(client.key()).arg("-F").arg(&config);
        let refused = pwd(command, &client, &[]);
        assert_eq!((refused.code, refused.stdout.len()), (Some(2), 0), "{refused}");
        assert!(refused.err().contains(says), "{refused}");
    }
    for (lines, says) in [
        // A section for another host does not apply.
        ("Host elsewhere\n  ProxyJump bastion\n", ""),
        ("Host *\n  Compression yes\n  LocalForward 8080 localhost:80\n", ""),
        ("Host *\n  Prot 22\n", "prot"),
        ("Match exec \"test 1 = 2\"\n  ProxyJump bastion\n", ""),
    ] {
        fs::write(&config, lines).unwrap();
        let mut command = client.bare().unwrap();
        command.args(["-P", &client.port(), "--known-hosts"]).arg(client.known_hosts());
        command.arg("-i").arg(client.key()).arg("-F").arg(&config);
        let fine = pwd(command, &client, &["-4"]);
        assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{fine}");
        assert!(fine.err().contains(says), "{fine}");
    }
    let mut command = client.bare().unwrap();
    command.args(["-F", "none", "-o", &format!("Port={}", client.port()), "-o", "IdentitiesOnly yes"]);
    command.args(["--known-hosts"]).arg(client.known_hosts()).arg("-i").arg(client.key());
    assert_eq!(pwd(command, &client, &[]).code, Some(0));
    let none = pwd(client.command().unwrap(), &client, &["-6"]);
    assert!(none.code == Some(3) && none.err().contains("no IPv6 address"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_key_is_reported_at_once_and_others_are_tried() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let exposed = client.home().join("exposed");
    fs::copy(host.key_file(), &exposed).unwrap();
    set_mode(&exposed, 0o644).unwrap();
    let exposed = exposed.to_str().unwrap();
    let only = pwd(client.keyless().unwrap(), &client, &["-i", exposed]);
    assert_eq!(only.code, Some(5), "{only}");
    assert!(only.err().contains(&format!("chmod 600 {exposed}")), "{only}");
    let both = pwd(client.command().unwrap(), &client, &["-i", exposed, "-i", "nosuch"]);
    assert_eq!((both.code, both.out().as_str()), (Some(0), "/\n"), "{both}");
    for said in ["nosuch: No such file", "(mode 0644)"] {
        assert!(both.err().contains(said), "{both}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_file_of_the_configuration_is_reported_and_others_are_tried() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let config = client.home().join("config");
    let key = client.key().display();
    fs::write(&config, format!("IdentityFile ~/.ssh/nosuch\nIdentityFile {key}\n")).unwrap();
    let mut command = client.bare().unwrap();
    command.args(["-P", &client.port(), "--known-hosts"]).arg(client.known_hosts()).arg("-F").arg(&config);
    let fine = pwd(command, &client, &[]);
    assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{fine}");
    let missing = client.home().join(".ssh/nosuch");
    let message = format!("sshome: no such identity: {}: No such file or directory\n", missing.display());
    assert_eq!(fine.err(), message, "{fine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_key_of_any_form_needs_no_public_key_beside_it() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let file = client.home().join("old");
    let (mut pem, plain) = (Vec::new(), client.home().join("plain"));
    russh::keys::encode_pkcs8_pem(host.key(), &mut pem).unwrap();
    fs::write(&plain, pem).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:open sesame", "-in"]).arg(&plain);
    openssl.arg("-out").arg(&file).stderr(Stdio::null());
    if !openssl.status().is_ok_and(|status| status.success()) {
        return eprintln!("skipped: an_encrypted_key_of_any_form_needs_no_public_key_beside_it: openssl");
    }
    set_mode(&file, 0o600).unwrap();
    let named = ["-i", file.to_str().unwrap()];
    let right = pwd(client.answering("open sesame").unwrap(), &client, &named);
    assert_eq!(right.code, Some(0), "{right}");
    assert_eq!(client.asked().unwrap(), format!("Passphrase of {}: \n", file.display()));
    let wrong = pwd(client.answering("open barley").unwrap(), &client, &named);
    assert_eq!(wrong.code, Some(5), "{wrong}");
    assert!(wrong.err().contains("none of the passphrases opens"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_silent_agent_the_key_files_are_tried() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let socket = client.home().join("agent");
    // A client that connects waits, since nobody accepts.
    let _agent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut command = client.command().unwrap();
    command.env("SSH_AUTH_SOCK", &socket);
    let fine = pwd(command, &client, &["--timeout", "1"]);
    assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{fine}");
    assert!(fine.err().contains("does not answer within 1 s"), "{fine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_keys_are_tried_as_the_server_allows() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut command = client.keyless().unwrap();
    for number in 0..7 {
        let file = client.home().join(format!("key{number}"));
        let key = russh::keys::PrivateKey::random(&mut rng(), russh::keys::Algorithm::Ed25519).unwrap();
        key.write_openssh_file(&file, LineEnding::LF).unwrap();
        command.arg("-i").arg(file);
    }
    command.arg("-i").arg(host.key_file());
    let fine = pwd(command, &client, &[]);
    assert_eq!((fine.code, fine.out().as_str()), (Some(0), "/\n"), "{fine}");
}

/// A link-local address of this machine, its interface and the interface's number.
fn link_local() -> Option<(Ipv6Addr, String, u32)> {
    let all = fs::read_to_string("/proc/net/if_inet6").ok()?;
    all.lines().find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [address, index, _, _, _, name] = columns[..] else { return None };
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        let index = u32::from_str_radix(index, 16).ok()?;
        address.is_unicast_link_local().then(|| (address, name.to_owned(), index))
    })
}

#[test]
fn a_link_local_address_works_with_its_interface() {
    let Some((address, name, index)) = link_local() else {
        return eprintln!("skipped: a_link_local_address_works_with_its_interface: no interface has one");
    };
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let mut command = Command::new(binary("sshomed").unwrap());
    command.args(["serve", "--listen", &format!("[{address}%{name}]:0"), "--dir"]).arg(host.dir());
    let server = Program::announced_by(command).unwrap();
    assert_eq!(server.address().to_string(), format!("[{address}%{index}]:{}", server.address().port()));
    let client = Client::of(host.dir(), server.address(), "ann").unwrap();
    let mut command = client.bare().unwrap();
    command.args(["-F", "none", "-P", &client.port(), "--accept-new", "-i"]).arg(client.key());
    let outcome: Outcome = command.arg(format!("ann@{address}%{name}")).arg("pwd").output().unwrap().into();
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "/\n"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_before_the_ssh_greeting_is_shown_after_a_disconnect() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(format!("{}\r\nGo away\r\n", "x".repeat(600)).as_bytes()).unwrap();
    });
    let mut command = client.bare().unwrap();
    command.args(["-F", "none", "-P", &port, "--accept-new"]);
    let refused = pwd(command, &client, &[]);
    server.join().unwrap();
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.err().contains("Go away"), "{refused}");
}
