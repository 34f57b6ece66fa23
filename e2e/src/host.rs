use crate::home_mount::HomeMount;
use crate::liar::write_key;
use crate::{Administrator, Program, binary};
use anyhow::{Context, Result, ensure};
use russh::keys::PrivateKey;
use sshome_store::memory::{MemoryBacking, MemoryStore};
use sshome_store::{Capabilities, Ctx, HomeSettings, HomeStore};
use sshomed::accounts::homes_of;
use sshomed::config;
use sshomed::server::Server;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server in this process, with a key that logs every user in. It ends when it is dropped.
pub struct Host {
    /// Unmounted before the folder is removed.
    mounts: Vec<HomeMount>,
    /// For homes in memory: they outlive the server.
    memory: Option<Arc<MemoryBacking>>,
    dir: TempDir,
    address: SocketAddr,
    key: PrivateKey,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// The configuration of a host.
pub struct HostBuilder {
    dir: TempDir,
    key: PrivateKey,
    /// Further lines of authorized_keys.
    keys: Vec<String>,
    text: String,
}

impl HostBuilder {
    /// A configuration without users.
    ///
    /// # Errors
    /// If the temporary folder cannot be made.
    pub fn new() -> Result<HostBuilder> {
        let dir = TempDir::with_prefix("sshome-e2e-")?;
        let key = write_key(&dir.path().join("id"))?;
        std::fs::create_dir(dir.path().join("etc"))?;
        let text = "[server]\nlisten = [\"127.0.0.1:0\"]\nshutdown-grace = 1\n".to_owned();
        Ok(HostBuilder { dir, key, keys: Vec::new(), text })
    }

    /// Adds a line to the server's own settings. Users come after it.
    #[must_use]
    pub fn setting(mut self, line: &str) -> HostBuilder {
        self.text.push_str(line);
        self.text.push('\n');
        self
    }

    /// Adds lines of `[server.limits]`.
    #[must_use]
    pub fn limits(mut self, settings: &str) -> HostBuilder {
        self.text += &format!("\n[server.limits]\n{settings}\n");
        self
    }

    /// Adds lines of `[server.log]`.
    #[must_use]
    pub fn log(mut self, settings: &str) -> HostBuilder {
        self.text += &format!("\n[server.log]\n{settings}\n");
        self
    }

    /// Adds another key for the users that are added later. `line` is as in authorized_keys.
    #[must_use]
    pub fn key(mut self, line: &str) -> HostBuilder {
        self.keys.push(line.trim().to_owned());
        self
    }

    /// Adds a user whom the host's key logs in. `settings` are lines of the user's table.
    ///
    /// # Errors
    /// If the key cannot be written as text.
    pub fn user(mut self, name: &str, settings: &str) -> Result<HostBuilder> {
        let mut keys = vec![self.key.public_key().to_openssh()?];
        keys.extend(self.keys.iter().cloned());
        write!(self.text, "\n[users.{name}]\nauthorized-keys = {keys:?}\n{settings}\n")?;
        Ok(self)
    }

    /// Adds a user whom the host's key logs in with limits: `limits` are lines of the key's table, `settings` of the user's.
    ///
    /// # Errors
    /// If the key cannot be written as text.
    pub fn restricted_user(mut self, name: &str, settings: &str, limits: &str) -> Result<HostBuilder> {
        let (key, others) = (self.key.public_key().to_openssh()?, &self.keys);
        write!(self.text, "\n[users.{name}]\nauthorized-keys = {others:?}\n{settings}\n")?;
        write!(self.text, "[[users.{name}.keys]]\nkey = {key:?}\n{limits}\n")?;
        Ok(self)
    }

    /// Writes the configuration and starts the server in this process.
    ///
    /// # Errors
    /// If the server does not start.
    pub async fn start(self) -> Result<Host> {
        let mut host = self.prepare()?;
        host.start().await?;
        Ok(host)
    }

    /// Writes the configuration without starting the server.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn prepare(self) -> Result<Host> {
        std::fs::write(self.dir.path().join("etc/users.toml"), &self.text)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let memory = keeps_homes_in_memory().then(|| MemoryBacking::new(Capabilities::ALL));
        Ok(Host { mounts: Vec::new(), memory, dir: self.dir, address, key: self.key, running: None })
    }
}

impl Host {
    /// A host with one user.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn with_user(name: &str, settings: &str) -> Result<Host> {
        HostBuilder::new()?.user(name, settings)?.start().await
    }

    /// Starts the server in this process, again if it was stopped.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(&mut self) -> Result<()> {
        let config = config::load(self.dir.path(), None, &[])?;
        let server = match &self.memory {
            Some(backing) => {
                let store: Arc<dyn HomeStore> = Arc::new(MemoryStore::on(backing));
                let homes = homes_of(&config.accounts);
                let server = Server::bind_with(config, Arc::clone(&store)).await?;
                self.mount(&*store, &homes)?;
                server
            }
            None => Server::bind(config).await?,
        };
        self.serve(server)
    }

    /// Starts the server in this process, with homes in any store.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_with(&mut self, store: Arc<dyn HomeStore>) -> Result<()> {
        let config = config::load(self.dir.path(), None, &[])?;
        self.serve(Server::bind_with(config, store).await?)
    }

    fn serve(&mut self, server: Server) -> Result<()> {
        self.address = *server.addresses()?.first().context("no address")?;
        let (stop, stopped) = oneshot::channel();
        // Dropping the sender stops the server, too.
        let serving = tokio::spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        self.running = Some((stop, serving));
        Ok(())
    }

    /// Mounts the homes where they would be on the disk.
    fn mount(&mut self, store: &dyn HomeStore, homes: &[HomeSettings]) -> Result<()> {
        self.mounts.clear();
        for home in homes {
            std::fs::create_dir_all(&home.root)?;
            let opened = store.open(&Ctx::default(), home)?;
            let mounted = HomeMount::new(opened, home.root.clone());
            self.mounts.push(mounted.context("nothing can be mounted here")?);
        }
        Ok(())
    }

    /// Starts the server as a separate process.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_apart(&mut self) -> Result<Program> {
        self.start_apart_as(|_| {})
    }

    /// The same with a change of its command.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_apart_as(&mut self, change: impl FnOnce(&mut Command)) -> Result<Program> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let program = Program::serve_as(self.dir.path(), address, change)?;
        self.address = program.address();
        Ok(program)
    }

    /// As [`start_apart`](Host::start_apart), through a command that becomes the server.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_through(&mut self, command: Command) -> Result<Program> {
        let program = Program::serve_through(command, self.dir.path())?;
        self.address = program.address();
        Ok(program)
    }

    /// Shuts down the server.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some((stop, serving)) = self.running.take() {
            drop(stop);
            serving.await?;
        }
        Ok(())
    }

    /// The address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that the server works in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// An administrator of this server.
    #[must_use]
    pub fn administrator(&self) -> Administrator {
        Administrator::of(self.dir().to_owned())
    }

    /// Gives a user a password, as an administrator does.
    ///
    /// # Errors
    /// If `sshomed user passwd` fails.
    pub fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let mut command = Command::new(binary("sshomed")?);
        command.arg("--dir").arg(self.dir()).args(["user", "passwd", user, "--password-stdin"]);
        let mut passwd = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        passwd.stdin.take().context("no standard input")?.write_all(password.as_bytes())?;
        ensure!(passwd.wait()?.success(), "no password for {user}");
        Ok(())
    }

    /// A user's home on the disk.
    #[must_use]
    pub fn home(&self, user: &str) -> PathBuf {
        self.dir.path().join("home").join(user)
    }

    /// The key that logs every user in.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The file of that key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("id")
    }
}

/// Whether servers in this process keep homes in memory: the tests of the protocols run once over another store.
fn keeps_homes_in_memory() -> bool {
    std::env::var_os("SSHOME_E2E_STORE").is_some_and(|store| store == "memory")
}
