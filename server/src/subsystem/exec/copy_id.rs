//! What `ssh-copy-id` sends: `exec sh -c 'cd; … cat >> .ssh/authorized_keys …'`, with the keys on the standard input.
//!
//! There is no shell and the keys are not in the home, but what is meant is plain: the keys are installed, as by
//! `sshome key install`.

use super::arguments::{ArgumentSpec, Arguments};
use super::error::{Error, Result};
use super::table::CommandEntry;
use super::task::{CommandIo, CommandTask, InputRead, TaskState};
use crate::operations::{User, install_key};
use sshome_wire::public_key;

/// How much is taken in, in bytes: more keys than may be installed.
const MAX_INPUT_BYTES: usize = 256 << 10;

/// The command that it stands for. It is not in the table: nobody types it.
pub(super) static COMMAND: CommandEntry = CommandEntry {
    name: "ssh-copy-id",
    accepts: ArgumentSpec { usage: "exec sh -c SCRIPT", flags: "c", values: &[], operands: (2, 2) },
    help: "install the keys of the standard input",
    changes: |_| true,
    reads: |_| true,
    begin,
};

/// Whether these words are what ssh-copy-id sends. Every version that there was goes to the home and appends to that
/// file.
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

/// Lines of keys that are being received.
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
                return Err(Error::Protocol("these are too many keys".to_owned()));
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
    fn what_ssh_copy_id_sends_is_known_and_no_other_script() {
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
