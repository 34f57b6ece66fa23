//! Jump hosts, `ProxyCommand`, and certificates of hosts and users, with the real `sshome`.

use sshome_e2e::tree::{contents, noise};
use sshome_e2e::{Client, Host, JumpHost, Outcome, Sshd, foreign, until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server, a client of it, and the client's configuration with a section for `nas`.
struct World {
    host: Host,
    client: Client,
}

impl World {
    async fn new() -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        fs::create_dir(client.home().join(".ssh")).unwrap();
        World { host, client }
    }

    /// Writes the configuration: `nas` with these lines, then other sections.
    fn configure(&self, lines: &str, sections: &[String]) {
        let (address, client) = (self.host.address(), &self.client);
        let nas = section("nas", address, "ann", client.key(), &client.known_hosts(), lines);
        fs::write(client.home().join("config"), format!("{nas}{}", sections.concat())).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = self.client.bare().unwrap();
        command.arg("-F").arg(self.client.home().join("config"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.command().args(arguments).output().unwrap().into()
    }

    /// Files of known hosts with the key of a server that works in a folder.
    fn known(&self, name: &str, server: &Path, address: SocketAddr) -> std::path::PathBuf {
        let file = self.client.home().join(format!("known-{name}"));
        fs::copy(Client::of(server, address, "x").unwrap().known_hosts(), &file).unwrap();
        file
    }

    /// A section for a jump host whose key is known.
    fn jump(&self, name: &str, jump: &JumpHost, lines: &str) -> String {
        let known = self.known(name, jump.dir(), jump.address());
        section(name, jump.address(), "gate", &jump.dir().join("id"), &known, lines)
    }

    fn sshd(&self, sshd: &Sshd, lines: &str) -> String {
        let known = self.known("gate", sshd.dir(), sshd.address());
        section("gate", sshd.address(), sshd.user(), &sshd.dir().join("id"), &known, lines)
    }
}

fn section(name: &str, address: SocketAddr, user: &str, key: &Path, known: &Path, lines: &str) -> String {
    let (host, port, key, known) = (address.ip(), address.port(), key.display(), known.display());
    format!(
        "Host {name}\n  HostName {host}\n  Port {port}\n  User {user}\n  IdentityFile {key}\n  \
         IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {known}\n  \
         StrictHostKeyChecking yes\n{lines}"
    )
}

fn is_fine(outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "/\n"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_pass_through_sshd() {
    let Some(sshd) = Sshd::start("files_pass_through_sshd").await.unwrap() else { return };
    let world = World::new().await;
    world.configure("  ProxyJump gate\n", &[world.sshd(&sshd, "")]);
    let content = noise(20 << 20, "jump");
    fs::write(world.client.work().join("big"), &content).unwrap();
    let put = world.run(&["-q", "nas", "put", "big"]);
    assert_eq!(put.code, Some(0), "{put}");
    let get = world.run(&["-q", "nas", "get", "big", "back"]);
    assert_eq!(get.code, Some(0), "{get}");
    assert!(fs::read(world.client.work().join("back")).unwrap() == content);
    // The same jump host on the command line.
    world.configure("  ProxyJump nosuch.invalid\n", &[world.sshd(&sshd, "")]);
    is_fine(&world.run(&["-J", "gate", "nas", "pwd"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_has_jump_hosts_of_its_own() {
    let (first, second) = (JumpHost::start(None).await.unwrap(), JumpHost::start(None).await.unwrap());
    let world = World::new().await;
    let sections = [world.jump("first", &first, ""), world.jump("second", &second, "")];
    world.configure("  ProxyJump first,second\n", &sections);
    let tree = world.client.work().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..900 {
        fs::write(tree.join(format!("file{number}")), noise(4 << 10, format!("{number}"))).unwrap();
    }
    let put = world.run(&["-q", "-j", "3", "nas", "put", "-r", "tree"]);
    assert_eq!(put.code, Some(0), "{put}");
    assert_eq!(contents(&world.host.home("ann").join("tree")).unwrap(), contents(&tree).unwrap());
    let get = world.run(&["-q", "-j", "3", "nas", "get", "-r", "tree", "back"]);
    assert_eq!(get.code, Some(0), "{get}");
    assert_eq!(contents(&world.client.work().join("back")).unwrap(), contents(&tree).unwrap());
    let to_second = format!("to {}", second.address());
    let to_server = format!("to {}", world.host.address());
    for (jump, next) in [(&first, &to_second), (&second, &to_server)] {
        let events = jump.events();
        assert!(events.iter().filter(|event| *event == "gate logged in").count() >= 2, "{events:?}");
        assert!(events.iter().filter(|event| *event == next).count() >= 2, "{events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_a_jump_host_is_asked_for_by_its_name_and_once() {
    let jump = JumpHost::start(Some("open sesame")).await.unwrap();
    let world = World::new().await;
    world.configure("  ProxyJump gate\n", &[world.jump("gate", &jump, "")]);
    let run = |answer: &str, arguments: &[&str]| -> Outcome {
        // The program with the answer, and this world's configuration.
        let answering = world.client.answering(answer).unwrap();
        let mut command = world.command();
        command.envs(answering.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(arguments).output().unwrap().into()
    };
    for name in ["a", "b", "c", "d"] {
        fs::write(world.client.work().join(name), noise(1 << 20, name)).unwrap();
    }
    let put = run("open sesame", &["-q", "-j", "2", "nas", "put", "a", "b", "c", "d", "/"]);
    assert_eq!(put.code, Some(0), "{put}");
    assert_eq!(world.client.asked().unwrap(), "Password of gate@127.0.0.1: \n");
    let wrong = run("open barley", &["nas", "pwd"]);
    assert_eq!(wrong.code, Some(5), "{wrong}");
    assert!(wrong.err().contains("login failed for gate@127.0.0.1"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_jump_connection_is_restored_without_a_question() {
    let jump = JumpHost::start(Some("open sesame")).await.unwrap();
    let world = World::new().await;
    world.configure("  ProxyJump gate\n", &[world.jump("gate", &jump, "")]);
    let content = noise(8 << 20, "lost");
    fs::write(world.host.home("ann").join("file"), &content).unwrap();
    jump.cut_next_after(3 << 20);
    let answering = world.client.answering("open sesame").unwrap();
    let mut command = world.command();
    command.envs(answering.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let get: Outcome = command.args(["-q", "nas", "get", "file"]).output().unwrap().into();
    assert_eq!(get.code, Some(0), "{get}");
    assert!(fs::read(world.client.work().join("file")).unwrap() == content);
    let logins = jump.events().iter().filter(|event| *event == "gate logged in").count();
    assert_eq!((logins, world.client.asked().unwrap().lines().count()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_is_checked_like_every_host() {
    let (jump, other) = (JumpHost::start(None).await.unwrap(), JumpHost::start(None).await.unwrap());
    let world = World::new().await;
    let section = world.jump("gate", &jump, "");
    world.configure("  ProxyJump gate\n", &[section]);
    is_fine(&world.run(&["nas", "pwd"]));
    let logins = jump.events().len();
    // It shows a different key than the known one.
    let line =
        fs::read_to_string(Client::of(other.dir(), jump.address(), "x").unwrap().known_hosts()).unwrap();
    fs::write(world.client.home().join("known-gate"), line).unwrap();
    let refused = world.run(&["nas", "pwd"]);
    assert_eq!((refused.code, refused.stdout.len()), (Some(4), 0), "{refused}");
    assert!(refused.err().contains("THE KEY OF THE HOST HAS CHANGED"), "{refused}");
    assert!(refused.err().contains(&format!("[127.0.0.1]:{}", jump.address().port())), "{refused}");
    fs::write(world.client.home().join("known-gate"), "").unwrap();
    let refused = world.run(&["nas", "pwd"]);
    assert_eq!(refused.code, Some(4), "{refused}");
    assert_eq!(jump.events().len(), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_jump_host_cannot_reach_is_reported_with_both_names() {
    let jump = JumpHost::start(None).await.unwrap();
    let world = World::new().await;
    world.configure("  ProxyJump gate\n", &[world.jump("gate", &jump, "")]);
    // A port that nobody listens at.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let refused = world.run(&["-P", &free, "nas", "pwd"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    let want =
        format!("cannot connect to 127.0.0.1 port {free} through 127.0.0.1 port {}", jump.address().port());
    assert!(refused.err().contains(&want), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_is_the_connection_and_ends_with_it() {
    let test = "a_proxy_command_is_the_connection_and_ends_with_it";
    let Some(sshd) = Sshd::start(test).await.unwrap() else { return };
    let world = World::new().await;
    let gate = world.sshd(&sshd, "");
    let (config, id) = (world.client.home().join("gate-config"), world.client.home().join("id-of-command"));
    fs::write(&config, &gate).unwrap();
    let command =
        format!("sh -c 'echo $$ >{}; exec ssh -F {} -W %h:%p gate'", id.display(), config.display());
    world.configure(&format!("  ProxyCommand {command}\n"), &[]);
    fs::write(world.client.work().join("file"), noise(3 << 20, "command")).unwrap();
    let put = world.run(&["-q", "nas", "put", "file"]);
    assert_eq!(put.code, Some(0), "{put}");
    let id = fs::read_to_string(id).unwrap();
    until("the command has ended", || !Path::new("/proc").join(id.trim()).exists());
    // The command's own message is shown.
    world.configure("  ProxyCommand sh -c 'echo nothing works >&2; exit 1'\n", &[]);
    let failed = world.run(&["nas", "pwd"]);
    assert_eq!(failed.code, Some(3), "{failed}");
    assert!(failed.err().contains("nothing works"), "{failed}");
    let unsafe_name = world.run(&["$(touch x)@nas", "pwd"]);
    assert_eq!(unsafe_name.code, Some(2), "{unsafe_name}");
    assert!(unsafe_name.err().contains("special to a shell"), "{unsafe_name}");
}

/// A new authority in a folder. Returns its public key.
fn authority(dir: &Path) -> String {
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", dir.join("authority").to_str().unwrap()]);
    fs::read_to_string(dir.join("authority.pub")).unwrap().trim().to_owned()
}

fn keygen(arguments: &[&str]) {
    assert!(Command::new("ssh-keygen").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// Certifies the key in a file, whose public half is written beside it.
fn certify(dir: &Path, key: &Path, options: &[&str]) {
    let public = key.with_extension("pub");
    let half = Command::new("ssh-keygen").arg("-y").arg("-f").arg(key).output().unwrap();
    fs::write(&public, half.stdout).unwrap();
    let authority = dir.join("authority");
    keygen(
        &[&["-q", "-s", authority.to_str().unwrap(), "-I", "test"], options, &[public.to_str().unwrap()]]
            .concat(),
    );
}

/// An sshd with a certified host key and an authority for users, and the authority's public key.
async fn certified(test: &str, host_options: &[&str]) -> Option<(Sshd, String)> {
    foreign::program("ssh-keygen", test)?;
    let mut public = String::new();
    let sshd = Sshd::start_with(test, |dir| {
        public = authority(dir);
        certify(dir, &dir.join("keys/host_ed25519"), host_options);
        fs::write(dir.join("authorized_keys"), "")?;
        Ok(format!(
            "HostCertificate {0}/keys/host_ed25519-cert.pub\nTrustedUserCAKeys {0}/authority.pub\n",
            dir.display()
        ))
    });
    Some((sshd.await.unwrap()?, public))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_vouches_for_a_host() {
    let test = "an_authority_vouches_for_a_host";
    let Some((sshd, authority)) = certified(test, &["-h", "-n", "127.0.0.1"]).await else { return };
    fs::write(sshd.dir().join("authorized_keys"), fs::read(public_half(&sshd.dir().join("id"))).unwrap())
        .unwrap();
    let world = World::new().await;
    world.configure("  ProxyJump gate\n", &[world.sshd(&sshd, "")]);
    let (known, port) = (world.client.home().join("known-gate"), sshd.address().port());
    // The key itself is known: no certificate is asked for.
    is_fine(&world.run(&["nas", "pwd"]));
    for (lines, fine) in [
        (format!("@cert-authority [127.0.0.1]:{port} {authority}\n"), true),
        (format!("@cert-authority [127.*]:* {authority}\n"), true),
        (format!("@cert-authority [10.*]:* {authority}\n"), false),
        (format!("@cert-authority * {authority}\n@revoked * {authority}\n"), false),
    ] {
        fs::write(&known, &lines).unwrap();
        let outcome = world.run(&["nas", "pwd"]);
        assert_eq!(outcome.code, Some(if fine { 0 } else { 4 }), "{lines}{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_or_time_vouches_for_nothing() {
    let test = "a_certificate_for_another_host_or_time_vouches_for_nothing";
    for (options, flaw) in [
        (&["-h", "-n", "elsewhere"][..], "it is for other host names"),
        (&["-h", "-n", "127.0.0.1", "-V", "20200101:20200102"], "it has expired"),
    ] {
        let Some((sshd, authority)) = certified(test, options).await else { return };
        let world = World::new().await;
        world.configure("  ProxyJump gate\n", &[world.sshd(&sshd, "")]);
        fs::write(world.client.home().join("known-gate"), format!("@cert-authority * {authority}\n"))
            .unwrap();
        let refused = world.run(&["nas", "pwd"]);
        assert_eq!((refused.code, refused.stdout.len()), (Some(4), 0), "{refused}");
        assert!(refused.err().contains(flaw), "{refused}");
    }
}

fn public_half(key: &Path) -> std::path::PathBuf {
    let public = key.with_extension("pub");
    let half = Command::new("ssh-keygen").arg("-y").arg("-f").arg(key).output().unwrap();
    fs::write(&public, half.stdout).unwrap();
    public
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
async fn a_certificate_logs_in_from_a_file_or_an_agent() {
    let test = "a_certificate_logs_in_from_a_file_or_an_agent";
    let Some((sshd, _)) = certified(test, &["-h", "-n", "127.0.0.1"]).await else { return };
    let world = World::new().await;
    let key = sshd.dir().join("id");
    world.configure("  ProxyJump gate\n", &[world.sshd(&sshd, "")]);
    let refused = world.run(&["nas", "pwd"]);
    assert_eq!(refused.code, Some(5), "the key alone: {refused}");
    certify(sshd.dir(), &key, &["-n", sshd.user()]);
    is_fine(&world.run(&["nas", "pwd"]));
    // In a file of another name.
    let named = world.client.home().join("certificate");
    fs::rename(sshd.dir().join("id-cert.pub"), &named).unwrap();
    assert_eq!(world.run(&["nas", "pwd"]).code, Some(5));
    world.configure(
        "  ProxyJump gate\n",
        &[world.sshd(&sshd, &format!("  CertificateFile {}\n", named.display()))],
    );
    is_fine(&world.run(&["nas", "pwd"]));
    // In an agent, which ssh-add gives the key and the certificate beside it.
    let socket = world.client.home().join("agent");
    let Some(program) = foreign::program("ssh-agent", test) else { return };
    let mut agent = Command::new(program);
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped());
    let mut agent = Agent(agent.spawn().unwrap());
    // It prints its socket once it listens.
    BufReader::new(agent.0.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    fs::rename(&named, sshd.dir().join("id-cert.pub")).unwrap();
    let mut add = Command::new("ssh-add");
    assert!(add.env("SSH_AUTH_SOCK", &socket).arg("-q").arg(&key).status().unwrap().success());
    fs::remove_file(sshd.dir().join("id-cert.pub")).unwrap();
    let known = world.known("gate", sshd.dir(), sshd.address());
    let gate = format!(
        "Host gate\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile none\n  IdentityAgent {}\n  \
         UserKnownHostsFile {}\n",
        sshd.address().port(),
        sshd.user(),
        socket.display(),
        known.display()
    );
    world.configure("  ProxyJump gate\n", &[gate]);
    is_fine(&world.run(&["nas", "pwd"]));
}
