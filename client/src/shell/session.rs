//! The interactive session: reads commands at the prompt and runs them.

use super::command::Operand;
use super::complete::CompletionQuery;
use super::ctrl_c::CtrlC;
use super::expansion::RemoteTree;
use super::glob::{GlobEntry, GlobSource, LocalTree};
use super::prompt::{CompletionReply, Prompt, PromptEvent};
use super::tilde;
use super::{Flow, Shell, ShellError};
use crate::messages::warn;
use sshome_wire::display::Escaped;
use std::collections::HashMap;
use std::sync::mpsc::Sender;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

/// Runs the session until it is ended. The prompt begins with `who`, which must be safe to show.
///
/// # Errors
/// If the terminal is closed, or the server refuses to reconnect. The failure of a command is reported, and the next
/// one may follow.
pub async fn interactive(shell: &mut Shell, who: &str) -> Result<(), ShellError> {
    if !shell.out.is_quiet() {
        let greeting = shell.conversation.greeting().to_owned();
        for line in greeting.lines() {
            shell.out.note(&format!("{}\n", Escaped(line.as_bytes())))?;
        }
    }
    shell.is_prompt = true;
    let prompt = Prompt::start()?;
    // Background jobs run on this thread.
    let background = LocalSet::new();
    let done = background.run_until(async {
        let done = converse(shell, prompt, who).await;
        shell.end_jobs().await;
        done
    });
    done.await
}

async fn converse(shell: &mut Shell, mut prompt: Prompt, who: &str) -> Result<(), ShellError> {
    loop {
        shell.report_jobs().await?;
        let text = text(shell, who);
        prompt.show(text.clone());
        let Some(typed) = typed(shell, &mut prompt, &text).await? else {
            match shell.leave() {
                Ok(()) => return Ok(()),
                Err(error) => shell.out.failed(&error),
            }
            continue;
        };
        // A line of the history may contain several lines, which are never one command.
        for (index, line) in typed.split('\n').enumerate() {
            if index > 0 {
                shell.out.note(&format!("{}{}\n", self::text(shell, who), Escaped(line.as_bytes())))?;
            }
            match shell.line(line.as_bytes()).await {
                Ok(Flow::Leave) => return Ok(()),
                Ok(Flow::Continue) => {}
                Err(error) if !shell.goes_on_after(&error) => return Err(error),
                Err(error) => shell.out.failed(&error),
            }
        }
    }
}

fn text(shell: &Shell, who: &str) -> String {
    format!("{who}:{}> ", shell.conversation.cwd())
}

/// The line that is typed at a prompt, which may be empty; `None` at the end.
async fn typed(shell: &mut Shell, prompt: &mut Prompt, text: &str) -> Result<Option<String>, ShellError> {
    let mut pressed = CtrlC::new();
    // While the line editor reads keys, a Ctrl-C that arrives as a signal was pressed after Enter: it cancels the
    // command.
    pressed.listen().await;
    let mut settling_failed = false;
    loop {
        let is_settling = !settling_failed && !shell.conversation.is_idle();
        let event = tokio::select! {
            () = pressed.next(), if prompt.is_plain => {
                // The terminal discarded the line itself.
                shell.out.note(&format!("\n{text}"))?;
                continue;
            }
            // A cancelled Tab does not delay the prompt. A lost connection is reported with the next command.
            settled = shell.conversation.settle(), if is_settling => {
                settling_failed = settled.is_err();
                continue;
            }
            event = prompt.event() => event,
        };
        match event {
            PromptEvent::Line(line) => {
                shell.pressed = Some(pressed);
                return Ok(Some(line));
            }
            PromptEvent::Cleared => return Ok(Some(String::new())),
            PromptEvent::NoText => {
                warn("the line is not UTF-8 and was discarded: write such a name as $'\\xff'");
                return Ok(Some(String::new()));
            }
            PromptEvent::End => return Ok(None),
            PromptEvent::Failed(error) => {
                return Err(ShellError::Failed(format!("the terminal was closed: {error}")));
            }
            // The names have arrived meanwhile.
            PromptEvent::NamesUnwanted => {}
            PromptEvent::Names(question, answer) => {
                complete(shell, prompt, (question, answer), &mut pressed).await;
                settling_failed = false;
            }
        }
    }
}

/// Answers a Tab. After Ctrl-C the line is cleared at once, before the server has cancelled its work; after Ctrl-Z the
/// line can be edited.
async fn complete(
    shell: &mut Shell,
    prompt: &mut Prompt,
    (question, answer): (CompletionQuery, Sender<CompletionReply>),
    pressed: &mut CtrlC,
) {
    shell.cancel = CancellationToken::new();
    tokio::select! {
        biased;
        // A completion that fails completes nothing; a lost connection is reported with the next command.
        found = names(shell, &question) => {
            // Here and below: a prompt that has ended needs no answer.
            let _ = answer.send(CompletionReply::Names(found.unwrap_or_default()));
        }
        () = pressed.next() => {
            let _ = answer.send(CompletionReply::Cleared);
        }
        // The names are obsolete, or the terminal was closed, which the next event reports as well.
        _ = prompt.event() => {}
    }
}

/// The names in the directory of the word that is being typed.
async fn names(shell: &mut Shell, question: &CompletionQuery) -> Result<Vec<GlobEntry>, ShellError> {
    let CompletionQuery::Names { operand, directory, prefix, .. } = question else { return Ok(Vec::new()) };
    match operand {
        Operand::Remote | Operand::RemoteDirectory => {
            let (conversation, cancel) = (&mut shell.conversation, &shell.cancel);
            // Nothing is requested before the server has finished with the last Tab.
            if !conversation.is_idle() {
                return Ok(Vec::new());
            }
            let mut tree = RemoteTree { conversation, cancel, seen: HashMap::new() };
            let mut names = tree.names(&tilde::expand_remote(directory).bytes()).await?;
            if *operand == Operand::RemoteDirectory
                && directory.letters().is_empty()
                && prefix.starts_with(b"@")
            {
                let bookmarks = shell.bookmark_names().into_iter();
                names.extend(bookmarks.map(|name| GlobEntry { name, may_be_directory: true, is_link: true }));
            }
            Ok(names)
        }
        Operand::Local | Operand::LocalDirectory => {
            let directory = tilde::expand(directory)?.bytes();
            LocalTree::new(shell.local.clone()).names(&directory).await
        }
        Operand::Command | Operand::BookmarkAction | Operand::KeyAction | Operand::Mode | Operand::Job => {
            Ok(Vec::new())
        }
    }
}
