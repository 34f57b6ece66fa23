//! A person's first hour at the prompt: every command of `help` with its options, in the order in which a new user meets
//! them.

use crate::CTRL_D;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use sshome::shell::COMMANDS;
use sshome::shell::command::CommandSpec;
use sshome_e2e::{Client, HostBuilder, Terminal, until};
use std::fs;

/// A person who types lines, and what they have typed.
struct Person {
    terminal: Terminal,
    /// The directory that the prompt shows.
    directory: String,
    typed: Vec<String>,
}

impl Person {
    /// Types a line, and returns the output up to the next prompt.
    fn say(&mut self, line: &str) -> String {
        self.typed.push(line.to_owned());
        let prompt = format!("ann@127.0.0.1:{}> ", self.directory);
        crate::say(&mut self.terminal, line, &prompt)
    }

    /// Types a line whose output contains these texts.
    fn sees(&mut self, line: &str, texts: &[&str]) {
        let said = self.say(line);
        for text in texts {
            assert!(said.contains(text), "{line}: {text:?} is missing in {said:?}");
        }
    }

    /// Types lines that print nothing.
    fn does(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.say(line), "", "{line}");
        }
    }

    /// Changes the directory.
    fn goes(&mut self, line: &str, directory: &str) -> String {
        self.directory = directory.to_owned();
        self.say(line)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_hour_at_the_prompt() {
    let builder = HostBuilder::new().unwrap().user("ann", "quota = \"100 MiB\"").unwrap();
    let host = builder.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    prepare(&client);
    let mut command = client.command().unwrap();
    command.arg(client.destination());
    command.env("PAGER", "sed s/^/page:/").env("EDITOR", "sed -i s/draft/final/").env("SHELL", "/bin/sh");
    let mut terminal = Terminal::start(&command).unwrap();
    terminal.expect("ann@127.0.0.1:/> ").unwrap();
    let mut ann = Person { terminal, directory: "/".to_owned(), typed: Vec::new() };
    looks_around(&mut ann);
    stores(&mut ann);
    lists(&mut ann);
    reads(&mut ann);
    fetches(&mut ann, &client);
    tidies_up(&mut ann);
    synchronises(&mut ann, &client);
    runs_jobs(&mut ann, &client);
    manages_keys(&mut ann);
    assert_everything_was_typed(&ann.typed);
    ann.typed.push("exit".to_owned());
    ann.terminal.send("exit\r").unwrap();
    assert_eq!(ann.terminal.end().unwrap().0, Some(0));
}

/// The files that the person has.
fn prepare(client: &Client) {
    let work = client.work();
    fs::create_dir_all(work.join("site/img")).unwrap();
    fs::write(work.join("notes.txt"), "first draft\nsecond line\n").unwrap();
    fs::write(work.join("site/index.html"), "<h1>home</h1>\n").unwrap();
    fs::write(work.join("site/img/logo.png"), "png").unwrap();
    fs::write(work.join("site/.hidden"), "hidden").unwrap();
    fs::write(work.join("patterns"), "*.tmp\n").unwrap();
    std::os::unix::fs::symlink("index.html", work.join("site/link")).unwrap();
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    key.set_comment("laptop");
    key.write_openssh_file(work.join("laptop"), LineEnding::LF).unwrap();
    fs::write(work.join("laptop.pub"), key.public_key().to_openssh().unwrap() + "\n").unwrap();
}

fn looks_around(ann: &mut Person) {
    ann.sees("help", &["cat FILE…", "COMMAND | LOCAL COMMAND", "Every command has --help"]);
    ann.sees("help put", &["upload files", "--recursive"]);
    ann.sees("put --help", &["upload files"]);
    ann.sees("hlep", &["unknown command hlep: did you mean help?"]);
    ann.sees("put --recursiv x", &["did you mean --recursive?"]);
    ann.sees("version", &["sshome ", "protocol 1"]);
    ann.sees("pwd", &["/\n"]);
    ann.sees("lpwd", &["/work\n"]);
    ann.sees("df", &["quota"]);
    ann.sees("df -hi", &["100.0 MiB"]);
    ann.sees("lls", &["notes.txt", "site"]);
    ann.sees("lls -lahtSr1fRdF .", &["."]);
    ann.sees("progress", &["progress is not shown"]);
}

fn stores(ann: &mut Person) {
    ann.sees("put notes.txt", &["1 file, 24 B"]);
    ann.sees("put -p -a -f notes.txt", &["1 file, 24 B"]);
    ann.sees("put -r -L --all -j 2 --delta auto site", &["4 files"]);
    ann.sees("put -r site", &["unchanged"]);
    let digest = blake3::hash(b"x").to_hex();
    ann.sees(&format!("put --size 1 --b3 {digest} - x"), &["standard input holds the commands"]);
}

fn lists(ann: &mut Person) {
    ann.sees("ls", &["notes.txt", "site"]);
    ann.sees("ls -F", &["site/"]);
    ann.sees("ls -d site", &["site"]);
    ann.sees("ls -la site", &[".hidden", "index.html", "-rw"]);
    ann.sees("ls -lh notes.txt", &["24 B"]);
    ann.sees("ls -1tr", &["notes.txt\n", "site\n"]);
    ann.sees("ls -Sf", &["notes.txt"]);
    ann.sees("ls -R site", &["site/img:\nlogo.png\n"]);
    ann.goes("cd site", "/site");
    ann.sees("ls", &["img"]);
    ann.goes("cd -", "/");
    assert_eq!(ann.goes("cd -", "/site"), "/site\n");
    ann.goes("cd ~", "/");
    ann.sees("stat notes.txt", &["size      24", "kind      file"]);
    ann.sees("stat -L ~/notes.txt", &["size      24"]);
    ann.sees("find site", &["site/img/logo.png\n"]);
    ann.sees("find -name *.png", &["./site/img/logo.png\n"]);
    ann.sees("find site --type d --max-depth 1", &["site\nsite/img\n"]);
    ann.sees("find -0 site | tr '\\0' '!'", &["site/img/logo.png!"]);
    ann.sees("find -0 site", &["is for another program"]);
    ann.sees("du", &["\t.\n"]);
    ann.sees("du -h -a --max-depth 1 site", &["\tsite/index.html\n", "\tsite\n"]);
    ann.sees("du -s site", &["\tsite\n"]);
    ann.sees("tree", &["└── site", "logo.png", "2 directories"]);
    ann.sees("tree -a -d -F -L 1", &["└── site/", "1 directory\n"]);
}

fn reads(ann: &mut Person) {
    ann.sees("cat notes.txt", &["first draft\nsecond line\n"]);
    ann.sees("cat notes.txt | grep second | tr a-z A-Z", &["SECOND LINE\n"]);
    ann.sees("ls | wc -l", &["2\n"]);
    ann.sees("less notes.txt", &["page:first draft\n"]);
    ann.sees("edit notes.txt", &["stored /notes.txt"]);
    ann.sees("cat notes.txt", &["first final\n"]);
    ann.sees("edit notes.txt", &["unchanged"]);
    ann.sees("hash notes.txt", &["  notes.txt\n"]);
    ann.sees("hash --verify notes.txt", &[": OK"]);
    ann.does(&["chmod 600 notes.txt"]);
    ann.sees("stat notes.txt", &["mode      0600"]);
    ann.does(&["chmod u+x notes.txt"]);
    ann.sees("ls -F", &["notes.txt*"]);
    ann.does(&["chmod -R go-w site"]);
}

fn fetches(ann: &mut Person, client: &Client) {
    ann.does(&["lmkdir down", "lmkdir -p down/a/b", "lcd down"]);
    ann.sees("lcd -", &["/work\n"]);
    ann.does(&["lcd down"]);
    ann.sees("get notes.txt", &["1 file, 24 B"]);
    ann.sees("get -f -a -p notes.txt", &["unchanged"]);
    ann.sees("get -r -L --all -j 2 --delta never site", &["files"]);
    ann.sees("get notes.txt - | wc -c", &["24\n"]);
    ann.sees("! ls", &["notes.txt"]);
    assert_eq!(fs::read(client.work().join("down/site/img/logo.png")).unwrap(), b"png");
    ann.does(&["lcd .."]);
}

fn tidies_up(ann: &mut Person) {
    ann.does(&["mkdir old", "mkdir -p old/2026/november", "cp notes.txt old", "cp -r site old"]);
    ann.does(&["mv old/notes.txt old/first.txt", "rename old/first.txt old/1.txt"]);
    ann.sees("rename -l notes.txt old/1.txt", &["exists already"]);
    ann.does(&["ln -s notes.txt latest", "symlink notes.txt newest"]);
    ann.sees("ls -l latest", &["latest -> notes.txt"]);
    ann.sees("rmdir old", &["old"]);
    ann.does(&["rmdir old/2026/november", "rm newest latest", "rm -f nothing no*match", "rm -rf old"]);
    ann.sees("rm -rf /", &["sshome:"]);
    ann.sees("ls", &["notes.txt  site\n"]);
    ann.sees("df -v", &["files"]);
    ann.say("rm --partial");
    ann.does(&["flush", "bookmark add site site"]);
    ann.sees("bookmark list", &["site  /site\n"]);
    ann.goes("cd @site", "/site");
    ann.goes("cd ..", "/");
    ann.does(&["bookmark remove site"]);
    ann.sees("bookmark remove site", &["no bookmark site"]);
}

fn synchronises(ann: &mut Person, client: &Client) {
    let filters = "--exclude *.tmp --include a.tmp --exclude-from patterns --min-size 0 --max-size 1G";
    ann.sees("push -n -i site copy/", &["create"]);
    ann.sees("push -j 2 --delta auto site copy", &["files"]);
    fs::write(client.work().join("site/new"), "new").unwrap();
    fs::remove_file(client.work().join("site/.hidden")).unwrap();
    ann.sees(&format!("check {filters} site copy"), &["only-local new", "only-remote .hidden"]);
    ann.say("check --fast -c site copy");
    ann.say(&format!("push -c -u {filters} site copy"));
    ann.say("push --existing --ignore-existing site copy");
    ann.say("push --delete --max-delete 5 --backup-dir kept site copy");
    ann.say("push --delete-excluded --exclude *.tmp site copy");
    ann.say("push -ni --watch site copy");
    ann.sees("check site copy", &[]);
    ann.say("pull -n -i copy back");
    ann.sees("pull -j 2 --delta auto copy back", &["files"]);
    ann.say(&format!("pull -c -u {filters} copy back"));
    ann.say("pull --existing --ignore-existing copy back");
    ann.say("pull --delete --max-delete 5 --backup-dir kept copy back");
    ann.say("pull --delete-excluded --exclude *.tmp copy back");
    assert_eq!(fs::read(client.work().join("back/new")).unwrap(), b"new");
    ann.does(&["rm -rf copy kept"]);
}

fn runs_jobs(ann: &mut Person, client: &Client) {
    ann.does(&["jobs"]);
    ann.sees("ls &", &["omit the &"]);
    ann.sees("push --watch site watched &", &["[1]\n"]);
    ann.sees("jobs", &["[1]", "push --watch site watched\n"]);
    ann.sees("put notes.txt again.txt &", &["[2]\n"]);
    ann.sees("fg 2", &["[2] done: put notes.txt again.txt\n", "1 file"]);
    until("the directory was pushed", || ann.say("ls").contains("watched"));
    ann.sees("exit", &["1 job is running"]);
    ann.sees("kill 1", &["[1] cancelled: push --watch site watched\n"]);
    ann.does(&["jobs"]);
    ann.sees("fg", &["there are no jobs"]);
    assert!(client.work().join("notes.txt").exists());
}

fn manages_keys(ann: &mut Person) {
    ann.sees("key install laptop.pub", &["installed: SHA256:", "laptop"]);
    ann.sees("key list", &["own", "laptop", "administrator"]);
    ann.sees("key remove laptop.pub", &["removed: "]);
}

/// Each command of the table, and each of its options, was typed.
fn assert_everything_was_typed(typed: &[String]) {
    let mut missing = Vec::new();
    for command in COMMANDS {
        let is_it = |line: &&String| {
            let name = line.split_whitespace().next().unwrap_or_default();
            CommandSpec::find(name.as_bytes()).is_some_and(|found| found.name == command.name)
        };
        let words: Vec<&str> = typed.iter().filter(is_it).flat_map(|line| line.split_whitespace()).collect();
        if words.is_empty() {
            missing.push(command.name.to_owned());
        }
        for flag in command.flags {
            let has_letter = |word: &&&str| {
                word.starts_with('-')
                    && !word.starts_with("--")
                    && word.contains([flag.short, flag.also.unwrap_or(flag.short)])
            };
            let has_word = |word: &&&str| !flag.long.is_empty() && word.trim_start_matches('-') == flag.long;
            if !words.iter().any(|word| has_letter(&word) || has_word(&word)) {
                missing.push(format!("{} -{} --{}", command.name, flag.short.escape_debug(), flag.long));
            }
        }
    }
    assert!(missing.is_empty(), "not typed: {missing:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_follow_the_environment() {
    let host = crate::host().await;
    fs::create_dir(host.home("ann").join("folder")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    for (variables, colour) in [
        (&[][..], Some("\x1b[01;34mfolder\x1b[0m")),
        (&[("LS_COLORS", "di=35")], Some("\x1b[35mfolder\x1b[0m")),
        (&[("LS_COLORS", "di=35"), ("NO_COLOR", "1")], None),
    ] {
        let mut command = client.command().unwrap();
        command.arg(client.destination()).envs(variables.iter().copied());
        let mut terminal = Terminal::start(&command).unwrap();
        terminal.expect("ann@127.0.0.1:/> ").unwrap();
        terminal.send("ls\r").unwrap();
        terminal.expect("\n").unwrap();
        terminal.expect("ann@127.0.0.1:/> ").unwrap();
        terminal.send(CTRL_D).unwrap();
        let shown = String::from_utf8_lossy(&terminal.ended().unwrap().shown).into_owned();
        match colour {
            Some(colour) => assert!(shown.contains(colour), "{variables:?}: {shown:?}"),
            None => assert!(shown.contains("\nfolder\r\n"), "{variables:?}: {shown:?}"),
        }
    }
}
