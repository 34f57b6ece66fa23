//! The man pages: sshome(1), sshomed(8), users.toml(5).

use crate::page::Page;
use crate::{client, server};
use anyhow::Context;
use clap::{Arg, Command, CommandFactory};
use sshome::cli::ClientCli;
use sshome::exit::EXIT_CODES_HELP;
use sshome::shell::COMMANDS;
use sshome::shell::command::CommandSpec;
use sshomed::config::{SETTING_TABLES, Setting};

/// sshome(1).
pub(crate) fn client() -> anyhow::Result<String> {
    let mut page = Page::new("sshome", "1", "transfer files to and from a server that runs sshomed");
    page.heading("SYNOPSIS");
    page.paragraph("`sshome` [OPTIONS] [USER@]HOST [COMMAND [ARGS…]]");
    page.heading("DESCRIPTION");
    let cli = ClientCli::command();
    page.paragraph(&cli.get_long_about().context("sshome has no description")?.to_string());
    page.paragraph(
        "HOST is a host name or an entry of ~/.ssh/config, [ADDRESS]:PORT, or ssh://[USER@]HOST[:PORT].",
    );
    page.heading("OPTIONS");
    page.options(client::options())?;
    general_options(&mut page);
    page.heading("COMMANDS");
    COMMANDS.iter().try_for_each(|spec| prompt_command(&mut page, spec))?;
    page.heading("EVENTS");
    page.paragraph(
        "With `--json`, standard output has one JSON object a line. Its field `event` names what happened; the schema \
         events.json, which is installed with the documentation, describes them all.",
    );
    page.heading("EXIT STATUS");
    for (code, meaning) in EXIT_CODES_HELP.lines().skip(1).filter_map(|line| line.trim().split_once("  ")) {
        page.item(&format!("`{code}`"), meaning);
    }
    page.heading("ENVIRONMENT");
    page.item("`SSH_AUTH_SOCK`", "socket of the agent that holds keys");
    page.item("`SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`", "program that asks for passwords, as in ssh(1)");
    page.heading("FILES");
    page.item("`~/.ssh/config`", "hosts, users, ports and keys, as in ssh_config(5)");
    page.item("`~/.ssh/known_hosts`", "keys of known hosts");
    page.heading("SEE ALSO");
    page.paragraph("`sshomed`(8), `sftp`(1), `ssh_config`(5)");
    Ok(page.finish())
}

/// Whether every program has the option.
fn is_general(arg: &Arg) -> bool {
    arg.get_id() == "help" || arg.get_id() == "version"
}

fn general_options(page: &mut Page) {
    page.item("`-h`, `--help`", "Print help");
    page.item("`-V`, `--version`", "Print version");
}

fn prompt_command(page: &mut Page, spec: &CommandSpec) -> anyhow::Result<()> {
    page.subheading(&spec.synopsis());
    page.paragraph(&sentence(spec.summary));
    page.paragraph(spec.details);
    page.options(spec.flags.iter().map(client::option))?;
    if !spec.aliases.is_empty() {
        page.paragraph(&format!("Also: {}", spec.aliases.join(", ")));
    }
    Ok(())
}

/// sshomed(8).
pub(crate) fn server() -> anyhow::Result<String> {
    let mut command = server::command();
    command.build();
    let mut page = Page::new("sshomed", "8", "serve files over SSH: a home and a quota for each user");
    page.heading("SYNOPSIS");
    page.paragraph("`sshomed` [OPTIONS] [COMMAND]");
    page.heading("DESCRIPTION");
    page.paragraph(
        "Serves the homes of the users in etc/users.toml to `sshome`(1), sftp, scp, sshfs and others, until Ctrl-C or \
         SIGTERM. A changed etc/users.toml applies at once.\n\nWorks in one folder, DIR, which \
         holds etc/users.toml, keys/, home/ and run/. The other commands administer the users, or ask the running \
         server of DIR.",
    );
    page.heading("OPTIONS");
    page.options(command.get_arguments().filter(|arg| !is_general(arg)).cloned().collect::<Vec<_>>())?;
    general_options(&mut page);
    page.heading("COMMANDS");
    subcommands(&mut page, &mut command)?;
    page.heading("EXIT STATUS");
    page.item("`0`", "success");
    page.item("`1`", "failure; the reason is on standard error");
    page.item("`2`", "usage error");
    page.heading("ENVIRONMENT");
    page.item("`RUST_LOG`", "level of the log, such as `sshomed=debug`");
    page.item("`NOTIFY_SOCKET`", "socket of the service manager, as in `sd_notify`(3)");
    page.heading("FILES");
    page.item("`DIR/etc/users.toml`", "settings and users: users.toml(5)");
    page.item("`DIR/keys/host_ed25519`", "host key, created at the first start");
    page.item("`DIR/keys/authorized/`", "keys that users have installed themselves");
    page.item("`DIR/home/`", "homes");
    page.item("`DIR/run/control`", "socket of the running server");
    page.paragraph("As a Debian package, DIR is /var/lib/sshome and its etc is /etc/sshome.");
    page.heading("SEE ALSO");
    page.paragraph("`users.toml`(5), `sshome`(1)");
    Ok(page.finish())
}

/// All commands that do something, with their options.
fn subcommands(page: &mut Page, command: &mut Command) -> anyhow::Result<()> {
    for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        if command.has_subcommands() {
            subcommands(page, command)?;
            continue;
        }
        let usage = command.render_usage().to_string();
        page.subheading(usage.trim_start_matches("Usage: ").trim());
        let about = command.get_long_about().or(command.get_about());
        page.paragraph(&sentence(&about.context("a command has no description")?.to_string()));
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !is_general(arg));
        page.options(own.cloned().collect::<Vec<_>>())?;
    }
    Ok(())
}

/// users.toml(5).
pub(crate) fn settings() -> anyhow::Result<String> {
    let mut page = Page::new("users.toml", "5", "settings and users of sshomed");
    page.heading("DESCRIPTION");
    page.paragraph(
        "`sshomed`(8) reads its settings and its users from the TOML file etc/users.toml in its folder, or from the file \
         that `--config` names. `sshomed check` validates it. A running server applies changes at once, or logs why \
         not. `sshomed user` edits the file and keeps its comments.\n\nA size is a number of bytes, or text such as \
         `\"100 MiB\"`, `\"1.5 GiB\"`, `\"700 MB\"` or `\"unlimited\"`; a rate is text such as `\"10 MiB/s\"`. A time is a number \
         of seconds, or text such as `\"10 s\"`; `part-expiry` is in days. Relative paths start in the folder that holds \
         etc/.",
    );
    page.heading("SETTINGS");
    for (table, settings) in &SETTING_TABLES {
        page.subheading(table);
        settings.iter().for_each(|setting| one_setting(&mut page, setting));
    }
    page.heading("EXAMPLE");
    page.lines(
        "[server]\nlisten = [\"[::]:2222\"]\n\n[defaults]\nquota = \"5 GiB\"\n\n[users.sam]\n\
         authorized-keys = [\"keys/sam.pub\"]\n\n[users.backup]\nquota = \"unlimited\"\n\n[[users.backup.keys]]\n\
         key = \"keys/nas.pub\"\naccess = \"append-only\"",
    );
    page.heading("SEE ALSO");
    page.paragraph("`sshomed`(8), `sshome`(1)");
    Ok(page.finish())
}

fn one_setting(page: &mut Page, setting: &Setting) {
    let default = setting.default.map(|default| format!(" = {default}")).unwrap_or_default();
    page.item(&format!("`{}`{default}", setting.name), &sentence(setting.summary));
}

/// A description as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
