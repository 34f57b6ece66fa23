use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The path of one of the project's programs, `sshome` or `sshomed`, built in this test's profile.
///
/// # Errors
/// If it does not build.
pub fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    Ok(folder.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?.join(name))
}

/// Copies one of the project's programs into a folder, to run it from there. A child process writes the copy: while
/// another test's thread forks a process, a descriptor for writing that this process has open would be inherited, and
/// running the copy would fail with `ETXTBSY`.
///
/// # Errors
/// If the program does not build, or cannot be copied.
pub fn copy_program(name: &str, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(name);
    let status = Command::new("cp").arg("--preserve=mode").arg(binary(name)?).arg(&copy).status()?;
    ensure!(status.success(), "{name} cannot be copied to {}", folder.display());
    Ok(copy)
}

/// Names the folder of programs that are built already, for an account that may not run cargo.
const PROGRAMS: &str = "SSHOME_PROGRAMS";

/// Builds both programs and returns the folder they are in. `cargo test` need not have built them.
fn build() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        return Ok(PathBuf::from(folder));
    }
    // A test runs as target/PROFILE/deps/NAME.
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("where is the target folder?")?.to_owned();
    let mut command = Command::new(env!("CARGO"));
    // The whole workspace: with other packages left out, dependencies would have other features, and all would be
    // compiled once more.
    command.args(["build", "--quiet", "--workspace", "--bins", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    command.arg("--target-dir").arg(folder.parent().context("no target folder")?);
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    ensure!(command.status()?.success(), "the programs do not build");
    Ok(folder)
}

/// `sshomed` as a process of its own. It is killed when it is dropped.
pub struct Program {
    child: Child,
    address: SocketAddr,
    announced: Vec<String>,
}

impl Program {
    /// Starts `sshomed serve` in a folder, on a free port, and waits until it says where it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve(dir: &Path) -> Result<Program> {
        Program::serve_at(dir, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The same at an address, which may be that of one that was killed.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve_at(dir: &Path, address: SocketAddr) -> Result<Program> {
        Program::serve_as(dir, address, |_| {})
    }

    /// The same after a change of how it is started.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve_as(dir: &Path, address: SocketAddr, change: impl FnOnce(&mut Command)) -> Result<Program> {
        let mut command = Command::new(binary("sshomed")?);
        change(&mut command);
        Program::start(command, dir, address)
    }

    /// The same through a command that runs what its arguments say, and becomes that.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve_through(mut command: Command, dir: &Path) -> Result<Program> {
        command.arg(binary("sshomed")?);
        Program::start(command, dir, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn start(mut command: Command, dir: &Path, address: SocketAddr) -> Result<Program> {
        command.args(["serve", "--listen", &address.to_string(), "--dir"]).arg(dir);
        Program::announced_by(command)
    }

    /// Runs a command that serves, and waits until it says where it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn announced_by(mut command: Command) -> Result<Program> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let out = child.stdout.take().context("no standard output")?;
        let mut announced = Vec::new();
        for line in BufReader::new(out).lines() {
            announced.push(line?);
            if announced.last().is_some_and(|line| line.starts_with("log in with")) {
                break;
            }
        }
        let address = announced.iter().find_map(|line| line.strip_prefix("listening on "));
        let address = address.with_context(|| format!("it announced {announced:?}"))?.parse()?;
        Ok(Program { child, address, announced })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said at its start.
    #[must_use]
    pub fn announced(&self) -> &[String] {
        &self.announced
    }

    /// What it holds in memory, in bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most that it has ever held in memory, in bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, row: &str) -> Result<u64> {
        let kib: u64 = self.status_row(row)?.trim_end_matches("kB").trim().parse()?;
        Ok(kib << 10)
    }

    fn status_row(&self, row: &str) -> Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(row)).context("it has ended")?;
        Ok(line.trim().to_owned())
    }

    /// How many threads it has.
    ///
    /// # Errors
    /// If it has ended.
    pub fn threads(&self) -> Result<usize> {
        Ok(self.status_row("Threads:")?.parse()?)
    }

    /// How many files, sockets and the like it has open.
    ///
    /// # Errors
    /// If it has ended.
    pub fn descriptors(&self) -> Result<usize> {
        // The length of the folder is their number (Linux 6.2 and later). To list it needs root, as the server
        // has core dumps switched off.
        let folder = format!("/proc/{}/fd", self.child.id());
        match std::fs::metadata(&folder)?.len() {
            0 => Ok(std::fs::read_dir(folder)?.count()),
            number => Ok(usize::try_from(number)?),
        }
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, with SIGTERM.
    ///
    /// # Errors
    /// If there is nobody to ask.
    pub fn ask_to_end(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Stops it: it does nothing until [`go_on`](Program::go_on).
    ///
    /// # Errors
    /// If it has ended.
    pub fn pause(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::STOP)?;
        // Each thread stops by itself, some after the signal was sent.
        while !self.is_stopped()? {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn is_stopped(&self) -> Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // One that has ended meanwhile does nothing either.
            let stat = std::fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
            // The state follows the name, which is in parentheses.
            if stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['T', 't', 'Z', 'X'])) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets it work again.
    ///
    /// # Errors
    /// If it has ended.
    pub fn go_on(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// Waits for its end and returns its exit code; none if a signal ended it.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn end(&mut self) -> Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.kill());
    }
}
