//! The login: keys, then the password, then keyboard-interactive.

mod with_keys;

use super::ask::{AskError, Asker, Secret};
use super::error::LoginError;
use super::host_key::HostCheck;
use super::keys::{self, KeyCandidate};
use super::settings::Settings;
use crate::messages::warn;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::{MethodKind, MethodSet};
use sshome_wire::display::Escaped;

/// The largest number of password prompts, and of rounds of questions.
const MAX_PASSWORD_ATTEMPTS: usize = 3;

/// If a server disconnects after this many keys, there were too many: sshd allows six attempts.
const MANY_KEYS: usize = 5;

/// The largest number of requests in one round of questions.
const MAX_QUESTIONS: usize = 16;

/// The credential of a successful login, for further connections.
#[derive(Clone)]
pub(super) enum LoginCredential {
    /// A key: decrypted, or one of the agent's.
    Key(Box<KeyCandidate>),
    /// A password that was typed.
    Password(Secret),
    /// The answers to the server's questions: `keyboard-interactive`, RFC 4256.
    Answers(Vec<PromptAnswer>),
}

/// A question of the server, and its answer.
#[derive(Clone)]
pub(super) struct PromptAnswer {
    question: String,
    answer: Secret,
}

/// Logs in. Returns the credential.
///
/// # Errors
/// If the server accepts none of the credentials, the connection is lost, or an answer takes longer than the settings'
/// [timeout](Settings::response_timeout).
pub(super) async fn authenticate(
    handle: &mut Handle<HostCheck>,
    settings: &Settings,
    asker: &Asker,
) -> Result<LoginCredential, LoginError> {
    let mut login = LoginAttempt { handle, settings, notes: Vec::new(), remaining: None, offered: 0 };
    if settings.public_key
        && let Some(key) = login.with_keys(asker).await?
    {
        return Ok(LoginCredential::Key(Box::new(key)));
    }
    login.ask_for_methods(asker).await?;
    if settings.password
        && login.may(MethodKind::Password)
        && let Some(password) = login.with_password(asker).await?
    {
        return Ok(LoginCredential::Password(password));
    }
    // A server that also accepts passwords would ask for the same one again.
    if settings.keyboard_interactive
        && login.may(MethodKind::KeyboardInteractive)
        && !(settings.password && login.may(MethodKind::Password))
        && let Some(answers) = login.with_answers(asker).await?
    {
        return Ok(LoginCredential::Answers(answers));
    }
    Err(login.refused())
}

/// Logs in again with a credential, without questions.
///
/// # Errors
/// As of [`authenticate`].
pub(super) async fn authenticate_again(
    handle: &mut Handle<HostCheck>,
    settings: &Settings,
    credential: &mut LoginCredential,
    asker: &Asker,
) -> Result<(), LoginError> {
    let mut login = LoginAttempt { handle, settings, notes: Vec::new(), remaining: None, offered: 0 };
    let accepted = match credential {
        LoginCredential::Password(password) => login.try_password(password, asker).await?,
        LoginCredential::Answers(answers) => {
            let repeated = answers.clone();
            login.try_answers(&mut AnswerSource::Repeated(&repeated), asker).await?
        }
        LoginCredential::Key(candidate) => {
            let mut problems = Vec::new();
            let mut agent = match candidate.file {
                Some(_) => None,
                None => keys::agent(settings, &mut problems).await,
            };
            login.notes.extend(problems.into_iter().map(|problem| problem.text));
            login.try_key(candidate, agent.as_mut(), asker).await?
        }
    };
    if accepted { Ok(()) } else { Err(login.refused()) }
}

struct LoginAttempt<'a> {
    handle: &'a mut Handle<HostCheck>,
    settings: &'a Settings,
    /// Notes for the error at the end.
    notes: Vec<String>,
    /// The methods that the server still accepts, once it has listed them.
    remaining: Option<MethodSet>,
    /// The number of keys that were offered.
    offered: usize,
}

/// The source of the answers to a server's questions.
enum AnswerSource<'a> {
    /// The user, whose answers are stored.
    Asked(&'a mut Vec<PromptAnswer>),
    /// The answers of a previous login.
    Repeated(&'a [PromptAnswer]),
}

impl LoginAttempt<'_> {
    /// Asks the server for its methods if no key was tried, so that the user is not asked for a useless password.
    async fn ask_for_methods(&mut self, asker: &Asker) -> Result<(), LoginError> {
        if self.remaining.is_some() {
            return Ok(());
        }
        let asking = self.handle.authenticate_none(self.settings.user.clone());
        let Some(result) = asker.within(self.settings.response_timeout(), asking).await else {
            return Err(self.too_long());
        };
        self.judge(result?).map(drop)
    }

    async fn with_password(&mut self, asker: &Asker) -> Result<Option<Secret>, LoginError> {
        let (user, host) = (&self.settings.user, &self.settings.host);
        let question = format!("Password of {}@{}: ", Escaped(user.as_bytes()), Escaped(host.as_bytes()));
        for attempt in 1..=MAX_PASSWORD_ATTEMPTS {
            let password = match asker.secret(question.clone()).await {
                Ok(password) => password,
                Err(AskError::Interrupted) => return Err(LoginError::Interrupted),
                Err(error) => {
                    self.notes.push(format!("no password: {error}. A key needs no terminal: -i KEY"));
                    return Ok(None);
                }
            };
            if self.try_password(&password, asker).await? {
                return Ok(Some(password));
            }
            if !self.may(MethodKind::Password) {
                break;
            }
            if attempt < MAX_PASSWORD_ATTEMPTS {
                warn("the password was not accepted, please try again");
            }
        }
        Ok(None)
    }

    async fn with_answers(&mut self, asker: &Asker) -> Result<Option<Vec<PromptAnswer>>, LoginError> {
        for _ in 0..MAX_PASSWORD_ATTEMPTS {
            let mut answers = Vec::new();
            if self.try_answers(&mut AnswerSource::Asked(&mut answers), asker).await? {
                return Ok(Some(answers));
            }
            // There are no answers, or the server requires a different method now.
            if answers.is_empty() || !self.may(MethodKind::KeyboardInteractive) {
                break;
            }
        }
        Ok(None)
    }

    /// One round of questions. Returns whether the login succeeded.
    async fn try_answers(
        &mut self,
        answers: &mut AnswerSource<'_>,
        asker: &Asker,
    ) -> Result<bool, LoginError> {
        let limit = self.settings.response_timeout();
        let user = self.settings.user.clone();
        let begin = self.handle.authenticate_keyboard_interactive_start(user, None);
        let mut said = asker.within(limit, begin).await;
        for _ in 0..MAX_QUESTIONS {
            match said {
                None => return Err(self.too_long()),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(KeyboardInteractiveAuthResponse::Success)) => return Ok(true),
                Some(Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success })) => {
                    return self.judge(AuthResult::Failure { remaining_methods, partial_success });
                }
                Some(Ok(KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts })) => {
                    if matches!(answers, AnswerSource::Asked(_)) && !self.settings.quiet {
                        let lines = name.lines().chain(instructions.lines()).filter(|line| !line.is_empty());
                        lines.for_each(|line| warn(Escaped(line.as_bytes())));
                    }
                    let Some(given) = self.answer(&prompts, answers, asker).await? else { return Ok(false) };
                    let respond = self.handle.authenticate_keyboard_interactive_respond(given);
                    said = asker.within(limit, respond).await;
                }
            }
        }
        self.notes.push("the server asks endlessly".to_owned());
        Ok(false)
    }

    /// The answers to a server's questions; `None` if there are none.
    async fn answer(
        &mut self,
        prompts: &[Prompt],
        answers: &mut AnswerSource<'_>,
        asker: &Asker,
    ) -> Result<Option<Vec<String>>, LoginError> {
        let mut given = Vec::new();
        for Prompt { prompt, echo } in prompts {
            let answer = match answers {
                AnswerSource::Repeated(known) => known.iter().find(|known| known.question == *prompt),
                AnswerSource::Asked(kept) => {
                    let (user, host) = (&self.settings.user, &self.settings.host);
                    let whose = format!("{}@{}", Escaped(user.as_bytes()), Escaped(host.as_bytes()));
                    let question = format!("({whose}) {}", Escaped(prompt.as_bytes()));
                    match asker.answer(question, *echo).await {
                        Ok(answer) => kept.push(PromptAnswer { question: prompt.clone(), answer }),
                        Err(AskError::Interrupted) => return Err(LoginError::Interrupted),
                        Err(error) => {
                            self.notes.push(format!(
                                "the server asks a question: {error}. A key needs no terminal: -i KEY"
                            ));
                            return Ok(None);
                        }
                    }
                    kept.last()
                }
            };
            match answer {
                Some(PromptAnswer { answer, .. }) => given.push(answer.expose().to_owned()),
                None => {
                    self.notes.push("the server asks a different question than before".to_owned());
                    return Ok(None);
                }
            }
        }
        Ok(Some(given))
    }

    async fn try_password(&mut self, password: &Secret, asker: &Asker) -> Result<bool, LoginError> {
        let trying = self.handle.authenticate_password(self.settings.user.clone(), password.expose());
        let Some(result) = asker.within(self.settings.response_timeout(), trying).await else {
            return Err(self.too_long());
        };
        self.judge(result?)
    }

    /// Whether the server may accept this method.
    fn may(&self, method: MethodKind) -> bool {
        self.remaining.as_ref().is_none_or(|methods| methods.contains(&method))
    }

    fn judge(&mut self, result: AuthResult) -> Result<bool, LoginError> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, .. } => {
                self.connected()?;
                self.remaining = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    /// Checks the connection: russh reports a lost connection as a refusal.
    fn connected(&self) -> Result<(), LoginError> {
        if self.handle.is_closed() {
            let user = Escaped(self.settings.user.as_bytes());
            let notes = self.notes.iter().map(|note| format!("\n    {note}")).collect::<String>();
            let refused = self.remaining.is_some();
            let why = match (refused, self.offered) {
                (true, MANY_KEYS..) => {
                    "too many keys were offered: -i KEY with IdentitiesOnly yes offers one"
                }
                (true, _) => "too many attempts, or too slow",
                (false, _) => "try again later",
            };
            let what = format!("{user} was logging in: {why}{notes}");
            return Err(LoginError::Closed { what, refused });
        }
        Ok(())
    }

    fn too_long(&self) -> LoginError {
        LoginError::TimeOut { place: self.settings.place(), limit: self.settings.response_timeout() }
    }

    fn refused(self) -> LoginError {
        let (user, host) = (Escaped(self.settings.user.as_bytes()), Escaped(self.settings.host.as_bytes()));
        let mut text = format!("login failed for {user}@{host} (400)");
        let methods: Vec<&str> =
            self.remaining.iter().flat_map(|methods| methods.iter()).map(<&str>::from).collect();
        if !methods.is_empty() {
            text.push_str(&format!(". Accepted methods: {}", methods.join(", ")));
        }
        self.notes.iter().for_each(|note| text.push_str(&format!("\n    {note}")));
        LoginError::Authentication(text)
    }
}
