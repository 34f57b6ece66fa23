//! A server with users who have files to list and to download.

use super::client::LoginSource;
use crate::servers::{self, ServerProcess, Service};
use crate::stage::Stage;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

/// The user who lists.
pub(crate) const LISTER: &str = "bench";

/// The listed folder, and its number of files.
const LISTED_FOLDER: &str = "folder";
const LISTED_FILES: usize = 20;

/// The downloaded file, and its length in bytes; uploads have the same length.
const SOURCE_FILE: &str = "source";
pub(crate) const SOURCE_BYTES: u64 = 8 << 20;

/// The number of users besides the lister.
pub(crate) const USERS: usize = 10;

/// A server and its users' homes. sshd has one user, and a folder in place of each home.
pub(crate) struct LoadHost<'a> {
    pub(crate) service: Service,
    pub(crate) server: ServerProcess,
    stage: &'a Stage,
}

impl LoadHost<'_> {
    /// Makes the homes and starts the server.
    pub(crate) fn start(service: Service, stage: &Stage) -> Result<LoadHost<'_>> {
        let users: Vec<String> = (0..USERS).map(user).chain([LISTER.to_owned()]).collect();
        for user in &users {
            let home = home(service, stage, user);
            fs::create_dir_all(home.join(LISTED_FOLDER))?;
            for number in 0..LISTED_FILES {
                fs::write(home.join(LISTED_FOLDER).join(format!("file {number}")), [0; 100])?;
            }
            fs::write(home.join(SOURCE_FILE), vec![7; SOURCE_BYTES as usize])?;
        }
        let server = servers::start(service, stage, &users)?;
        Ok(LoadHost { service, server, stage })
    }

    /// The server and the key for logins.
    pub(crate) fn door(&self) -> Result<LoginSource> {
        LoginSource::new(self.server.port, &self.stage.key())
    }

    /// The login name of a user.
    pub(crate) fn login(&self, user: &str) -> Result<String> {
        match self.service {
            Service::Sshomed => Ok(user.to_owned()),
            Service::Sshd | Service::Tcp => self.service.user(),
        }
    }

    /// The server's path of the folder that a user lists.
    pub(crate) fn folder(&self, user: &str) -> String {
        self.named(user, LISTED_FOLDER)
    }

    /// The server's path of the file that a user downloads.
    pub(crate) fn source(&self, user: &str) -> String {
        self.named(user, SOURCE_FILE)
    }

    /// The server's path of the file that a session of a user uploads.
    pub(crate) fn target(&self, user: &str, session: usize) -> String {
        self.named(user, &format!("target {session}"))
    }

    fn named(&self, user: &str, name: &str) -> String {
        match self.service {
            Service::Sshomed => format!("/{name}"),
            Service::Sshd | Service::Tcp => {
                home(self.service, self.stage, user).join(name).display().to_string()
            }
        }
    }
}

impl Drop for LoadHost<'_> {
    fn drop(&mut self) {
        // The files are in memory, and the next server needs the room. What cannot be removed is removed with the
        // stage.
        for user in (0..USERS).map(user) {
            let _ = fs::remove_dir_all(home(self.service, self.stage, &user));
        }
    }
}

/// The name of a user.
pub(crate) fn user(number: usize) -> String {
    format!("user{number}")
}

fn home(service: Service, stage: &Stage, user: &str) -> PathBuf {
    match service {
        Service::Sshomed => stage.sshomed().join("home").join(user),
        Service::Sshd | Service::Tcp => stage.sshd().join(user),
    }
}
