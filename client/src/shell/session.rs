//! Commands one after the other, typed at a prompt.

use super::command::Operand;
use super::complete::Question;
use super::glob::{LocalTree, Name, Tree};
use super::prompt::{Event, Prompt};
use super::words::Word;
use super::{Flow, RemoteTree, Shell, ShellError, local};
use sshome_wire::display::Escaped;
use std::collections::HashMap;

/// Talks with a person at the terminal until they leave. `who` is what the prompt begins with, safe to
/// show.
///
/// # Errors
/// If the terminal is lost, or the server refuses to be connected to again. A command that fails is told of, and the
/// next may follow.
pub async fn interactive(shell: &mut Shell, who: &str) -> Result<(), ShellError> {
    if !shell.out.is_quiet() {
        let greeting = shell.conversation.greeting().to_owned();
        for line in greeting.lines() {
            shell.out.note(&format!("{}\n", Escaped(line.as_bytes())))?;
        }
    }
    shell.is_prompt = true;
    let mut prompt = Prompt::start()?;
    loop {
        prompt.show(format!("{who}:{}> ", shell.conversation.cwd()));
        let line = loop {
            match prompt.event().await {
                Event::Line(line) => break line,
                Event::Cleared => break String::new(),
                Event::End => return Ok(()),
                Event::Failed(error) => {
                    return Err(ShellError::Failed(format!("the terminal is gone: {error}")));
                }
                // A completion that fails completes nothing; a lost connection shows with the next command.
                Event::Names(question, answer) => {
                    let _ = answer.send(names(shell, &question).await.unwrap_or_default());
                }
            }
        };
        match shell.line(line.as_bytes()).await {
            Ok(Flow::Leave) => return Ok(()),
            Ok(Flow::Continue) => {}
            Err(error) if !shell.goes_on_after(&error) => return Err(error),
            Err(error) => shell.out.failed(&error),
        }
    }
}

/// The names in the directory that somebody has begun to type.
async fn names(shell: &mut Shell, question: &Question) -> Result<Vec<Name>, ShellError> {
    let Question::Names { operand, directory, .. } = question else { return Ok(Vec::new()) };
    shell.interrupt.clear();
    match operand {
        Operand::Remote | Operand::RemoteDirectory => {
            let (conversation, interrupt) = (&mut shell.conversation, &shell.interrupt);
            let mut tree = RemoteTree { conversation, interrupt, seen: HashMap::new() };
            Ok(tree.names(directory).await?)
        }
        Operand::Local | Operand::LocalDirectory => {
            let directory = local::at_home(&Word::plain(directory))?.bytes();
            LocalTree::new(shell.local.clone()).names(&directory).await
        }
        Operand::Command | Operand::KeyAction => Ok(Vec::new()),
    }
}
