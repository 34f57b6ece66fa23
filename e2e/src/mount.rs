//! sshfs: a home mounted as a local folder.

use crate::foreign::program;
use crate::{Client, until};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The option of sshfs that lets links point anywhere.
const NO_CONTAIN: &str = "no_contain_symlinks";

/// A folder that sshfs has mounted. It is unmounted when it is dropped, also by a panic.
pub struct Mount {
    point: TempDir,
    sshfs: Child,
    fusermount: PathBuf,
}

impl Mount {
    /// Mounts the server's folder `remote` for a client, with options of sshfs. `None` if this machine cannot mount:
    /// then the skipped test is reported.
    ///
    /// # Panics
    /// If sshfs cannot reach the server, or ends.
    #[must_use]
    pub fn new(test: &str, client: &Client, remote: &Path, options: &[&str]) -> Option<Mount> {
        let (sshfs, fusermount) = (program("sshfs", test)?, program("fusermount3", test)?);
        if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
            eprintln!("skipped: {test}: nothing can be mounted here: /dev/fuse: {error}");
            return None;
        }
        let point = TempDir::with_prefix("sshome-mount-").unwrap();
        let mut command = client.foreign(&sshfs);
        command.arg("-f").arg(format!("{}:{}", client.destination(), remote.display())).arg(point.path());
        command.args(client.openssh_options()).args(["-p", &client.port()]);
        // If sshfs has the option, its default refuses links that are absolute or contain `..`, whatever the server is.
        let known = Command::new(&sshfs).arg("--help").output().unwrap().stdout;
        let links = known.windows(NO_CONTAIN.len()).any(|text| text == NO_CONTAIN.as_bytes());
        let options = options.iter().copied().chain(links.then_some(NO_CONTAIN));
        command.args(options.flat_map(|option| ["-o", option]));
        let outside = device(point.path());
        let mut mount = Mount { sshfs: command.stdout(Stdio::null()).spawn().unwrap(), point, fusermount };
        let mut ended = None;
        until("sshfs mounts", || {
            ended = mount.sshfs.try_wait().unwrap();
            ended.is_some() || device(mount.path()) != outside
        });
        let Some(status) = ended else { return Some(mount) };
        let mut why = String::new();
        mount.sshfs.stderr.as_mut().unwrap().read_to_string(&mut why).unwrap();
        // A refusal by the kernel does not depend on the server.
        assert!(why.contains("mount failed"), "sshfs does not mount: {status}\n{why}");
        eprintln!("skipped: {test}: nothing can be mounted here: {}", why.trim());
        None
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.point.path()
    }

    /// Unmounts, and waits until everything was written to the server.
    ///
    /// # Panics
    /// If something in the folder is in use.
    pub fn unmount(mut self) {
        let outcome = Command::new(&self.fusermount).arg("-u").arg(self.point.path()).status().unwrap();
        assert!(outcome.success(), "fusermount3 -u: {outcome}");
        assert!(self.sshfs.wait().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also if something in it is still open, or sshfs has lost its server.
        let mut unmount = Command::new(&self.fusermount);
        let _ = unmount.args(["-u", "-z", "-q"]).arg(self.point.path()).stderr(Stdio::null()).status();
        // It ends by itself unless files are open; then it has to be killed.
        let _ = self.sshfs.kill();
        let _ = self.sshfs.wait();
    }
}

/// The device of a folder; `None` if it cannot be read.
fn device(folder: &Path) -> Option<u64> {
    fs::metadata(folder).ok().map(|stat| stat.dev())
}
