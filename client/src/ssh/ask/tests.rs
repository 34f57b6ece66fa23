use super::*;

fn anybody() -> Asker {
    Asker { forbidden: false, ..Asker::silent() }
}

#[tokio::test(start_paused = true)]
async fn time_limits_pause_during_a_question() {
    let (asker, limit) = (anybody(), Duration::from_secs(15));
    let thinking = async {
        let asking = asker.asking();
        tokio::time::sleep(limit * 100).await;
        drop(asking);
        tokio::time::sleep(limit / 2).await;
    };
    assert!(asker.within(limit, thinking).await.is_some());
    assert!(asker.within(limit, tokio::time::sleep(limit * 2)).await.is_none());
}

#[cfg(unix)]
#[test]
fn keys_edit_and_finish_a_secret() {
    let keys = crate::terminal::ControlKeys {
        interrupt: 3,
        quit: 0x1c,
        suspend: 0,
        end: 4,
        kill: 0x15,
        erase: 0x7f,
    };
    let mut typed = SecretBuffer::new();
    for byte in "gone\x15a\u{fc}\x7f\x08\x7fb c\x00".bytes() {
        assert_eq!(typed.key(byte, &keys), PromptKey::Text, "{byte}");
    }
    for (byte, key) in
        [(b'\r', PromptKey::Enter), (3, PromptKey::Interrupt), (4, PromptKey::End), (0x1c, PromptKey::Quit)]
    {
        assert_eq!(typed.key(byte, &keys), key);
    }
    assert_eq!(typed.into_text().unwrap().as_str(), "b c\0");
    let mut typed = SecretBuffer::new();
    typed.key(0xff, &keys);
    assert!(typed.into_text().is_err());
}

#[test]
fn a_secret_is_never_printed() {
    assert_eq!(format!("{:?}", Secret(Arc::new("hunter2".to_owned().into()))), "Secret(…)");
}

#[tokio::test]
async fn without_a_terminal_there_is_no_question() {
    let asker = Asker { terminal: false, program: None, ..anybody() };
    assert!(matches!(asker.secret("?".into()).await, Err(AskError::NobodyThere)));
    assert!(matches!(asker.line("?".into()).await, Err(AskError::NobodyThere)));
    let asker = Asker { forbidden: true, terminal: true, program: Some("true".into()), ..anybody() };
    assert!(matches!(asker.secret("?".into()).await, Err(AskError::Forbidden)));
    assert!(matches!(asker.line("?".into()).await, Err(AskError::Forbidden)));
}

#[cfg(unix)]
#[tokio::test]
async fn an_askpass_program_answers() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("askpass");
    let asker = Asker { program: Some(program.clone().into()), ..anybody() };
    // Any interpreter that is run by its name does; a script that is being written must not be.
    std::os::unix::fs::symlink("/bin/echo", &program).unwrap();
    assert!(std::fs::metadata(&program).unwrap().permissions().mode() & 0o100 != 0);
    assert_eq!(asker.secret("the question".into()).await.unwrap().expose(), "the question");
    std::fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink("/bin/false", &program).unwrap();
    assert!(matches!(asker.secret("?".into()).await, Err(AskError::NoAnswer)));
}
