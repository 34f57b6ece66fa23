//! Background jobs: `put … &`, `jobs`, `fg` and `kill`. Each job has its own connection, so the prompt stays usable.

use super::command::Verb;
use super::invocation::Invocation;
use super::words::Word;
use super::{Shell, ShellError, ShellOutput};
use crate::conversation::ConversationError;
use crate::messages::{MessageLog, logged, print_error, warn};
use crate::ssh::Connection;
use crate::transfer::{FinishedFile, FinishedLink, Observer, Reconnect, Retry, line_style};
use indicatif::{ProgressBar, ProgressDrawTarget};
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{RemotePath, Request};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The time between two updates of the progress bar of `fg`.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// The time limit for the jobs that are cancelled when the program ends.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The jobs of a prompt.
#[derive(Debug, Default)]
pub(super) struct BackgroundJobs {
    jobs: Vec<Job>,
    /// The last command was an `exit` that was refused because of running jobs.
    is_exit_refused: bool,
}

#[derive(Debug)]
struct Job {
    number: usize,
    /// The line that started it, safe to show.
    line: String,
    /// Whether a partial transfer of it can be resumed.
    is_resumable: bool,
    cancel: CancellationToken,
    /// What it has printed.
    log: MessageLog,
    progress: Arc<JobProgress>,
    task: JoinHandle<Result<(), ShellError>>,
    /// Cancelled when the task ends.
    ended: CancellationToken,
}

/// The bytes of a job.
#[derive(Debug, Default)]
pub(super) struct JobProgress {
    done: AtomicU64,
    /// 0 if unknown.
    total: AtomicU64,
    /// The last retry, until bytes arrive again.
    retry: Mutex<Option<String>>,
}

impl Observer for JobProgress {
    fn begin(&self, _: u64, bytes: Option<u64>) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    fn grow(&self, _: u64, bytes: Option<u64>) {
        self.total.fetch_add(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.note_retry(None);
    }

    fn resume_at(&self, _: &[u8], offset: u64) {
        self.done.fetch_add(offset, Ordering::Relaxed);
    }

    fn rewind(&self, bytes: u64) {
        // Only one of the callers has counted these bytes.
        let _ = self
            .done
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |done| Some(done.saturating_sub(bytes)));
    }

    fn done(&self, _: &FinishedFile<'_>) {}

    fn linked(&self, _: &FinishedLink<'_>) {}

    fn retry(&self, retry: &Retry<'_>) {
        self.note_retry(Some(format!("retry {} of {}: {}", retry.attempt, retry.attempts, retry.why)));
    }
}

impl JobProgress {
    fn note_retry(&self, retry: Option<String>) {
        *self.retry.lock().unwrap_or_else(PoisonError::into_inner) = retry;
    }

    /// Done and total; the total is `None` if it is unknown.
    fn bytes(&self) -> (u64, Option<u64>) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed), (total > 0).then_some(total))
    }

    fn words(&self) -> String {
        let words = match self.bytes() {
            (done, Some(total)) => {
                let percent = u128::from(done) * 100 / u128::from(total);
                format!("{percent:3} %  {} of {}", Size(done), Size(total))
            }
            (done, None) => format!("{}", Size(done)),
        };
        match &*self.retry.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(retry) => format!("{words}  {retry}"),
            None => words,
        }
    }
}

/// What a job needs to begin.
struct JobStart {
    connection: Connection,
    directory: RemotePath,
    local: PathBuf,
    out: ShellOutput,
    jobs: crate::transfer::Jobs,
    cancel: CancellationToken,
    progress: Arc<JobProgress>,
}

impl JobStart {
    async fn run(mut self, invocation: Invocation) -> Result<(), ShellError> {
        let connected = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(ConversationError::Cancelled.into()),
            connected = self.connection.reconnect() => connected,
        };
        let not_connected = |error| ShellError::Failed(format!("the job is not connected: {error}"));
        let mut conversation = connected.map_err(not_connected)?;
        let path = self.directory.as_bytes().to_vec();
        conversation.request(Request::Cd { path }, &self.cancel).await?;
        let mut shell = Shell::new(conversation, self.out)?.over(self.connection).with_jobs(self.jobs);
        (shell.local, shell.cancel) = (self.local, self.cancel);
        (shell.progress, shell.job) = (false, Some(self.progress));
        let done = shell.execute(&invocation).await;
        shell.close().await;
        done.map(drop)
    }
}

/// Whether a command can run in the background.
fn is_transfer(verb: Verb) -> bool {
    matches!(verb, Verb::Check | Verb::Cp | Verb::Get | Verb::Hash | Verb::Pull | Verb::Push | Verb::Put)
}

impl Shell {
    /// Starts a command in the background.
    ///
    /// # Errors
    /// If it cannot run there, or there is no connection.
    pub(super) fn start_job(&mut self, invocation: Invocation, line: &[u8]) -> Result<(), ShellError> {
        if !is_transfer(invocation.command.verb) {
            let why = "only check, cp, get, hash, pull, push and put run in the background: omit the &";
            return Err(ShellError::Failed(why.to_owned()));
        }
        let Some(connection) = &self.connection else {
            return Err(ShellError::Failed("there is no connection for a job".to_owned()));
        };
        let (cancel, log, progress) = (CancellationToken::new(), MessageLog::default(), Arc::default());
        let start = JobStart {
            connection: connection.another(),
            directory: self.conversation.cwd().clone(),
            local: self.local.clone(),
            out: self.out.clone().logged(log.clone()),
            jobs: self.jobs,
            cancel: cancel.clone(),
            progress: Arc::clone(&progress),
        };
        let is_resumable = matches!(invocation.command.verb, Verb::Get | Verb::Pull | Verb::Push | Verb::Put);
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let work = logged(log.clone(), async move {
            let done = start.run(invocation).await;
            drop(guard);
            done
        });
        let task = tokio::task::spawn_local(work);
        let number = self.background.jobs.iter().map(|job| job.number).max().unwrap_or(0) + 1;
        let line = line.trim_ascii();
        let line = Escaped(line.strip_suffix(b"&").unwrap_or(line).trim_ascii()).to_string();
        self.background.jobs.push(Job { number, line, is_resumable, cancel, log, progress, task, ended });
        self.out.note(&format!("[{number}]\n"))
    }

    /// Reports the jobs that have ended since the last prompt.
    pub(super) async fn report_jobs(&mut self) -> Result<(), ShellError> {
        for job in self.background.jobs.extract_if(.., |job| job.ended.is_cancelled()).collect::<Vec<_>>() {
            match self.end_of(job).await {
                // The reason is printed.
                Ok(()) | Err(ShellError::Reported) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) async fn list_jobs(&mut self) -> Result<(), ShellError> {
        self.report_jobs().await?;
        self.background.jobs.iter().try_for_each(|job| {
            self.out.note(&format!("[{}]  {}  {}\n", job.number, job.progress.words(), job.line))
        })
    }

    /// Waits for a job, and shows its progress. Ctrl-C cancels it.
    pub(super) async fn fg(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let job = self.take_job(invocation.operands.first())?;
        self.out.note(&format!("{}\n", job.line))?;
        let target = match self.progress && std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target).with_style(line_style());
        bar.set_message(job.line.clone());
        while !job.ended.is_cancelled() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !job.cancel.is_cancelled() => job.cancel.cancel(),
                () = job.ended.cancelled() => {}
                () = sleep(REDRAW_INTERVAL) => {}
            }
            let (done, total) = job.progress.bytes();
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
        bar.finish_and_clear();
        self.end_of(job).await
    }

    /// Cancels jobs and waits for their ends, so that a put that follows can resume.
    pub(super) async fn kill(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        for word in &invocation.operands {
            let job = self.take_job(Some(word))?;
            job.cancel.cancel();
            tokio::select! {
                biased;
                () = job.ended.cancelled() => {}
                // It is reported when it has ended.
                () = self.cancel.cancelled() => {
                    self.background.jobs.push(job);
                    return Err(ConversationError::Cancelled.into());
                }
            }
            match self.end_of(job).await {
                Ok(()) | Err(ShellError::Reported) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the shell may end. The first time it may not while jobs run.
    ///
    /// # Errors
    /// If jobs run, and this was not said by the last command.
    pub(super) fn leave(&mut self) -> Result<(), ShellError> {
        let running = self.background.jobs.iter().filter(|job| !job.ended.is_cancelled()).count();
        if running == 0 || std::mem::replace(&mut self.background.is_exit_refused, true) {
            return Ok(());
        }
        let (jobs, them) = if running == 1 { ("job is", "it") } else { ("jobs are", "them") };
        Err(ShellError::Failed(format!("{running} {jobs} running: exit again ends {them}, fg waits")))
    }

    /// Another command follows a refused `exit`.
    pub(super) fn stay(&mut self) {
        self.background.is_exit_refused = false;
    }

    /// Cancels all jobs at the end of the shell. Partial uploads remain, so that they can be resumed.
    pub(super) async fn end_jobs(&mut self) {
        let jobs = std::mem::take(&mut self.background.jobs);
        jobs.iter().for_each(|job| job.cancel.cancel());
        for job in jobs {
            // A server that does not answer is not waited for.
            let _ = timeout(END_TIMEOUT, job.ended.cancelled()).await;
        }
    }

    /// Removes the job of an operand, `N` or `%N`, from the list; the last one without an operand.
    fn take_job(&mut self, word: Option<&Word>) -> Result<Job, ShellError> {
        let jobs = &mut self.background.jobs;
        let Some(word) = word else {
            return jobs.pop().ok_or_else(|| ShellError::Failed("there are no jobs".to_owned()));
        };
        let name = String::from_utf8_lossy(&word.bytes()).into_owned();
        let number = name.strip_prefix('%').unwrap_or(&name).parse().ok();
        match jobs.iter().position(|job| Some(job.number) == number) {
            Some(index) => Ok(jobs.remove(index)),
            None => {
                let name = Escaped(name.as_bytes()).to_string();
                Err(ShellError::Failed(format!("no job {name}: jobs lists them")))
            }
        }
    }

    /// Prints how a job ended, and what it has printed.
    async fn end_of(&mut self, job: Job) -> Result<(), ShellError> {
        let Job { number, line, is_resumable, log, task, .. } = job;
        let ended = task.await.map_err(|error| ShellError::Failed(error.to_string())).and_then(|ended| ended);
        let how = match &ended {
            Ok(()) => "done",
            Err(ShellError::Conversation(ConversationError::Cancelled)) => "cancelled",
            Err(_) => "failed",
        };
        self.out.note(&format!("[{number}] {how}: {line}\n"))?;
        self.out.note(&log.take())?;
        match ended {
            Ok(()) => Ok(()),
            Err(ShellError::Conversation(ConversationError::Cancelled)) => {
                if is_resumable {
                    warn("a partial transfer remains: the same command resumes it");
                }
                Ok(())
            }
            Err(ShellError::Reported) => Err(ShellError::Reported),
            Err(error) => {
                print_error(error);
                Err(ShellError::Reported)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_shows_how_far_it_is() {
        let progress = JobProgress::default();
        assert_eq!(progress.words(), "0 B");
        progress.begin(1, Some(4 << 20));
        progress.advance(1 << 20);
        assert_eq!(progress.words(), " 25 %  1.0 MiB of 4.0 MiB");
        let retry = Retry { why: "cut", pause: Duration::ZERO, attempt: 2, attempts: 24 };
        progress.retry(&retry);
        progress.rewind(2 << 20);
        assert_eq!(progress.words(), "  0 %  0 B of 4.0 MiB  retry 2 of 24: cut");
        progress.advance(4 << 20);
        assert_eq!(progress.words(), "100 %  4.0 MiB of 4.0 MiB");
    }
}
