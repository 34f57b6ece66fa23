//! Support for `ssh-copy-id`, which sends `exec sh -c 'cd; … cat >> .ssh/authorized_keys …'` with the keys on standard
//! input.
//!
//! There is no shell, and keys are not stored in the home. The command installs the keys like `sshome key install`.

use super::arguments::{ArgumentSpec, Arguments};
use super::error::{Error, Result};
use super::table::CommandEntry;
use super::task::{CommandIo, CommandTask, InputRead, TaskState};
use crate::service::{User, install_key};
use sshome_wire::public_key;

/// The largest input, in bytes: more keys than a user may install.
const MAX_INPUT_BYTES: usize = 256 << 10;

/// The command for this script. It is not in the table, because nobody types it.
pub(super) static COMMAND: CommandEntry = CommandEntry {
    name: "ssh-copy-id",
    accepts: ArgumentSpec { usage: "exec sh -c SCRIPT", flags: "c", values: &[], operands: (2, 2) },
    help: "install the keys from standard input",
    changes: |_| None,
    reads: |_| true,
    begin,
};

/// Whether these words come from ssh-copy-id. All its versions change to the home directory and append to that file.
pub(super) fn is_it(words: &[Vec<u8>]) -> bool {
    let [exec, shell, flag, script] = words else { return false };
    let script = String::from_utf8_lossy(script);
    (exec.as_slice(), shell.as_slice(), flag.as_slice()) == (b"exec", b"sh", b"-c")
        && script.trim_start().starts_with("cd")
        && script.contains("cat >>")
        && script.contains("authorized_keys")
}

fn begin(_: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(Box::new(InstallKeysTask(Vec::new())))
}

/// Receives lines of keys, and installs them at the end of the input.
struct InstallKeysTask(Vec<u8>);

impl CommandTask for InstallKeysTask {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        loop {
            match io.input.read(MAX_INPUT_BYTES)? {
                InputRead::Bytes(bytes) => self.0.extend_from_slice(&bytes),
                InputRead::Nothing => return Ok(TaskState::Waiting),
                InputRead::End => break,
            }
            if self.0.len() > MAX_INPUT_BYTES {
                return Err(Error::Protocol("too many keys".to_owned()));
            }
        }
        let text = public_key::text(&self.0);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            install_key(user, line)?;
        }
        Ok(TaskState::Done(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        super::super::shell_words::split(line.as_bytes()).unwrap()
    }

    #[test]
    fn only_the_script_of_ssh_copy_id_is_recognized() {
        let script = "cd ; umask 077 ; mkdir -p \".ssh\" && { [ -z `tail -1c .ssh/authorized_keys 2>/dev/null` ] || \
                      echo >> \".ssh/authorized_keys\" || exit 1; } && cat >> \".ssh/authorized_keys\" || exit 1 ;";
        assert!(is_it(&words(&format!("exec sh -c '{script}'"))));
        for line in
            ["exec sh", "exec sh -c 'cd; ls'", "exec sh -c 'rm .ssh/authorized_keys'", "sh -c 'cd'", "ls"]
        {
            assert!(!is_it(&words(line)), "{line}");
        }
    }
}
