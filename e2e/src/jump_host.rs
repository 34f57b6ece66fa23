use crate::liar::write_key;
use anyhow::Result;
use russh::keys::PrivateKey;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, MethodKind, MethodSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The window of a forwarded connection, in bytes. It is small, so that both ends often wait for it.
const WINDOW_BYTES: u32 = 32 << 10;

/// An SSH server that only forwards connections. It ends when it is dropped.
///
/// Its folder has the same layout as a [`Host`](crate::Host)'s.
pub struct JumpHost {
    dir: TempDir,
    address: SocketAddr,
    events: Events,
    budget: Arc<AtomicU64>,
    running: JoinHandle<()>,
}

type Events = Arc<Mutex<Vec<String>>>;

impl JumpHost {
    /// Starts a server that accepts the key in its file `id`, or this password instead.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(password: Option<&'static str>) -> Result<JumpHost> {
        let dir = TempDir::with_prefix("sshome-jump-")?;
        std::fs::create_dir(dir.path().join("keys"))?;
        let host_key = write_key(&dir.path().join("keys/host_ed25519"))?;
        let key = write_key(&dir.path().join("id"))?;
        let config = Arc::new(Config {
            keys: vec![host_key],
            nodelay: true,
            window_size: WINDOW_BYTES,
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            ..Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let events = Events::default();
        let budget = Arc::new(AtomicU64::new(u64::MAX));
        let connection =
            JumpConnection { password, key, events: Arc::clone(&events), budget: Arc::clone(&budget) };
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, connection) = (Arc::clone(&config), connection.clone());
                tokio::spawn(async move {
                    // The test judges the client, however the session ends.
                    if let Ok(session) = russh::server::run_stream(config, stream, connection).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Ok(JumpHost { dir, address, events, budget, running })
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the next forwarded connection after this many bytes from the server.
    pub fn cut_next_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::Relaxed);
    }

    /// What happened: `USER logged in`, and `to HOST:PORT` for each forwarded connection.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for JumpHost {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[derive(Clone)]
struct JumpConnection {
    password: Option<&'static str>,
    key: PrivateKey,
    events: Events,
    budget: Arc<AtomicU64>,
}

impl JumpConnection {
    fn note(&self, event: String) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn judge(&self, user: &str, is_right: bool) -> Auth {
        if is_right {
            self.note(format!("{user} logged in"));
            return Auth::Accept;
        }
        let methods: &[_] = match self.password {
            Some(_) => &[MethodKind::Password],
            None => &[MethodKind::PublicKey],
        };
        Auth::Reject { proceed_with_methods: Some(MethodSet::from(methods)), partial_success: false }
    }
}

impl Handler for JumpConnection {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, false))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, self.password == Some(password)))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        _: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(if self.password.is_none() { Auth::Accept } else { self.judge(user, false) })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let is_right =
            self.password.is_none() && key.public_key.key_data() == self.key.public_key().key_data();
        Ok(self.judge(user, is_right))
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        // A reply that is dropped is a refusal.
        let port = u16::try_from(port).unwrap_or_default();
        let Ok(mut stream) = TcpStream::connect((host, port)).await else { return Ok(()) };
        self.note(format!("to {host}:{port}"));
        reply.accept().await;
        let budget = self.budget.swap(u64::MAX, Ordering::Relaxed);
        tokio::spawn(async move {
            let (from_server, mut to_server) = stream.split();
            let (mut from_client, mut to_client) = tokio::io::split(channel.into_stream());
            let mut from_server = from_server.take(budget);
            // Each end may hang up.
            tokio::select! {
                _ = copy(&mut from_server, &mut to_client) => {}
                _ = copy(&mut from_client, &mut to_server) => {}
            }
        });
        Ok(())
    }
}
