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

/// The variable with the folder of the programs, for an account that cannot run cargo.
const PROGRAMS: &str = "SSHOME_PROGRAMS";

/// Builds both programs and returns the folder they are in. `cargo test` need not have built them.
fn build() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS).map(PathBuf::from) {
        ["sshome", "sshomed"].iter().try_for_each(|name| check_up_to_date(&folder.join(name)))?;
        return Ok(folder);
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

/// Fails if a program is older than one of its sources, which cargo lists beside it: tests of an old program say nothing
/// about the sources.
fn check_up_to_date(program: &Path) -> Result<()> {
    let list = program.with_extension("d");
    let hint = "cargo build --workspace --bins";
    let built = program.metadata().with_context(|| format!("{}: {hint}", program.display()))?.modified()?;
    let text = std::fs::read_to_string(&list).with_context(|| format!("{}: {hint}", list.display()))?;
    let (_, sources) = text.split_once(": ").context("cargo's list of sources has no sources")?;
    // In a name a space is escaped.
    let sources = sources.replace("\\ ", "\0");
    for source in sources.split_whitespace().map(|source| source.replace('\0', " ")) {
        let is_older =
            Path::new(&source).metadata().map_or(true, |found| found.modified().is_ok_and(|it| it > built));
        ensure!(!is_older, "{} is older than {source}: {hint}", program.display());
    }
    Ok(())
}

/// `sshomed` as a separate process. It is killed when it is dropped.
pub struct Program {
    child: Child,
    address: SocketAddr,
    announced: Vec<String>,
}

impl Program {
    /// Starts `sshomed serve` in a folder, on a free port, and waits until it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve(dir: &Path) -> Result<Program> {
        Program::serve_at(dir, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The same at an address, which may be that of a server that was killed.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve_at(dir: &Path, address: SocketAddr) -> Result<Program> {
        Program::serve_as(dir, address, |_| {})
    }

    /// The same with a change of its command.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve_as(dir: &Path, address: SocketAddr, change: impl FnOnce(&mut Command)) -> Result<Program> {
        let mut command = Command::new(binary("sshomed")?);
        change(&mut command);
        Program::start(command, dir, address)
    }

    /// The same through a command that executes the program in its arguments.
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

    /// Runs a command that starts a server, and waits until it listens.
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

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines that it printed at its start.
    #[must_use]
    pub fn announced(&self) -> &[String] {
        &self.announced
    }

    /// Its resident memory, in bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// Its peak of resident memory, in bytes.
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

    /// Its number of threads.
    ///
    /// # Errors
    /// If it has ended.
    pub fn threads(&self) -> Result<usize> {
        Ok(self.status_row("Threads:")?.parse()?)
    }

    /// Its number of open descriptors.
    ///
    /// # Errors
    /// If it has ended.
    pub fn descriptors(&self) -> Result<usize> {
        // The size of the folder is their number (Linux 6.2 and later). Listing it needs root, since the server has
        // disabled core dumps.
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

    /// Sends it SIGTERM.
    ///
    /// # Errors
    /// If it has ended.
    pub fn ask_to_end(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Stops it until [`go_on`](Program::go_on).
    ///
    /// # Errors
    /// If it has ended.
    pub fn pause(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::STOP)?;
        // The threads stop one by one after the signal.
        while !self.is_stopped()? {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn is_stopped(&self) -> Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread that has ended meanwhile counts as stopped.
            let stat = std::fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
            // The state follows the name, which is in parentheses.
            if stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['T', 't', 'Z', 'X'])) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Continues it.
    ///
    /// # Errors
    /// If it has ended.
    pub fn go_on(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// Waits for its end. Returns its exit code; `None` if a signal ended it.
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
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_program_that_is_older_than_a_source_is_not_tested() {
        let dir = tempfile::tempdir().unwrap();
        let (program, source) = (dir.path().join("sshomed"), dir.path().join("main source.rs"));
        fs::write(&program, "").unwrap();
        fs::write(&source, "").unwrap();
        let escaped = source.display().to_string().replace(' ', "\\ ");
        fs::write(dir.path().join("sshomed.d"), format!("{}: {escaped}\n", program.display())).unwrap();
        let change = |when| File::options().write(true).open(&source).unwrap().set_modified(when).unwrap();
        let now = SystemTime::now();
        change(now - Duration::from_secs(60));
        check_up_to_date(&program).unwrap();
        change(now + Duration::from_secs(60));
        let error = check_up_to_date(&program).unwrap_err().to_string();
        assert!(error.ends_with("main source.rs: cargo build --workspace --bins"), "{error}");
        fs::remove_file(&source).unwrap();
        assert!(check_up_to_date(&program).is_err());
    }
}
