//! `sshomed setup`: sets up a server on a new host.
//!
//! Five questions, each of which an option can answer. All answers are checked before anything is changed. Existing
//! settings, keys, homes and units are never replaced.

mod answers;
mod error;
mod install;
mod machine;
mod questions;
mod service;
mod settings;
mod unit;

pub use error::SetupError;

use crate::reachable::{own_addresses, reachable};
use answers::SetupAnswers;
use machine::Machine;
use questions::Questionnaire;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The answers on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SetupOptions {
    /// The first user's name
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// A public key that may log in as the first user; may be given several times
    #[arg(long = "key", value_name = "FILE", conflicts_with_all = ["password_file", "password_stdin"])]
    pub keys: Vec<PathBuf>,
    /// The file with the first user's password
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub password_file: Option<PathBuf>,
    /// Read the first user's password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// How much the first user's home may hold: "50 GiB" [default: unlimited]
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<String>,
    /// How the server is started
    #[arg(long, value_enum)]
    pub service: Option<ServiceKind>,
    /// The system account of the server, which is created if it is missing; only as root [default: sshome]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Answer the other questions with their defaults
    #[arg(long)]
    pub yes: bool,
}

/// How the server is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServiceKind {
    /// By a systemd unit, now and at each boot: the user's own, or the system's as root
    Systemd,
    /// Now, in the background; not at boot
    Background,
    /// Not at all; the command is printed
    None,
}

/// Sets up a server and starts it. Returns the text for the administrator.
///
/// # Errors
/// If an answer is missing or refused, or a step fails. Before the first step nothing is changed.
pub fn setup(
    dir: Option<&Path>,
    listen: &[SocketAddr],
    options: &SetupOptions,
) -> Result<String, SetupError> {
    let machine = Machine::detect();
    let mut questions = Questionnaire::new(options.yes);
    let answers = SetupAnswers::collect(&machine, &mut questions, dir, listen, options)?;
    let plan = install::SetupPlan::new(&machine, answers)?;
    let host_key = plan.write()?;
    let started = service::start(&machine, &plan)?;
    Ok(report(&plan, &started, &host_key))
}

fn report(plan: &install::SetupPlan, started: &str, host_key: &str) -> String {
    let answers = &plan.answers;
    let shown = crate::config::shown(&answers.folder);
    let mut text = format!("set up {shown}: etc/users.toml, with the user {}\n", answers.user);
    text += started;
    text += &format!("host key  {host_key}\n");
    let own = own_addresses();
    let addresses: Vec<_> = answers.listen.iter().flat_map(|address| reachable(*address, &own)).collect();
    for address in &addresses {
        text += &format!("address   {address}\n");
    }
    if let Some(address) = addresses.first() {
        let (ip, port, user) = (address.ip(), address.port(), &answers.user);
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        text += &format!("log in with: sftp -P {port} {user}@{host}, or sshome -P {port} {user}@{ip}\n");
    }
    text + &format!("add users with: {} user add NAME --key FILE\n", plan.command())
}
