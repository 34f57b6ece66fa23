//! README.md, docs/install.md and docs/automation.md: their commands, run literally.

use sshome_e2e::tree::contents;
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Terminal, binary, copy_program, has_root};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");
const INSTALL: &str = include_str!("../../docs/install.md");
const AUTOMATION: &str = include_str!("../../docs/automation.md");

/// The top folder of the checkout.
fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The code blocks of a section of a document. `language` is the name behind a block's fence; an indented block
/// has none.
fn blocks(document: &str, heading: &str, language: Option<&str>) -> Vec<String> {
    let section = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    let level = heading.find(' ').unwrap();
    let is_heading = |line: &str| line.starts_with('#') && line.find(' ').is_some_and(|depth| depth <= level);
    let (mut found, mut block, mut fence) = (Vec::new(), String::new(), None);
    let mut fenced = false;
    for line in section.lines() {
        if let Some(name) = line.strip_prefix("```") {
            fenced = !fenced;
            fence = fenced.then_some(name);
        } else if !fenced && is_heading(line) {
            break;
        } else if let Some(code) = line.strip_prefix("    ").filter(|_| !fenced && language.is_none()) {
            block += &format!("{code}\n");
            continue;
        } else if fenced && fence == language {
            block += &format!("{line}\n");
            continue;
        }
        found.extend(Some(std::mem::take(&mut block)).filter(|block| !block.is_empty()));
    }
    found.extend(Some(block).filter(|block| !block.is_empty()));
    found
}

/// A text without what differs between runs: numbers, times, key fingerprints and runs of blanks.
fn timeless(text: &str) -> Vec<String> {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let word = |word: &str| match word {
        word if word.starts_with("SHA256:") => "SHA256:#".to_owned(),
        word if months.contains(&word) => "#".to_owned(),
        word if word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => "#".to_owned(),
        word if ["B", "KiB", "MiB", "GiB", "KiB/s)", "MiB/s)", "GiB/s)"].contains(&word) => "B".to_owned(),
        word => {
            let digit = |c: char| if c.is_ascii_digit() || c == '.' { '#' } else { c };
            let mut letters: Vec<char> = word.chars().map(digit).collect();
            letters.dedup_by(|next, last| (*next, *last) == ('#', '#'));
            letters.into_iter().collect()
        }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).filter(|line| !line.is_empty()).collect()
}

/// Each line was shown. The terminal may have shown progress before it, on the same line.
fn assert_shows(shown: &[String], wanted: &[String], before: &str) {
    let all = shown.len() == wanted.len()
        && shown.iter().zip(wanted).all(|(line, end)| line.ends_with(end.as_str()));
    assert!(all, "before {before:?}: {shown:#?} and not {wanted:#?}");
}

/// A server with the demo users, as README's first command starts it.
async fn shipped() -> Host {
    let settings = fs::read_to_string(checkout().join("etc/users.toml")).unwrap();
    let mut host = HostBuilder::new().unwrap().prepare().unwrap();
    let settings = settings.replace("127.0.0.1:2222", "127.0.0.1:0");
    fs::write(host.dir().join("etc/users.toml"), settings).unwrap();
    host.start().await.unwrap();
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transcript_is_what_the_terminal_shows() {
    let host = shipped().await;
    let client = Client::new(&host, "alex").unwrap();
    let [transcript] = &blocks(README, "## Quick start", Some("text"))[..] else { panic!("one transcript") };
    // The clone's directory. Downloads go to its parent.
    let clone = client.work().join("clone");
    fs::create_dir(&clone).unwrap();
    for name in ["etc", "LICENSE"] {
        let copied = Command::new("cp").arg("-r").arg(checkout().join(name)).arg(&clone).status().unwrap();
        assert!(copied.success());
    }
    let port = client.port();
    let mut command = client.foreign(binary("sshome").unwrap());
    // To a busy machine even a link to itself may be slower than compressing.
    command.current_dir(&clone).args(["-P", &port, "--compress=never", "alex@127.0.0.1"]);
    let mut terminal = Terminal::start(&command).unwrap();
    let seen = |shown: &str| {
        let shown = shown.replace(&port, "2222");
        timeless(&shown.replace(client.home().to_str().unwrap(), "/home/alex"))
    };
    let mut lines = transcript.lines();
    assert_eq!(lines.next(), Some("$ sshome -P 2222 alex@127.0.0.1"));
    let mut wanted = String::new();
    for line in lines {
        // Input follows a question or a prompt.
        let typed = ["fingerprint) ", "told it) ", "/> ", "$"].iter().find_map(|end| {
            let (before, typed) = line.split_once(end)?;
            Some((format!("{before}{}", end.trim_end()), typed))
        });
        match typed {
            Some((before, typed)) if !before.starts_with('$') => {
                let shown = terminal.expect(&before).unwrap();
                assert_shows(&seen(&shown), &timeless(&wanted), line);
                terminal.send(&format!("{typed}\r")).unwrap();
                terminal.expect(typed).unwrap();
                wanted.clear();
            }
            Some(_) => break,
            None if line.starts_with("Password of") => {
                let shown = terminal.expect(line).unwrap();
                assert_shows(&seen(&shown), &timeless(&wanted), line);
                terminal.send("alex-demo\r").unwrap();
                wanted.clear();
            }
            None => wanted += &format!("{line}\n"),
        }
    }
    assert_eq!(terminal.end().unwrap().0, Some(0));
}

/// A user with the key `~/.ssh/backup`, a `Host nas` that is the test's server, and `sshome` in `$PATH`.
struct Account {
    dir: TempDir,
}

impl Account {
    fn of(host: &Host) -> Account {
        let client = Client::new(host, "backup").unwrap();
        let dir = TempDir::with_prefix("sshome-readme-").unwrap();
        for folder in ["home/.ssh", "bin", "data", "work"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let ssh = dir.path().join("home/.ssh");
        fs::copy(host.key_file(), ssh.join("backup")).unwrap();
        fs::copy(client.known_hosts(), ssh.join("known_hosts")).unwrap();
        let port = host.address().port();
        fs::write(ssh.join("config"), format!("Host nas\n  HostName 127.0.0.1\n  Port {port}\n")).unwrap();
        symlink(binary("sshome").unwrap(), dir.path().join("bin/sshome")).unwrap();
        Account { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a line as cron does: by sh, without a terminal, in the home directory, with these variables.
    fn cron(&self, variables: &[(&str, String)], line: &str) -> Outcome {
        let mut command = Command::new("setsid");
        command.args(["--wait", "/bin/sh", "-c", line]).env_clear().current_dir(self.path("home"));
        command.envs([("SHELL", "/bin/sh"), ("LOGNAME", "backup"), ("PATH", "/usr/bin:/bin")]);
        command.env("HOME", self.path("home")).envs(variables.iter().cloned());
        command.stdin(std::process::Stdio::null()).output().unwrap().into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crontab_works_in_the_environment_of_cron() {
    let host = Host::with_user("backup", "").await.unwrap();
    let account = Account::of(&host);
    fs::write(account.path("data/file"), "content").unwrap();
    let crontab =
        blocks(AUTOMATION, "## Cron", None).into_iter().find(|block| block.contains("* * *")).unwrap();
    // The test has other paths than an administrator's machine.
    let crontab = crontab.replace("/srv/data", account.path("data").to_str().unwrap());
    let crontab = crontab.replace("/usr/local/bin", account.path("bin").to_str().unwrap());
    let mut variables = Vec::new();
    let mut jobs = 0;
    for line in crontab.lines() {
        match line.split_once('=').filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase())) {
            Some((name, value)) => variables.push((name, value.to_owned())),
            None => {
                let job = line.splitn(6, ' ').last().unwrap().trim_start();
                let outcome = account.cron(&variables, job);
                assert_eq!(
                    (outcome.code, outcome.out(), outcome.err()),
                    (Some(0), String::new(), String::new())
                );
                jobs += 1;
            }
        }
    }
    assert_eq!(jobs, 1);
    assert_eq!(
        contents(&host.home("backup").join("data")).unwrap(),
        contents(&account.path("data")).unwrap()
    );
}

/// Runs the steps in a new mount namespace, so that they change nothing on the machine.
const OWN_VIEW: &str = r#"
set -eu
layers=$(mktemp -d)
mount -t tmpfs tmpfs "$layers"
for folder in etc srv usr/local; do
  mkdir -p "$layers/$folder/upper" "$layers/$folder/work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$layers/$folder/upper,workdir=$layers/$folder/work" "/$folder"
done
"#;

/// A clone whose programs are built, in which the steps run.
fn built_clone() -> TempDir {
    let clone = TempDir::with_prefix("sshome-clone-").unwrap();
    fs::create_dir_all(clone.path().join("target/release")).unwrap();
    for program in ["sshome", "sshomed"] {
        copy_program(program, &clone.path().join("target/release")).unwrap();
    }
    let copied = Command::new("cp").arg("-r").arg(checkout().join("etc")).arg(clone.path()).status().unwrap();
    assert!(copied.success());
    clone
}

#[test]
fn the_steps_for_a_host_as_root() {
    if !has_root("the_steps_for_a_host_as_root") {
        return;
    }
    let clone = built_clone();
    let steps = blocks(INSTALL, "## A server in your network", None).concat();
    let local = |line: &&str| !line.starts_with("cargo build") && !line.starts_with("sshome ");
    let steps: String = steps.lines().filter(local).map(|line| format!("{line}\n")).collect();
    // The server runs until it is stopped. The test chooses its address.
    let serve = "runuser -u sshome -- sshomed\n";
    assert!(steps.contains(serve), "{steps}");
    let steps = steps.replace(
        serve,
        "sed -i 's/^listen = .*/listen = [\"127.0.0.1:0\"]/' etc/users.toml
runuser -u sshome -- sshomed >said 2>log &
until grep -q '^log in with' said; do kill -0 $!; sleep 0.1; done
port=$(sed -n 's/^listening on 127.0.0.1://p' said)
sshome --accept-new -i /tmp/sam -P \"$port\" sam@127.0.0.1 put LICENSE
sshome --accept-new -i /tmp/sam -P \"$port\" sam@127.0.0.1 df
kill $!
",
    );
    let script = format!(
        "{OWN_VIEW}mount -t tmpfs -o mode=1777 tmpfs /tmp
export HOME=/tmp/home
mkdir -p \"$HOME\"
ssh-keygen -q -t ed25519 -N '' -f /tmp/sam
chmod 644 /tmp/sam.pub
set -x
{}",
        steps.replace("cd /srv/sshome", "cp etc/users.toml /srv/sshome/LICENSE; cd /srv/sshome")
    );
    // The clone is in /tmp, which the script mounts over, so it is entered first.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).current_dir(clone.path());
    let outcome: Outcome = command.output().unwrap().into();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.out().contains("50.0 GiB"), "{outcome}");
    assert!(!fs::read_to_string("/etc/passwd").unwrap().contains("/srv/sshome"));
}
