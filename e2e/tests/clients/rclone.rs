//! rclone: files over SFTP, hashes over commands.

use crate::site::{Site, run, succeed};
use sshome_e2e::tree::{contents, names, noise, on_disk, plant};
use sshome_e2e::{Outcome, foreign, until};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const MIB: usize = 1 << 20;

/// rclone, with the server as the remote `r`.
struct Rclone {
    site: Site,
    program: PathBuf,
    config: PathBuf,
}

impl Rclone {
    /// With sshomed and with sshd; empty if the program is missing.
    async fn at_both(test: &str, settings: &str) -> Vec<Rclone> {
        let sites = Site::both(test, settings).await;
        sites.into_iter().filter_map(|site| Rclone::new(test, site)).collect()
    }

    /// With sshomed, for features that only it has.
    async fn ours(test: &str, settings: &str) -> Option<Rclone> {
        Rclone::new(test, Site::ours("", settings).await)
    }

    fn new(test: &str, site: Site) -> Option<Rclone> {
        let program = foreign::program("rclone", test)?;
        let config = site.client().home().join("rclone.conf");
        let (user, host, port) = site.login();
        let text = format!(
            "[r]\ntype = sftp\nhost = {host}\nport = {port}\nuser = {user}\nkey_file = {}\nknown_hosts_file = {}\n",
            site.client().key().display(),
            site.client().known_hosts().display(),
        );
        fs::write(&config, text).unwrap();
        Some(Rclone { site, program, config })
    }

    /// A command. Names on the server begin with `r:`; local names are in the client's folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.client().foreign(&self.program);
        command.arg("--config").arg(&self.config).args(["--retries", "1", "--low-level-retries", "1"]);
        command.args(arguments.iter().map(|argument| match argument.strip_prefix("r:") {
            Some(name) => format!("r:{}", self.site.path(name)),
            None => (*argument).to_owned(),
        }));
        command
    }

    #[track_caller]
    fn does(&self, arguments: &[&str]) -> Outcome {
        succeed(&mut self.command(arguments))
    }
}

/// A tree without names with control characters: rclone replaces these before it sends a name.
fn plant_for_rclone(top: &Path) {
    fs::create_dir(top).unwrap();
    plant(top).unwrap();
    let replaced: [&[u8]; 3] = [b"odd/new\nline", b"odd/tab\there", b"odd/\x1b[31mred\x07"];
    for name in replaced {
        fs::remove_file(top.join(OsStr::from_bytes(name))).unwrap();
    }
    fs::remove_dir_all(top.join(OsStr::from_bytes(b"folder \xff\n"))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_copies_both_ways_and_compares_hashes() {
    for rclone in Rclone::at_both("rclone_copies_both_ways_and_compares_hashes", "").await {
        let site = &rclone.site;
        plant_for_rclone(&site.here("tree"));
        rclone.does(&["copy", "--transfers", "8", "--create-empty-src-dirs", "tree", "r:tree"]);
        rclone.does(&["copy", "--transfers", "8", "--create-empty-src-dirs", "r:tree", "back"]);
        let wanted = contents(&site.here("tree")).unwrap();
        assert_eq!(contents(&site.there("tree")).unwrap(), wanted);
        assert_eq!(contents(&site.here("back")).unwrap(), wanted);
        // With both hashes, and as the server's commands print them.
        for sum in ["md5sum", "sha1sum"] {
            let sums = |place| {
                let mut lines: Vec<_> = rclone.does(&[sum, place]).out().lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let (here, there) = (sums("tree"), sums("r:tree"));
            assert_eq!(here, there, "{sum}");
            assert!(here.len() > 300, "{sum}: {here:?}");
        }
        let outcome = rclone.does(&["check", "-vv", "tree", "r:tree"]);
        assert!(outcome.err().contains("Running remote command: md5sum"), "{outcome}");
        assert!(!outcome.err().contains("hashes could not be checked"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_detects_a_changed_byte() {
    for rclone in Rclone::at_both("rclone_detects_a_changed_byte", "").await {
        let site = &rclone.site;
        let mut content = noise(MIB, "f");
        fs::create_dir(site.here("d")).unwrap();
        for name in ["f", "g"] {
            fs::write(site.here("d").join(name), &content).unwrap();
        }
        rclone.does(&["copy", "d", "r:d"]);
        let time = fs::metadata(site.there("d/f")).unwrap().modified().unwrap();
        content[MIB / 2] ^= 1;
        fs::write(site.there("d/f"), &content).unwrap();
        fs::File::open(site.there("d/f")).unwrap().set_modified(time).unwrap();
        // Size and time are the same: only the hash differs.
        rclone.does(&["check", "--size-only", "d", "r:d"]);
        let outcome = run(&mut rclone.command(&["check", "d", "r:d"]));
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(
            outcome.err().contains("f: md5 differ") && outcome.err().contains("1 differences found"),
            "{outcome}"
        );
        let outcome = rclone.does(&["copy", "-v", "--checksum", "d", "r:d"]);
        assert!(outcome.err().contains("f: Copied") && !outcome.err().contains("g: Copied"), "{outcome}");
        assert_eq!(contents(&site.there("d")).unwrap(), contents(&site.here("d")).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_syncs_with_deletions() {
    for rclone in Rclone::at_both("rclone_syncs_with_deletions", "").await {
        let site = &rclone.site;
        plant_for_rclone(&site.here("tree"));
        rclone.does(&["sync", "--transfers", "8", "--create-empty-src-dirs", "tree", "r:tree"]);
        // Deleted, new, changed and renamed files.
        fs::remove_dir_all(site.here("tree/folder 3")).unwrap();
        fs::remove_file(site.here("tree/empty")).unwrap();
        fs::create_dir(site.here("tree/more")).unwrap();
        fs::write(site.here("tree/more/new"), b"new").unwrap();
        fs::write(site.here("tree/folder 1/file-1"), noise(MIB, "changed")).unwrap();
        fs::rename(site.here("tree/large"), site.here("tree/renamed")).unwrap();
        let sync = ["sync", "-v", "--track-renames", "--create-empty-src-dirs", "tree", "r:tree"];
        let outcome = rclone.does(&sync);
        assert!(outcome.err().contains("Renamed from \"large\""), "{outcome}");
        assert_eq!(contents(&site.there("tree")).unwrap(), contents(&site.here("tree")).unwrap());
        let outcome = rclone.does(&sync);
        assert!(outcome.err().contains("There was nothing to transfer"), "{outcome}");
        rclone.does(&["sync", "--create-empty-src-dirs", "r:tree", "tree"]);
        rclone.does(&["purge", "r:tree"]);
        assert!(!site.there("tree").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_commands_of_rclone_work() {
    for rclone in Rclone::at_both("the_other_commands_of_rclone_work", "").await {
        let site = &rclone.site;
        let content = noise(MIB + 5, "f");
        fs::write(site.here("f"), &content).unwrap();
        rclone.does(&["copyto", "f", "r:d/named"]);
        rclone.does(&["moveto", "r:d/named", "r:e/moved"]);
        assert!(fs::read(site.there("e/moved")).unwrap() == content && !site.there("d/named").exists());
        assert!(rclone.does(&["cat", "r:e/moved"]).stdout == content);
        assert!(
            rclone.does(&["cat", "--offset", "1000", "--count", "70000", "r:e/moved"]).stdout
                == content[1000..71_000]
        );
        rclone.does(&["touch", "-t", "2001-02-03T04:05:06", "r:e/moved"]);
        let listing = rclone.does(&["lsjson", "--hash", "r:e"]).out();
        assert!(listing.contains("2001-02-03T04:05:06") && listing.contains("\"md5\""), "{listing}");
        rclone.does(&["move", "r:e", "r:z"]);
        rclone.does(&["mkdir", "r:empty/one"]);
        rclone.does(&["rmdirs", "r:empty"]);
        rclone.does(&["deletefile", "r:z/moved"]);
        rclone.does(&["rmdir", "r:z"]);
        assert!(!site.there("z").exists() && !site.there("empty").exists());
        let outcome = run(&mut rclone.command(&["cat", "r:none"]));
        assert_ne!(outcome.code, Some(0), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_about_shows_the_quota() {
    let Some(rclone) = Rclone::ours("rclone_about_shows_the_quota", "quota = \"10 MiB\"").await else {
        return;
    };
    let site = &rclone.site;
    fs::write(site.here("f"), noise(3 * MIB, "f")).unwrap();
    rclone.does(&["copy", "f", "r:"]);
    let about = rclone.does(&["about", "--json", "r:"]).out();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!([&about["total"], &about["used"], &about["free"]], [10 * MIB, 3 * MIB, 7 * MIB]);
    // A file that does not fit is an error, and leaves nothing.
    fs::write(site.here("g"), noise(8 * MIB, "g")).unwrap();
    let outcome = run(&mut rclone.command(&["copy", "g", "r:"]));
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.err().contains("quota exceeded"), "{outcome}");
    assert_eq!(on_disk(&site.there("")), (3 * MIB as u64, 1));
}

/// If the user's uploads are atomic, a killed rclone leaves no partial file under the name. Otherwise the next upload
/// overwrites the partial file.
#[tokio::test(flavor = "multi_thread")]
async fn rclone_starts_over_after_being_killed() {
    let test = "rclone_starts_over_after_being_killed";
    for rclone in Rclone::at_both(test, "").await {
        rclone.is_killed_and_begins_again(&rclone.site.there(""));
    }
    let Some(rclone) = Rclone::ours(test, "sftp-uploads = \"atomic\"").await else { return };
    let staging = rclone.site.there(".sshome-staging");
    rclone.is_killed_and_begins_again(&staging);
}

impl Rclone {
    /// Kills rclone while an upload grows in a folder, and lets it upload again.
    fn is_killed_and_begins_again(&self, growing: &Path) {
        let site = &self.site;
        fs::write(site.here("f"), noise(8 * MIB, "f")).unwrap();
        let mut child = self.command(&["copy", "--bwlimit", "1M", "f", "r:"]).spawn().unwrap();
        until("the upload has begun", || largest(growing) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        if growing != site.there("") {
            until("the upload is given up", || names(growing).unwrap().is_empty());
            assert!(!site.there("f").exists());
        }
        self.does(&["copy", "f", "r:"]);
        assert!(fs::read(site.there("f")).unwrap() == noise(8 * MIB, "f"), "{}", growing.display());
    }
}

/// The length of the longest file in a folder.
fn largest(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file);
    files.map(|file| file.len()).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_mounts_a_home() {
    let test = "rclone_mounts_a_home";
    let Some(fusermount) = foreign::program("fusermount3", test) else { return };
    for rclone in Rclone::at_both(test, "quota = \"100 MiB\"").await {
        let site = &rclone.site;
        let Some(mount) = Mount::new(&rclone, &fusermount, test) else { return };
        let content = noise(2 * MIB + 3, "f");
        fs::write(mount.top.join("f"), &content).unwrap();
        // rclone writes back later, and loses the file if it is renamed before. Waiting for all bytes is not enough,
        // because rclone then compares digests.
        until("it is written back", || mount.log().contains("upload succeeded"));
        assert!(fs::read(site.there("f")).unwrap() == content);
        fs::create_dir(mount.top.join("d")).unwrap();
        fs::rename(mount.top.join("f"), mount.top.join("d/g")).unwrap();
        fs::write(site.there("d/h"), b"from the other side").unwrap();
        assert!(fs::read(mount.top.join("d/g")).unwrap() == content);
        until("it is renamed", || fs::read(site.there("d/g")).is_ok_and(|found| found == content));
        if !site.is_sshd() {
            let space = rustix::fs::statvfs(&mount.top).unwrap();
            assert_eq!(space.f_blocks * space.f_frsize, 100 * MIB as u64);
        }
        fs::remove_file(mount.top.join("d/g")).unwrap();
        until("it is removed", || !site.there("d/g").exists());
    }
}

/// The user's home as a local folder, until it is dropped.
struct Mount {
    top: PathBuf,
    fusermount: PathBuf,
    child: Child,
    log: PathBuf,
}

impl Mount {
    /// `None` if this machine cannot mount: then the skipped test is reported.
    fn new(rclone: &Rclone, fusermount: &Path, test: &str) -> Option<Mount> {
        let top = rclone.site.here("mount");
        fs::create_dir(&top).unwrap();
        let log = rclone.site.here("mount.log");
        // With "0s", it would not log that it writes back.
        let options = ["--vfs-cache-mode", "writes", "--vfs-write-back", "1ms", "-v"];
        let mut command = rclone.command(&["mount", "r:", "mount"]);
        let child = command.args(options).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut mount = Mount { top, fusermount: fusermount.to_owned(), child, log };
        let mut ended = false;
        until("it is mounted, or it is not", || {
            ended = mount.child.try_wait().unwrap().is_some();
            ended || mount.is_there()
        });
        if ended {
            eprintln!("skipped: {test}: nothing can be mounted here: {}", mount.log());
            return None;
        }
        Some(mount)
    }

    /// The log of rclone so far.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn is_there(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.lines().any(|line| line.split(' ').nth(4) == self.top.to_str())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("rclone mount: {}", self.log());
        }
        if self.is_there() {
            // Even if something in it is still open, after a failure.
            let _ = Command::new(&self.fusermount).args(["-u", "-z"]).arg(&self.top).status();
        }
        let _ = self.child.wait();
    }
}
