//! OpenSSH's own clients, unchanged: `sftp`, and `scp` as it is today.

use sshome_e2e::tree::{contents, mode, names, noise, on_disk, plant, set_mode};
use sshome_e2e::{Client, Host, Outcome};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

/// OpenSSH's programs with the key and the known host of one of our clients, in its folder.
struct OpenSsh {
    client: Client,
    home: PathBuf,
    options: Vec<String>,
}

impl OpenSsh {
    /// `None` if they are not installed: then the skipped test is reported.
    fn new(test: &str, host: &Host) -> Option<OpenSsh> {
        for program in ["sftp", "scp"] {
            // Without a host they print their usage, and end.
            let there = Command::new(program).stderr(Stdio::null()).stdin(Stdio::null()).status();
            if let Err(error) = there {
                eprintln!("skipped: {test}: {program}: {error}");
                return None;
            }
        }
        let client = Client::new(host, "ann").unwrap();
        let known_hosts = client.work().join("../known_hosts");
        let options = [
            "-F".to_owned(),
            "none".to_owned(),
            "-i".to_owned(),
            host.key_file().display().to_string(),
            "-o".to_owned(),
            format!("UserKnownHostsFile={}", known_hosts.display()),
            "-o".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "-P".to_owned(),
            host.address().port().to_string(),
        ];
        Some(OpenSsh { client, home: host.home("ann"), options: options.to_vec() })
    }

    fn here(&self, name: &str) -> PathBuf {
        self.client.work().join(name)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).current_dir(self.client.work()).env("HOME", self.client.home());
        command
    }

    /// Runs a batch; the first line that fails ends it.
    fn batch(&self, options: &[&str], script: &str) -> Outcome {
        let file = self.client.home().join("batch");
        fs::write(&file, script).unwrap();
        let mut command = self.command("sftp");
        command.args(options).arg("-b").arg(file).arg("ann@127.0.0.1");
        command.output().unwrap().into()
    }

    #[track_caller]
    fn does(&self, script: &str) -> String {
        let outcome = self.batch(&[], script);
        assert_eq!(outcome.code, Some(0), "{script}\n{outcome}");
        outcome.out()
    }

    #[track_caller]
    fn refuses(&self, line: &str) -> String {
        let outcome = self.batch(&[], line);
        assert_eq!(outcome.code, Some(1), "{line}\n{outcome}");
        outcome.err()
    }

    fn scp(&self, arguments: &[&str]) -> Outcome {
        self.command("scp").args(arguments).output().unwrap().into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_manual_works() {
    let host = Host::with_user("ann", "quota = \"100 MiB\"").await.unwrap();
    let Some(ssh) = OpenSsh::new("every_command_of_the_manual_works", &host) else { return };
    let content = noise(MIB, "f");
    fs::write(ssh.here("f"), &content).unwrap();
    set_mode(ssh.here("f"), 0o640).unwrap();
    // put and get, with the attributes that they keep.
    ssh.does("put f\nput -p f g\nput -f f h\nget g back\nget -p g kept\nget -f g flushed");
    assert!(fs::read(ssh.there("g")).unwrap() == content && fs::read(ssh.here("back")).unwrap() == content);
    assert_eq!((mode(ssh.there("g")).unwrap(), mode(ssh.here("kept")).unwrap()), (0o640, 0o640));
    let mtime = |path| fs::metadata(path).unwrap().mtime();
    assert_eq!(mtime(ssh.there("g")), mtime(ssh.here("f")));
    assert_eq!(mtime(ssh.here("kept")), mtime(ssh.here("f")));
    // Folders: pwd, mkdir, ls, cd.
    let out = ssh.does("pwd\nmkdir d\ncd d\npwd\nput f\nlpwd\ncd ..\nls -1\nlcd /\nlpwd\nlls /");
    for line in ["Remote working directory: /", "Remote working directory: /d"] {
        assert!(out.lines().any(|said| said == line), "{line}: {out}");
    }
    for options in ["-1", "-a", "-f", "-h", "-l", "-n", "-r", "-S", "-t", "-lahrt"] {
        let out = ssh.does(&format!("ls {options}\nls {options} d\nls {options} *"));
        assert!(["d", "f", "g", "h"].iter().all(|name| out.contains(name)), "{options}: {out}");
    }
    let long = ssh.does("ls -l g");
    assert!(long.contains("-rw-r-----") && long.contains("ann") && long.contains("1048576"), "{long}");
    // Modes and owners.
    let (uid, gid) = (fs::metadata(&ssh.home).unwrap().uid(), fs::metadata(&ssh.home).unwrap().gid());
    ssh.does(&format!("chmod 600 g\nchown {uid} g\nchgrp {gid} g"));
    assert_eq!(mode(ssh.there("g")).unwrap(), 0o600);
    assert!(ssh.refuses("chown 4711 g").contains("ermission denied"));
    assert!(ssh.refuses("chgrp 4711 g").contains("ermission denied"));
    // Links and names.
    ssh.does("ln -s g soft\nsymlink d folder\nln g hard\nrename g moved\ncp moved copied\ncopy f copied2");
    assert_eq!(fs::read_link(ssh.there("soft")).unwrap(), PathBuf::from("g"));
    assert_eq!(fs::metadata(ssh.there("hard")).unwrap().nlink(), 2);
    assert!(fs::read(ssh.there("copied")).unwrap() == content && !ssh.there("g").exists());
    ssh.does("rename copied2 copied\nrename -l copied renamed\ncd folder\nls -l f\ncd ..");
    let df = ssh.does("df\ndf -h\ndf -i");
    assert!(df.contains("100MB") && df.contains("102400"), "{df}");
    // Removal.
    assert!(ssh.refuses("rmdir d").contains("Failure"));
    ssh.does("rm d/f\nrmdir d\nrm soft\nrm folder\nrm hard\nrm moved\nrm f\nrm h\nrm renamed");
    assert_eq!(on_disk(&ssh.home), (0, 0));
    // Commands that need no server.
    ssh.does("help\n?\nversion\nprogress\nlumask 022\nlmkdir made\n!true\nbye\nthis is never read");
    assert!(ssh.here("made").is_dir());
    ssh.does("exit\nnor this");
    ssh.does("quit\nnor this");
    for (line, said) in [
        ("get none", "not found"),
        ("cd none", "No such file"),
        ("ls none", "not found"),
        ("rm none", "No such file"),
        ("mkdir /none/d", "No such file"),
    ] {
        assert!(ssh.refuses(line).contains(said), "{line}: {}", ssh.refuses(line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_are_transferred_both_ways() {
    let host = Host::with_user("ann", "").await.unwrap();
    let Some(ssh) = OpenSsh::new("trees_are_transferred_both_ways", &host) else { return };
    fs::create_dir(ssh.here("tree")).unwrap();
    plant(&ssh.here("tree")).unwrap();
    ssh.does("put -R tree\nget -R tree back");
    let wanted = contents(&ssh.here("tree")).unwrap();
    assert_eq!(contents(&ssh.there("tree")).unwrap(), wanted);
    assert_eq!(contents(&ssh.here("back")).unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_requests_of_any_size_works() {
    let host = Host::with_user("ann", "").await.unwrap();
    let Some(ssh) = OpenSsh::new("any_number_of_requests_of_any_size_works", &host) else { return };
    let content = noise(3 * MIB + 4567, "sizes");
    fs::write(ssh.here("f"), &content).unwrap();
    for requests in ["1", "2", "64", "1000"] {
        for size in ["1000", "32768", "100000", "261120"] {
            let outcome = ssh.batch(&["-R", requests, "-B", size], "put f\nget f back\n");
            assert_eq!(outcome.code, Some(0), "-R {requests} -B {size}: {outcome}");
            assert!(fs::read(ssh.there("f")).unwrap() == content, "put -R {requests} -B {size}");
            assert!(fs::read(ssh.here("back")).unwrap() == content, "get -R {requests} -B {size}");
            fs::remove_file(ssh.there("f")).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_resume_at_every_kind_of_offset() {
    let host = Host::with_user("ann", "").await.unwrap();
    let Some(ssh) = OpenSsh::new("transfers_resume_at_every_kind_of_offset", &host) else { return };
    const LENGTH: usize = 600_000;
    let content = noise(LENGTH, "offsets");
    let offsets = [0, 1, 511, 4096, 32767, 32768, 32769, 261_119, 261_120, 261_121, LENGTH - 1];
    let mut script = String::new();
    for offset in offsets {
        for way in ["up", "up-a", "down", "down-a"] {
            let (mut whole, mut part) = (ssh.here(""), ssh.there(""));
            if way.starts_with("down") {
                std::mem::swap(&mut whole, &mut part);
            }
            fs::write(whole.join(format!("{way}{offset}")), &content).unwrap();
            fs::write(part.join(format!("{way}{offset}")), &content[..offset]).unwrap();
        }
        script +=
            &format!("reput up{offset}\nput -a up-a{offset}\nreget down{offset}\nget -a down-a{offset}\n");
    }
    ssh.does(&script);
    for offset in offsets {
        for way in ["up", "up-a"] {
            assert!(fs::read(ssh.there(&format!("{way}{offset}"))).unwrap() == content, "{way} at {offset}");
        }
        for way in ["down", "down-a"] {
            assert!(fs::read(ssh.here(&format!("{way}{offset}"))).unwrap() == content, "{way} at {offset}");
        }
    }
    // A longer file is not truncated.
    fs::write(ssh.there("up0"), [&content[..], b"and more"].concat()).unwrap();
    ssh.refuses("reput up0");
    assert_eq!(fs::metadata(ssh.there("up0")).unwrap().len(), LENGTH as u64 + 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_the_quota_is_reported_and_ends_the_batch() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let Some(ssh) = OpenSsh::new("an_upload_over_the_quota_is_reported_and_ends_the_batch", &host) else {
        return;
    };
    fs::write(ssh.here("f"), noise(MIB + 1, "f")).unwrap();
    assert!(ssh.refuses("put f").contains("ailure"));
    assert!(on_disk(&ssh.home).0 <= MIB as u64);
    ssh.does("rm f");
    fs::write(ssh.here("f"), noise(MIB, "f")).unwrap();
    ssh.does("put f\nput f");
    assert_eq!(on_disk(&ssh.home), (MIB as u64, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_works_over_sftp() {
    let host = Host::with_user("ann", "").await.unwrap();
    let Some(ssh) = OpenSsh::new("scp_works_over_sftp", &host) else { return };
    fs::create_dir(ssh.here("tree")).unwrap();
    plant(&ssh.here("tree")).unwrap();
    set_mode(ssh.here("tree/large"), 0o4711).unwrap();
    let scp = |arguments: &[&str]| {
        // `-s` is the default today.
        let outcome = ssh.scp(&[&["-s", "-q"], arguments].concat());
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{arguments:?}: {outcome}");
    };
    scp(&["-r", "-p", "tree", "ann@127.0.0.1:"]);
    scp(&["-r", "-p", "ann@127.0.0.1:tree", "back"]);
    let wanted = contents(&ssh.here("tree")).unwrap();
    assert_eq!(contents(&ssh.there("tree")).unwrap(), wanted);
    assert_eq!(contents(&ssh.here("back")).unwrap(), wanted);
    // Set-id bits are dropped silently.
    assert_eq!(mode(ssh.there("tree/large")).unwrap(), 0o711);
    let mtime = |path| fs::metadata(path).unwrap().mtime();
    assert_eq!(mtime(ssh.there("tree/large")), mtime(ssh.here("tree/large")));
    scp(&["tree/large", "ann@127.0.0.1:~/with space"]);
    scp(&["ann@127.0.0.1:tree/folder 1/file-1?", "ann@127.0.0.1:with space", "."]);
    assert_eq!(names(&ssh.here("")).unwrap().iter().filter(|name| name.starts_with(b"file-1")).count(), 10);
    // From the server to the server, through the client.
    scp(&["-3", "ann@127.0.0.1:tree/large", "ann@127.0.0.1:again"]);
    assert!(fs::read(ssh.there("again")).unwrap() == fs::read(ssh.here("with space")).unwrap());
    let outcome = ssh.scp(&["-s", "-q", "ann@127.0.0.1:none", "."]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err().contains("No such file"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn atomic_uploads_are_published_whole() {
    let host = Host::with_user("ann", "quota = \"20 MiB\"\nsftp-uploads = \"atomic\"").await.unwrap();
    let Some(ssh) = OpenSsh::new("atomic_uploads_are_published_whole", &host) else { return };
    let content = noise(3 * MIB, "f");
    fs::write(ssh.here("f"), &content).unwrap();
    symlink("f", ssh.there("l")).unwrap();
    ssh.does("put f\nput -p f g\nput f l\nput -f f h\nls -l");
    for name in ["f", "g", "h"] {
        assert!(fs::read(ssh.there(name)).unwrap() == content, "{name}");
    }
    assert!(ssh.there("l").is_symlink());
    // scp writes over the old file and sets its length at the end.
    for length in [MIB, 5 * MIB, 0] {
        let content = noise(length, "scp");
        fs::write(ssh.here("s"), &content).unwrap();
        let outcome = ssh.scp(&["-q", "s", "ann@127.0.0.1:f"]);
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{length}: {outcome}");
        assert!(fs::read(ssh.there("f")).unwrap() == content, "{length}");
    }
    fs::write(ssh.here("s"), noise(21 * MIB, "much")).unwrap();
    let outcome = ssh.scp(&["-q", "s", "ann@127.0.0.1:g"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(fs::read(ssh.there("g")).unwrap() == content);
    // A file that was uploaded by other means can be completed.
    fs::write(ssh.there("part"), &content[..MIB]).unwrap();
    ssh.does("reput f part");
    assert!(fs::read(ssh.there("part")).unwrap() == content);
    assert_eq!(names(&ssh.there(".sshome-staging")).unwrap().len(), 0);
}

/// A file whose mode forbids writing can be written by its creator. Root may write anything, so these tests need an
/// ordinary account.
#[tokio::test(flavor = "multi_thread")]
async fn read_only_files_and_folders_are_stored() {
    for uploads in ["in-place", "atomic"] {
        let host = Host::with_user("ann", &format!("sftp-uploads = \"{uploads}\"")).await.unwrap();
        let Some(ssh) = OpenSsh::new("read_only_files_and_folders_are_stored", &host) else { return };
        let content = noise(MIB, "read-only");
        fs::create_dir_all(ssh.here("tree/closed")).unwrap();
        for name in ["ro", "tree/ro", "tree/closed/ro"] {
            fs::write(ssh.here(name), &content).unwrap();
            set_mode(ssh.here(name), 0o444).unwrap();
        }
        set_mode(ssh.here("tree/closed"), 0o555).unwrap();
        ssh.does(
            "put ro\nput -p ro kept\nput -f ro flushed\nput -R tree put\nput -pR tree put-p\ncp ro copied",
        );
        for (options, name) in [("-q", "scp"), ("-qp", "scp-p"), ("-qO", "old"), ("-qOp", "old-p")] {
            let outcome = ssh.scp(&[options, "ro", &format!("ann@127.0.0.1:{name}-ro")]);
            assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{options}: {outcome}");
            let outcome = ssh.scp(&[options, "-r", "tree", &format!("ann@127.0.0.1:{name}")]);
            assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{options} -r: {outcome}");
        }
        let files = ["ro", "kept", "flushed", "copied", "scp-ro", "scp-p-ro", "old-ro", "old-p-ro"];
        let trees = ["put", "put-p", "scp", "scp-p", "old", "old-p"];
        let within = trees.iter().flat_map(|tree| [format!("{tree}/ro"), format!("{tree}/closed/ro")]);
        for name in files.into_iter().map(str::to_owned).chain(within) {
            assert!(fs::read(ssh.there(&name)).unwrap() == content, "{uploads}: {name}");
            assert_eq!(mode(ssh.there(&name)).unwrap(), 0o444, "{uploads}: {name}");
        }
        for tree in ["put-p", "scp-p", "old-p"] {
            assert_eq!(mode(ssh.there(&format!("{tree}/closed"))).unwrap(), 0o555, "{uploads}: {tree}");
        }
        // Otherwise only root could remove them.
        for tree in [ssh.here("tree"), ssh.there("")] {
            assert!(Command::new("chmod").args(["-R", "u+w"]).arg(tree).status().unwrap().success());
        }
    }
}
