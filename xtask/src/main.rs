//! Writes the files that are generated from the programs: man pages, completions, schemas, and the settings and the unit
//! of the Debian package. `cargo run -p xtask` writes them; a test fails if one of them is out of date.

mod client;
mod page;
mod pages;
mod server;
mod settings;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::path::Path;

/// A generated file of the repository.
struct GeneratedFile {
    /// Its path in the repository.
    path: String,
    text: String,
}

fn main() -> anyhow::Result<()> {
    for file in generated_files()? {
        let path = repository().join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
        println!("wrote {}", file.path);
    }
    Ok(())
}

fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

fn generated_files() -> anyhow::Result<Vec<GeneratedFile>> {
    let file = |path: &str, text: String| GeneratedFile { path: path.to_owned(), text };
    let mut files = vec![
        file("docs/man/sshome.1", pages::client()?),
        file("docs/man/sshomed.8", pages::server()?),
        file("docs/man/users.toml.5", pages::settings()?),
        file("docs/schema/users.toml.json", pretty(&settings::schema())?),
        file("docs/schema/events.json", pretty(&event_schema())?),
        file("packaging/debian/users.toml", settings_of_package()?),
        file("packaging/debian/sshomed.service", unit_of_package()?),
    ];
    for (program, mut command) in [("sshome", client::completed_command()), ("sshomed", server::command())] {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            files.push(completion(shell, program, &mut command)?);
        }
    }
    Ok(files)
}

fn completion(shell: Shell, program: &str, command: &mut Command) -> anyhow::Result<GeneratedFile> {
    let mut text = Vec::new();
    clap_complete::generate(shell, command, program, &mut text);
    let text = String::from_utf8(text)?;
    let text = if program == "sshome" { client::after_host(shell, &text)? } else { text };
    let name = match shell {
        Shell::Zsh => format!("_{program}"),
        Shell::Fish => format!("{program}.fish"),
        Shell::PowerShell => format!("{program}.ps1"),
        _ => program.to_owned(),
    };
    let folder = shell.to_string();
    Ok(GeneratedFile { path: format!("docs/completions/{folder}/{name}"), text })
}

fn pretty(schema: &serde_json::Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

fn event_schema() -> serde_json::Value {
    let mut schema = sshome::shell::event_schema();
    schema.insert("title".to_owned(), "A line of `sshome --json`".into());
    schema.to_value()
}

/// The repository's settings without the demo users.
fn settings_of_package() -> anyhow::Result<String> {
    let text = read("etc/users.toml")?;
    let (settings, _) = text.split_once("\n# A demo user").context("etc/users.toml has no demo users")?;
    Ok(settings.trim_end().to_owned() + "\n")
}

/// The repository's unit with the paths of a package.
fn unit_of_package() -> anyhow::Result<String> {
    let text = read("etc/systemd/sshomed.service")?;
    let (_, unit) = text.split_once("\n[Unit]").context("the unit has no section [Unit]")?;
    let unit = unit.replace("/usr/local/bin/", "/usr/sbin/").replace("/srv/sshome", "/var/lib/sshome");
    Ok(format!("# sshomed as a sandboxed service: sshomed(8).\n\n[Unit]{unit}"))
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(repository().join(path)).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process;

    #[test]
    fn the_generated_files_are_current() {
        for GeneratedFile { path, text } in generated_files().unwrap() {
            let found = fs::read_to_string(repository().join(&path)).unwrap_or_default();
            assert!(found == text, "{path} is out of date: run `cargo run -p xtask`");
        }
    }

    #[test]
    fn every_generated_folder_holds_generated_files_only() {
        let known: Vec<_> = generated_files().unwrap().into_iter().map(|file| file.path).collect();
        for folder in ["docs/man", "docs/schema", "docs/completions/bash", "docs/completions/zsh"] {
            for entry in fs::read_dir(repository().join(folder)).unwrap() {
                let path = format!("{folder}/{}", entry.unwrap().file_name().display());
                assert!(known.contains(&path), "{path} is not generated: remove it");
            }
        }
    }

    /// Runs a script with a shell. `None` if there is no such shell.
    fn run(shell: &str, script: &str) -> Option<String> {
        let Ok(output) = process::Command::new(shell).args(["-c", script]).current_dir(repository()).output()
        else {
            eprintln!("skipped: completions of {shell}: no {shell} here");
            return None;
        };
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn bash_completes_commands_and_their_options() {
        for (program, words, want) in [
            ("sshome", "sshome host pu", "pull push put"),
            ("sshome", "sshome host push --back", "--backup-dir"),
            ("sshome", "sshome --acc", "--accept-new"),
            ("sshomed", "sshomed user pa", "passwd"),
            ("sshomed", "sshomed user key sam add --acc", "--access"),
        ] {
            let script = format!(
                ". docs/completions/bash/{program}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
                 _{program} {program} \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\""
            );
            let Some(shown) = run("bash", &script) else { return };
            assert_eq!(shown.trim(), want, "{words}");
        }
    }

    #[test]
    fn fish_completes_commands_and_their_options() {
        for (program, words, want) in [
            ("sshome", "sshome host pu", "pull push put"),
            ("sshome", "sshome -P 22 host push --back", "--backup-dir"),
            ("sshome", "sshome pul", ""),
            ("sshome", "sshome --acc", "--accept-new"),
            ("sshomed", "sshomed user pa", "passwd"),
        ] {
            let script = format!(
                "source docs/completions/fish/{program}.fish; complete --do-complete '{words}' | string split -f1 \\t; true"
            );
            let Some(shown) = run("fish", &script) else { return };
            assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), want, "{words}");
        }
    }

    #[test]
    fn zsh_can_read_the_completions() {
        run("zsh", "for file in docs/completions/zsh/*; do zsh -n $file || exit 1; done");
    }

    #[test]
    fn the_package_has_no_users_and_no_password() {
        let settings = settings_of_package().unwrap();
        assert!(settings.lines().all(|line| line.starts_with('#') || !line.contains("users.")), "{settings}");
        assert!(!settings.contains("demo"), "{settings}");
        let unit = unit_of_package().unwrap();
        assert!(!unit.contains("/srv/") && !unit.contains("/local/"), "{unit}");
        assert!(unit.contains("\nExecStart=/usr/sbin/sshomed\n"), "{unit}");
    }
}
