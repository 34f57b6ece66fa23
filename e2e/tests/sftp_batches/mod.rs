//! Batch lines compared with OpenSSH's sftp: lines that work in both, and the differences in docs/automation.md.

use super::cron::Cron;
use super::host;
use sshome_e2e::{foreign, tree};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// A line in both, from the same files.
struct Both {
    cron: Cron,
    home: PathBuf,
    theirs: TempDir,
    sftp: Option<PathBuf>,
}

/// Whether a line succeeded, and the names on the server and locally.
type BatchOutput = (bool, Vec<Vec<u8>>, Vec<Vec<u8>>);

impl Both {
    fn new(host: &sshome_e2e::Host, test: &str) -> Both {
        let sftp = foreign::program("sftp", test).filter(|_| Path::new(SERVER).exists());
        let theirs = tempfile::tempdir().unwrap();
        Both { cron: Cron::new(host), home: host.home("ann").join("t"), theirs, sftp }
    }

    fn ours(&self, line: &str) -> BatchOutput {
        let local = self.cron.path("here");
        plant(&self.home, &local);
        let ran = self.cron.batch(&[], &format!("cd t\nlcd here\n{line}\n"));
        (ran.code == Some(0), names(&self.home), names(&local))
    }

    /// `None` if sftp is not installed.
    fn theirs(&self, line: &str) -> Option<BatchOutput> {
        let (remote, local) = (self.theirs.path().join("t"), self.theirs.path().join("here"));
        plant(&remote, &local);
        let mut command = Command::new(self.sftp.as_ref()?);
        command.args(["-q", "-b", "-", "-D", SERVER]).current_dir(&remote);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let lines = format!("lcd {}\n{line}\n", local.display());
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        Some((child.wait().unwrap().success(), names(&remote), names(&local)))
    }
}

fn plant(remote: &Path, local: &Path) {
    for folder in [remote, local] {
        drop(fs::remove_dir_all(folder));
    }
    fs::create_dir_all(remote.join("d/below")).unwrap();
    fs::create_dir(remote.join("empty")).unwrap();
    for name in ["f", "g", "a#b", "it's", "two words", "report[1].txt", "report1.txt", "d/in"] {
        fs::write(remote.join(name), name).unwrap();
    }
    symlink("f", remote.join("d/link")).unwrap();
    fs::create_dir_all(local.join("tree")).unwrap();
    for name in ["x", "y", "x[1]", "x1", "tree/in"] {
        fs::write(local.join(name), name).unwrap();
    }
}

/// All names in a folder and its subdirectories.
fn names(folder: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in tree::names(folder).unwrap() {
        let path = folder.join(sshome::names::path(&name).unwrap());
        let below = if path.is_dir() && !path.is_symlink() { names(&path) } else { Vec::new() };
        all.extend(below.iter().map(|below| [&name[..], b"/", below].concat()));
        all.push(name);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_as_in_sftp() {
    let host = host().await;
    let both = Both::new(&host, "commands_work_as_in_sftp");
    for (line, works) in [
        ("rename f d", false),
        ("rename f d/", false),
        ("rename -l f g", false),
        ("rename -l f h", true),
        ("rename f g", true),
        ("rename f* h", false),
        ("rename d d2", true),
        ("rename f none/f", false),
        ("rename f h # it's said", true),
        ("#rename f h", true),
        ("mkdir ends\\ ", true),
        ("mkdir d", false),
        ("mkdir none/x", false),
        ("rmdir d", false),
        ("rmdir empty", true),
        ("rm d", false),
        ("rm report*", true),
        ("ls 'a#b' \"it's\" it\\'s \"two words\" two\\ words", true),
        ("ln -s f h", true),
        ("symlink f g", false),
        ("cd f", false),
        ("get report\\[1\\].txt", true),
        ("get 'report[1].txt'", true),
        ("get report[1].txt", true),
        ("get 'report\\[1\\].txt'", false),
        ("put x\\[1\\]", true),
        ("put 'x[1]'", true),
        ("put x[1]", true),
        ("put 'x\\[1\\]'", false),
        ("put x* d", true),
        ("get f none/f", false),
        ("get f none/", false),
        ("put x none/x", false),
        ("put x none/", false),
        ("get d", false),
        ("put tree", false),
        ("put -R tree renamed", true),
        ("put -r tree/ d", true),
        ("get none*", false),
        ("put none*", false),
        ("lcd none", false),
        ("lmkdir x", false),
        ("-rm none", true),
        ("@- rm none", true),
    ] {
        let ours = both.ours(line);
        assert_eq!(ours.0, works, "{line}");
        let Some(theirs) = both.theirs(line) else { continue };
        assert_eq!(ours, theirs, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_have_a_row_in_the_table() {
    let host = host().await;
    let both = Both::new(&host, "differences_have_a_row_in_the_table");
    let document = include_str!("../../../docs/automation.md");
    // The line, the beginning of the row about it, and whether it works in sshome and in sftp.
    for (line, row, here, there) in [
        ("ln f h", "`ln` without `-s`", false, true),
        ("rename d empty", "`rename` onto a directory", false, true),
        ("cp f d", "`cp FILE DIR`", true, false),
        ("mkdir -p p/q", "`mkdir -p`, `rm -r`", true, false),
        ("rm -r d", "`mkdir -p`, `rm -r`", true, false),
        ("rmdir empt*", "`rmdir PATTERN`", true, false),
        ("rm f g", "`rm A B`", true, true),
        ("mkdir p q", "`rm A B`", true, true),
        ("put x y d", "`put A B DIR`", true, true),
        ("get 'it\\'s'", "`'it\\'s'`, `\"sp\\ ace\"`", false, true),
        ("rm a#b", "`a#b`", true, false),
        ("get -r d/.", "`get -r .`", true, true),
        ("put -r .", "`get -r .`", true, true),
        ("put -a x", "`get -a`, `put -a`", true, false),
        ("get f -", "`-` as a name", true, true),
        ("!exit 3", "`!COMMAND` that fails", false, true),
        ("lls none", "`!COMMAND` that fails", false, true),
        ("lumask 022", "`chown`, `chgrp`", false, true),
        ("pwd extra", "`pwd EXTRA`", false, true),
    ] {
        assert!(document.contains(&format!("| {row}")), "{line}: no row begins with {row}");
        let ours = both.ours(line);
        assert_eq!(ours.0, here, "{line}");
        let Some(theirs) = both.theirs(line) else { continue };
        assert_eq!(theirs.0, there, "{line}: sftp");
        assert_ne!(ours, theirs, "{line}");
    }
}
