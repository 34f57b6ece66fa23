//! Single commands: `ssh USER@HOST COMMAND`, by hand and with OpenSSH's ssh.

mod escapes;
mod refused;
mod scp;
mod stream;
mod sums;

use sshome_e2e::foreign::program;
use sshome_e2e::tree::{ODD_NAMES, contents, names, noise, plant};
use sshome_e2e::{Client, Exec, Host, Outcome, Program, command, run};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

/// The result of a command: exit status, standard output, standard error.
fn ended(outcome: &Outcome) -> (Option<i32>, String, String) {
    (outcome.code, outcome.out(), outcome.err())
}

async fn done(host: &Host, line: impl AsRef<[u8]>) -> String {
    let line = line.as_ref();
    let outcome = run(host, "ann", line, b"").await.unwrap();
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{}", line.escape_ascii());
    outcome.out()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_as_documented() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let home = host.home("ann");
    assert_eq!(done(&host, "pwd").await, "/\n");
    assert_eq!(done(&host, "mkdir -p a/b/c 'with space'").await, "");
    assert!(home.join("a/b/c").is_dir() && home.join("with space").is_dir());
    let put = run(&host, "ann", "put a/f", b"content").await.unwrap();
    assert_eq!(ended(&put), (Some(0), String::new(), String::new()));
    assert_eq!(done(&host, "get a/f").await, "content");
    assert_eq!(done(&host, "cat /a/f ~/a/f").await, "contentcontent");
    assert_eq!(done(&host, "ls").await, "a\nwith space\n");
    assert_eq!(done(&host, "ls -a a").await, "b\nf\n");
    assert_eq!(done(&host, "ls a/f 'with space'").await, "a/f\nwith space:\n");
    assert_eq!(done(&host, "ls -R a").await, "a:\nb\nf\n\na/b:\nc\n\na/b/c:\n");
    done(&host, "mkdir -p a/.hidden/x").await;
    assert_eq!(done(&host, "ls -R a").await, "a:\nb\nf\n\na/b:\nc\n\na/b/c:\n");
    assert_eq!(done(&host, "ls -aR a/.hidden").await, "a/.hidden:\nx\n\na/.hidden/x:\n");
    done(&host, "rm -r a/.hidden").await;
    assert_eq!(done(&host, "ls -d a a/f").await, "a\na/f\n");
    let long = done(&host, "ls -l a").await;
    let line = long.lines().nth(1).unwrap();
    assert!(line.starts_with("-rw-r--r--   1 ann      ann             7 "), "{line}");
    assert!(line.ends_with(" f"), "{line}");
    let stat = done(&host, "stat a/f").await;
    assert!(stat.starts_with("    name: /a/f\n    type: file\n    size: 7\n    mode: 0644 -rw-r--r--\n"));
    done(&host, "cp a/f a/g").await;
    done(&host, "cp -r a copy").await;
    assert_eq!(contents(&home.join("a")).unwrap(), contents(&home.join("copy")).unwrap());
    done(&host, "mv a/f a/g copy/b").await;
    assert_eq!(names(&home.join("copy/b")).unwrap(), [b"c", b"f", b"g"]);
    done(&host, "mv copy/b/g g").await;
    done(&host, "rm g copy/f").await;
    done(&host, "rmdir 'with space'").await;
    done(&host, "rm -r copy a").await;
    done(&host, "rm -rf missing a/b").await;
    assert_eq!(names(&home).unwrap(), [b".sshome-staging".to_vec()]);
    assert!(done(&host, "help").await.contains("\nls [-1aAdhlR] [NAME]...\n        list files;"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_sources_with_one_name_the_first_is_copied_or_moved() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    for command in ["cp", "mv"] {
        done(&host, "mkdir -p 1 2 dir").await;
        for (folder, content) in [("1", b"first"), ("2", b"other")] {
            run(&host, "ann", format!("put {folder}/x"), content).await.unwrap();
        }
        let outcome = run(&host, "ann", format!("{command} 1/x 2/x dir"), b"").await.unwrap();
        let said = format!("{command}: /2/x: will not overwrite what was just put into /dir\n");
        assert_eq!(ended(&outcome), (Some(1), String::new(), said));
        assert_eq!(fs::read(home.join("dir/x")).unwrap(), b"first");
        assert_eq!(fs::read(home.join("2/x")).unwrap(), b"other");
        let client = Client::new(&host, "ann").unwrap();
        done(&host, "mkdir again").await;
        done(&host, "cp dir/x 1/x").await;
        let outcome = client.run([command, "1/x", "2/x", "again"]).unwrap();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.err().contains("2/x: will not overwrite what was just put into again"), "{outcome}");
        assert_eq!(fs::read(home.join("again/x")).unwrap(), b"first");
        done(&host, "rm -r 1 2 dir again").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn df_shows_the_quota_in_the_columns_that_programs_read() {
    let host = Host::with_user("ann", "quota = \"100 KiB\"").await.unwrap();
    run(&host, "ann", "put f", &[1; 2000]).await.unwrap();
    for line in ["df", "df -k /", "df -k f"] {
        let text = done(&host, line).await;
        let fields: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(fields, ["ann", "100", "2", "98", "2%", "/"], "{line}");
    }
    assert_eq!(run(&host, "ann", "df nowhere", b"").await.unwrap().code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_statuses_and_errors_are_those_of_a_shell() {
    let host = Host::with_user("ann", "").await.unwrap();
    fs::create_dir(host.home("ann").join("d")).unwrap();
    fs::write(host.home("ann").join("f"), b"f").unwrap();
    for (line, code, output, errors) in [
        ("bash", 127, "", "bash: no such command; help lists the commands\n"),
        (
            "rsync --server -logDtpre.iLsfxCIvu . backup",
            127,
            "",
            "rsync is not supported: use sshome's push and get -r, sftp, or rclone\n",
        ),
        ("/bin/ls", 127, "", "/bin/ls: no such command; help lists the commands\n"),
        ("", 127, "", ": no such command; help lists the commands\n"),
        ("'\x1b[2J'", 127, "", "\\x1b[2J: no such command; help lists the commands\n"),
        ("get", 2, "", "get: missing operand; usage: get NAME...\n"),
        ("pwd x", 2, "", "pwd: too many operands; usage: pwd\n"),
        ("get 'f", 2, "", "a ' is never closed\n"),
        ("get nothing", 1, "", "get: no such file: /nothing\n"),
        ("get nothing f", 1, "f", "get: no such file: /nothing\n"),
        ("get d", 1, "", "get: wrong type: /d: it is a directory\n"),
        ("mkdir d", 1, "", "mkdir: /d exists; -p accepts that\n"),
        ("mkdir -p d", 0, "", ""),
        ("cp f d f", 1, "", "cp: wrong type: /f: not a directory\ncp: wrong type: /f: not a directory\n"),
        ("rm nothing", 1, "", "rm: no such file: /nothing\n"),
        ("rm -f nothing f/x", 0, "", ""),
        ("rm d", 1, "", "rm: wrong type: /d is a directory; rmdir or rm -r removes it\n"),
        ("rm -f d", 1, "", "rm: wrong type: /d is a directory; rmdir or rm -r removes it\n"),
        ("put d", 1, "", "put: wrong type: /d is a directory; name the file in it\n"),
        ("put a/b", 1, "", "put: no such directory: /a\n"),
    ] {
        let outcome = run(&host, "ann", line, b"").await.unwrap();
        assert_eq!(ended(&outcome), (Some(code), output.to_owned(), errors.to_owned()), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_user_changes_nothing() {
    let host = Host::with_user("ann", "access = \"read-only\"").await.unwrap();
    let home = host.home("ann");
    fs::create_dir(home.join("d")).unwrap();
    fs::write(home.join("f"), b"content").unwrap();
    let before = contents(&home).unwrap();
    for line in [
        "mkdir e",
        "rmdir d",
        "rm f",
        "rm -rf d",
        "mv f g",
        "cp f g",
        "put g",
        "put f",
        "scp -t g",
        "scp -pr -t .",
    ] {
        let outcome = run(&host, "ann", line, b"").await.unwrap();
        assert_eq!(outcome.code, Some(1), "{line}");
        assert!(outcome.err().ends_with("this account is read-only\n"), "{line}: {outcome}");
    }
    assert_eq!(contents(&home).unwrap(), before);
    assert_eq!(done(&host, "get f").await, "content");
    assert_eq!(done(&host, "ls").await, "d\nf\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_bytes_and_are_escaped_on_a_terminal() {
    let host = Host::with_user("ann", "").await.unwrap();
    for name in ODD_NAMES {
        let line = command("put --", [name]);
        assert_eq!(run(&host, "ann", &line, name).await.unwrap().code, Some(0), "{}", line.escape_ascii());
        let file = host.home("ann").join(OsStr::from_bytes(name));
        assert_eq!(fs::read(file).unwrap(), name);
        let got = run(&host, "ann", command("get --", [name]), b"").await.unwrap();
        assert_eq!(got.stdout, name);
        let listed = run(&host, "ann", command("ls -d --", [name]), b"").await.unwrap();
        assert_eq!(listed.stdout, [name, b"\n"].concat());
        let terminal = Exec::in_terminal(&host, "ann", command("ls -d --", [name])).await.unwrap();
        let shown = terminal.finish().await.unwrap();
        assert_eq!(shown.code, Some(0));
        let text = shown.out();
        assert!(text.ends_with("\r\n") && !text.trim_end().contains(char::is_control), "{text:?}");
    }
    let missing = run(&host, "ann", "get '\x1b[2J\n'", b"").await.unwrap();
    assert_eq!(missing.err(), "get: no such file: /\\x1b[2J\\x0a\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_lines_and_no_questions() {
    let host = Host::with_user("ann", "").await.unwrap();
    fs::write(host.home("ann").join("f"), b"one\ntwo\n").unwrap();
    let finish = async |line| Exec::in_terminal(&host, "ann", line).await.unwrap().finish().await.unwrap();
    assert_eq!(ended(&finish("ls").await), (Some(0), "f\r\n".into(), String::new()));
    assert_eq!(finish("get f").await.stdout, b"one\ntwo\n");
    assert_eq!(finish("rm x").await.err(), "rm: no such file: /x\r\n");
    let put = finish("put g").await;
    assert_eq!(
        ended(&put),
        (Some(1), String::new(), "put: the input is a terminal; send bytes without one (ssh -T)\r\n".into())
    );
    // Ctrl-C ends the running command.
    fs::write(host.home("ann").join("big"), vec![0; 64 << 20]).unwrap();
    let mut get = Exec::in_terminal(&host, "ann", "get big").await.unwrap();
    get.read(1).await.unwrap();
    get.send(b"\x03").await.unwrap();
    assert_eq!(get.finish().await.unwrap().code, Some(130));
}

/// A folder with more names than are sorted at a time is listed completely.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_listed_whole() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    for number in 0..10_050 {
        symlink("nowhere", home.join(format!("{number:05}"))).unwrap();
    }
    let listed = done(&host, "ls").await;
    let mut lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 10_050);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 10_050);
}

/// The running child processes of a process.
fn children_of(parent: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |process: &u32| {
        // PID (NAME) STATE PARENT ...
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let parents = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parents == Some(&parent.to_string())
    };
    processes.filter(is_child).collect()
}

/// No program is started, whatever the command: the server has no child process, during the command and after it.
#[tokio::test(flavor = "multi_thread")]
async fn no_program_is_started() {
    let mut host = sshome_e2e::HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let server: Program = host.start_apart().unwrap();
    let witness = host.dir().join("witness");
    let children = || children_of(server.id());
    let touch = format!("touch {}", witness.display());
    let waiting = Exec::start(&host, "ann", "put f").await.unwrap();
    for line in [
        touch.clone(),
        format!("sh -c '{touch}'"),
        format!("ls; {touch}"),
        format!("ls && {touch}"),
        format!("ls & {touch}"),
        format!("ls\n{touch}"),
        format!("ls | {touch}"),
        format!("ls $({touch})"),
        format!("ls `{touch}`"),
        format!("ls \"$({touch})\""),
        format!("ls > {}", witness.display()),
        format!("put {}", witness.display()),
        "rsync --server -e.LsfxC . .".to_owned(),
        "/usr/lib/openssh/sftp-server".to_owned(),
        "internal-sftp".to_owned(),
    ] {
        let outcome = run(&host, "ann", &line, b"").await.unwrap();
        assert_ne!(outcome.code, Some(0), "{line}: {outcome}");
        assert_eq!(children(), [0; 0], "{line}");
    }
    assert!(!witness.exists());
    waiting.vanish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_runs_commands() {
    let Some(ssh) = program("ssh", "openssh_runs_commands") else { return };
    let host = Host::with_user("ann", "quota = \"18 MiB\"").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let outcome = |line: &str| -> Outcome { client.ssh(ssh.clone()).arg(line).output().unwrap().into() };
    assert_eq!(ended(&outcome("ls")), (Some(0), String::new(), String::new()));
    assert_eq!(outcome("bash").code, Some(127));
    assert_eq!(outcome("get nothing").code, Some(1));
    assert_eq!(outcome("rm 'a").code, Some(2));
    let content = noise(5_000_001, "ssh");
    fs::write(client.work().join("in"), &content).unwrap();
    let put = |name: &str| {
        let input = fs::File::open(client.work().join("in")).unwrap();
        client.ssh(ssh.clone()).arg(format!("put {name}")).stdin(input).output().unwrap()
    };
    assert!(put("f").status.success());
    assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
    assert!(outcome("get f").stdout == content);
    assert!(put("g").status.success() && put("h").status.success());
    let full = Outcome::from(put("i"));
    assert_eq!(full.code, Some(1));
    assert!(full.err().starts_with("put: quota exceeded: i needs "), "{full}");
    assert!(!host.home("ann").join("i").exists());
    // A pipe between two commands, on the client's side.
    let mut get = client.ssh(ssh.clone()).arg("get f").spawn().unwrap();
    let copy = client.ssh(ssh.clone()).arg("put g").stdin(get.stdout.take().unwrap()).output().unwrap();
    assert!(get.wait().unwrap().success() && copy.status.success());
    assert!(fs::read(host.home("ann").join("g")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_command_a_message_is_shown_and_no_shell() {
    let Some(ssh) = program("ssh", "without_a_command_a_message_is_shown_and_no_shell") else { return };
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let outcome = |option: &str| -> Outcome {
        let mut command = client.foreign(ssh.clone());
        command.args(client.openssh_options()).args(["-p", &client.port(), option, &client.destination()]);
        command.output().unwrap().into()
    };
    let text = "Hello, ann: 0 B of 10.0 MiB used, 0 of 1000000 files.\nThere is no shell.";
    let plain = outcome("-T");
    assert!(plain.code == Some(1) && plain.out().starts_with(text), "{plain}");
    assert!(!plain.out().contains('\r'));
    let sftp = format!("sftp -P {} ann@HOST", client.port());
    assert!(plain.out().contains(&sftp), "{plain}");
    let terminal = outcome("-tt");
    assert!(
        terminal.code == Some(1) && terminal.out().starts_with(&text.replace('\n', "\r\n")),
        "{terminal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_listed_and_copied_and_removed() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    plant(&home.join("tree")).unwrap();
    done(&host, "cp -r tree copy").await;
    assert_eq!(contents(&home.join("tree")).unwrap(), contents(&home.join("copy")).unwrap());
    let listed = run(&host, "ann", "ls -aR copy", b"").await.unwrap();
    assert_eq!(listed.code, Some(0));
    for name in ODD_NAMES {
        assert!(listed.stdout.windows(name.len()).any(|window| window == name));
    }
    done(&host, "rm -r tree copy").await;
    assert_eq!(done(&host, "ls").await, "");
}
