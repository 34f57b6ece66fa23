//! The command line of `sshome`, with the commands of its prompt as subcommands.

use clap::builder::{PossibleValuesParser, Resettable};
use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use clap_complete::Shell;
use sshome::cli::ClientCli;
use sshome::shell::COMMANDS;
use sshome::shell::command::{CommandSpec, Operand};
use sshome::shell::flag::Flag;

/// The command line that shells complete.
pub(crate) fn completed_command() -> Command {
    let cli = ClientCli::command();
    let host = cli.get_positionals().filter(|arg| arg.get_id() == "destination").cloned();
    let host = host.map(|arg| arg.value_hint(ValueHint::Hostname));
    let mut command = Command::new("sshome")
        .version(env!("CARGO_PKG_VERSION"))
        .args(options())
        .args(host)
        .disable_help_subcommand(true);
    if let Some(about) = cli.get_about() {
        command = command.about(about.clone());
    }
    command.subcommands(COMMANDS.iter().filter(|spec| is_word(spec.name)).map(subcommand))
}

/// The options before the host.
pub(crate) fn options() -> Vec<Arg> {
    let cli = ClientCli::command();
    let options = cli.get_arguments().filter(|arg| !arg.is_positional()).cloned();
    // A conflict would name an argument that is left out.
    options.map(|arg| arg.conflicts_with(Resettable::Reset)).collect()
}

/// What fish needs to know about the host, which precedes the command.
const FISH_HOST: &str = r#"
function __fish_sshome_has_host
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sshome_global_optspecs) -- $cmd 2>/dev/null
    and set -q argv[1]
end

complete -c sshome -n "not __fish_sshome_has_host" -f -a "(__fish_print_hostnames)"
"#;

/// Completions that skip the host. Those of fish and PowerShell take the first word for the command.
pub(crate) fn after_host(shell: Shell, completions: &str) -> anyhow::Result<String> {
    let replaced = |text: &str, old: &str, new: &str| {
        anyhow::ensure!(text.contains(old), "the completions of {shell} have no {old}");
        Ok(text.replace(old, new))
    };
    match shell {
        Shell::Fish => {
            let text = replaced(completions, "if set -q argv[1]", "if set -q argv[2]")?;
            let text = replaced(&text, "echo $argv[1]", "echo $argv[2]")?;
            let command = "\"__fish_sshome_needs_command; and __fish_sshome_has_host\" -a ";
            Ok(replaced(&text, "\"__fish_sshome_needs_command\" -a ", command)? + FISH_HOST)
        }
        Shell::PowerShell => replaced(completions, "for ($i = 1; ", "for ($i = 2; "),
        _ => Ok(completions.to_owned()),
    }
}

/// Whether shells can complete a command: `!` and `?` mean something to them.
fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn subcommand(spec: &CommandSpec) -> Command {
    let aliases = spec.aliases.iter().copied().filter(|alias| is_word(alias));
    // -h is an option of some commands.
    let command =
        Command::new(spec.name).about(spec.summary).visible_aliases(aliases).disable_help_flag(true);
    command.args(spec.flags.iter().map(option)).args(operands(spec))
}

/// An option of a command.
pub(crate) fn option(flag: &Flag) -> Arg {
    // An id is static text that no other option of the command has.
    let id = if flag.long.is_empty() { flag.help } else { flag.long };
    let mut arg = Arg::new(id).help(flag.help).action(ArgAction::SetTrue);
    if !flag.short.is_control() {
        arg = arg.short(flag.short);
    }
    if let Some(also) = flag.also {
        arg = arg.visible_short_alias(also);
    }
    if !flag.long.is_empty() {
        arg = arg.long(flag.long);
    }
    match &flag.value {
        Some(value) => {
            let hint = if value.name == "FILE" { ValueHint::FilePath } else { ValueHint::Other };
            arg.action(ArgAction::Append).value_name(value.name).value_hint(hint)
        }
        None => arg,
    }
}

/// The operands of a command: the first, and all others.
fn operands(spec: &CommandSpec) -> Vec<Arg> {
    let Some((first, others)) = spec.completes else { return Vec::new() };
    let mut args = vec![operand("first", first)];
    if spec.operands.1 > 1 {
        args.push(operand("others", others).num_args(0..));
    }
    args
}

fn operand(id: &'static str, operand: Operand) -> Arg {
    let arg = Arg::new(id);
    match operand {
        Operand::Local => arg.value_hint(ValueHint::AnyPath),
        Operand::LocalDirectory => arg.value_hint(ValueHint::DirPath),
        Operand::Remote | Operand::RemoteDirectory | Operand::Mode | Operand::Job => {
            arg.value_hint(ValueHint::Other)
        }
        Operand::Command => {
            let names = COMMANDS.iter().map(|spec| spec.name).filter(|name| is_word(name));
            arg.value_parser(PossibleValuesParser::new(names))
        }
        Operand::BookmarkAction => arg.value_parser(PossibleValuesParser::new(["add", "list", "remove"])),
        Operand::KeyAction => arg.value_parser(PossibleValuesParser::new(["install", "list", "remove"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_defined_consistently() {
        completed_command().debug_assert();
    }

    #[test]
    fn shells_complete_every_command_and_option_of_the_table() {
        let command = completed_command();
        for spec in COMMANDS.iter().filter(|spec| is_word(spec.name)) {
            let found = command.find_subcommand(spec.name).unwrap();
            for flag in spec.flags {
                let has =
                    |arg: &&Arg| arg.get_short() == Some(flag.short) || arg.get_long() == Some(flag.long);
                assert!(found.get_arguments().any(|arg| has(&arg)), "{} {}", spec.name, flag.long);
            }
        }
    }
}
